"""What a text may mean: an id, a key, an object, a commit, a digest or a name of anything that the platform knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, func, select, type_coerce

from retrain.events import Event
from retrain.store import deadletters, events, firings, promotions, run_search, runs
from retrain.store.run_search import RunSearch
from retrain.store.tables import events as event_table
from retrain.store.tables import promotions as promotion_table

Json = dict[str, Any]

MOST = 20
"""Things of one kind that are found."""
LOOKED = 5000
"""The newest events and promotions that are looked through for the beginning of an id, or for a part of a name."""
SHORTEST = 3
"""Letters of a text that is looked for inside of others."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the project knows by name: sensors, event sources and models."""

    sensors: Sequence[str] = ()
    sources: Sequence[str] = ()
    models: Sequence[str] = ()

    def items(self, fits: Callable[[str], bool]) -> list[Json]:
        """Those whose name fits."""
        kinds = (("model", self.models), ("sensor", self.sensors), ("source", self.sources))
        return [_item(kind, name, "") for kind, names in kinds for name in names if fits(name)][: 3 * MOST]


NOTHING = Names()


def find(connection: Connection, text: str, names: Names = NOTHING) -> Json:
    """What has this id, key or name; where nothing has, what begins with it or has it inside.

    `items`: `{"kind", "id", "summary"}`, the kinds those of a trace, and `model`, `sensor`, `source` and `deadletter`.
    `exact`: it is their id. What lies far back is found by its whole id only.
    """
    wanted = text.strip()
    if not wanted:
        return {"items": [], "exact": False}
    if exact := [*_exact(connection, wanted), *names.items(lambda name: name == wanted)]:
        return {"items": exact, "exact": True}
    if found := [_event(key, one) for key, one in _events(connection, wanted).items()]:
        return {"items": found, "exact": True}
    near = _near(connection, wanted) if len(wanted) >= SHORTEST else []
    return {"items": [*names.items(lambda name: wanted in name), *near], "exact": False}


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
    if (letter := deadletters.get(connection, text, head=0)) is not None:
        found.append(_item("deadletter", letter.id, letter.reason))
    return found


def _events(connection: Connection, text: str) -> dict[str, Event]:
    return events.get_many(connection, events.find(connection, text)[-MOST:])


def _near(connection: Connection, text: str) -> list[Json]:
    """Of the newest: events whose id begins so, runs whose name does, and promotions of a model that is called so."""
    named = run_search.search(connection, RunSearch(prefix=text), limit=MOST).items
    runs_ = [_item("run", one.name, f"{one.workflow}: {one.phase}") for one in named]
    return [*_begun(connection, text), *runs_, *_promoted(connection, text)]


def _begun(connection: Connection, text: str) -> list[Json]:
    column = event_table.c
    newest = select(func.max(column.position)).scalar_subquery() - LOOKED
    mine = (column.position > newest, column.id.startswith(text, autoescape=True))
    rows = connection.execute(select(column.key).where(*mine).order_by(column.position.desc()).limit(MOST)).scalars()
    return [_event(key, one) for key, one in events.get_many(connection, rows).items()]


def _promoted(connection: Connection, text: str) -> list[Json]:
    column = promotion_table.c
    columns = (column.id, column.name, column.environment, column.state, column.candidate, column.created)
    some = select(*columns).order_by(column.created.desc()).limit(LOOKED).subquery()
    inside = type_coerce(some.c.candidate, Text).contains(text, autoescape=True)
    query = select(some.c.id, some.c.name, some.c.environment, some.c.state)
    query = query.where(some.c.name.contains(text, autoescape=True) | inside).order_by(some.c.created.desc())
    rows = connection.execute(query.limit(MOST))
    return [_item("promotion", one.id, f"{one.name} to {one.environment}: {one.state}") for one in rows]


def _event(key: str, event: Event) -> Json:
    name = f"{event.source}/{event.subject}" if event.subject else event.source
    return _item("event", key, f"{event.id} from {name}")


def _item(kind: str, name: str, summary: str) -> Json:
    return {"kind": kind, "id": name, "summary": summary}
