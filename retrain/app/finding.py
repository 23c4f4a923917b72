"""What a text may mean: an id, a key, an object, a commit, a digest or a name of anything that the platform knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Text, select, type_coerce

from retrain.events import Event
from retrain.store import deadletters, events, firings, promotions, run_search, runs
from retrain.store.run_search import RunSearch
from retrain.store.tables import promotions as promotion_table

Json = dict[str, Any]

MOST = 20
"""Things of one kind that are found."""
SHORTEST = 3
"""Letters of a text that is looked for inside of others."""


def find(connection: Connection, text: str, sensors: Sequence[str] = ()) -> Json:
    """What has this id, key or name; where nothing has, what begins with it or has it inside.

    `items`: `{"kind", "id", "summary"}`, the kinds those of a trace, and `sensor` and `deadletter`. `exact`: it is
    their id.
    """
    wanted = text.strip()
    if not wanted:
        return {"items": [], "exact": False}
    if exact := [*_exact(connection, wanted), *(_sensor(one) for one in sensors if one == wanted)]:
        return {"items": exact, "exact": True}
    if found := [_event(key, one) for key, one in _events(connection, wanted).items()]:
        return {"items": found, "exact": True}
    near = _near(connection, wanted) if len(wanted) >= SHORTEST else []
    return {"items": [*(_sensor(one) for one in sensors if wanted in one), *near], "exact": False}


def _exact(connection: Connection, text: str) -> list[Json]:
    found: list[Json] = []
    if (event := events.get(connection, text)) is not None:
        found.append(_event(text, event))
    if (firing := firings.get(connection, text)) is not None:
        found.append(_item("firing", firing.id, f"{firing.sensor}/{firing.trigger}: {firing.state}"))
    if (run := runs.get(connection, text)) is not None:
        found.append(_item("run", run.name, f"{run.workflow}: {run.phase}"))
    if (row := promotions.get(connection, text)) is not None:
        found.append(_item("promotion", row.id, f"{row.name} to {row.environment}: {row.state}"))
    if (letter := deadletters.get(connection, text)) is not None:
        found.append(_item("deadletter", letter.id, letter.reason))
    return found


def _events(connection: Connection, text: str) -> dict[str, Event]:
    return events.get_many(connection, events.find(connection, text)[-MOST:])


def _near(connection: Connection, text: str) -> list[Json]:
    """Runs whose name begins so, and promotions of a model that is called so."""
    named = run_search.search(connection, RunSearch(prefix=text), limit=MOST).items
    column = promotion_table.c
    inside = type_coerce(column.candidate, Text).contains(text, autoescape=True)
    query = select(column.id, column.name, column.environment, column.state)
    query = query.where(column.name.contains(text, autoescape=True) | inside).order_by(column.created.desc())
    return [
        *(_item("run", one.name, f"{one.workflow}: {one.phase}") for one in named),
        *(
            _item("promotion", one.id, f"{one.name} to {one.environment}: {one.state}")
            for one in connection.execute(query.limit(MOST))
        ),
    ]


def _event(key: str, event: Event) -> Json:
    name = f"{event.source}/{event.subject}" if event.subject else event.source
    return _item("event", key, f"{event.id} from {name}")


def _sensor(name: str) -> Json:
    return _item("sensor", name, "")


def _item(kind: str, name: str, summary: str) -> Json:
    return {"kind": kind, "id": name, "summary": summary}
