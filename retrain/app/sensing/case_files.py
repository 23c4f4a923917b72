"""An event as a case that `retrain sensors test` runs: the event, those it met, and what the sensor makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from sqlalchemy import Connection, select

from retrain.app.looking.queries import show_event, stamp
from retrain.app.projects.catalog import Item
from retrain.errors import NotFound
from retrain.events import Event
from retrain.manifests import to_yaml
from retrain.store import events, firings
from retrain.store.tables import events as event_table
from sensors import Sensor, SensorDocument
from sensors.case_spec import Case
from sensors.cases import Outcome, run_case

Json = dict[str, Any]
MOST = 200
"""Events that one case begins with; of a window with more, the newest."""


@dataclass(frozen=True, slots=True)
class Came:
    """An event and when it arrived."""

    event: Event
    received: datetime


def case_file(connection: Connection, name: str, item: Item) -> str:
    """A file `NAME.test.yaml` for the sensor's own file, with one case: the event that is called `name`.

    Raises:
        NotFound: there is no such event.
    """
    found = show_event(connection, name)
    said = [one for one in found["decisions"] if one["sensor"] == item.model.name]
    given = _given(connection, found["key"], item.model.name)
    return write_case(item.model, item.document.file, given, said)


def _given(connection: Connection, key: str, sensor: str) -> list[Came]:
    """The event, and before it those that it made firings of this sensor with, in the order of the log."""
    mine = (firings.get(connection, one) for one in firings.of_events(connection, [key]).get(key, []))
    keys = {key, *(met for one in mine if one is not None and one.sensor == sensor for met in one.events)}
    at = events.positions(connection, keys)
    chosen = sorted((one for one in keys if one in at and at[one] <= at[key]), key=lambda one: at[one])[-MOST:]
    bodies = events.get_many(connection, chosen)
    query = select(event_table.c.key, event_table.c.received).where(event_table.c.key.in_(chosen))
    received = {row.key: row.received for row in connection.execute(query)}
    return [Came(bodies[one], received[one]) for one in chosen]


def write_case(document: SensorDocument, file: str, given: Sequence[Came], recorded: Sequence[Json] = ()) -> str:
    """The file. What it expects is what the sensor makes of these events when it begins with nothing. Pure.

    `recorded`: what the platform's sensor decided, which knew more; it stands in the file as a comment.
    """
    last = given[-1].event
    case: Json = {
        "name": f"event {last.id} of {last.source}",
        "begin": stamp(given[0].received),
        "given": [{"at": stamp(one.received), "event": one.event.to_dict()} for one in given],
    }
    came = run_case(Sensor(document), Case.model_validate({**case, "expect": {}}))
    expect = _expected(came, {one.event.key: one.event.id for one in given}, last)
    body = {"file": PurePath(file).name, "sensor": document.name, "cases": [{**case, "expect": expect}]}
    return "".join(f"# {line}\n" for line in _heading(recorded)) + to_yaml(body)


def _heading(recorded: Sequence[Json]) -> list[str]:
    said = ["Beside the sensor's file, as NAME.test.yaml: retrain sensors test NAME.test.yaml"]
    for one in recorded:
        what = _plain(f"{one['dependency'] or one['trigger']}: {one['outcome']}: {one['reason']}")
        said.append(f"on the platform, which knew what came before: {what}")
    return said


def _expected(came: Outcome, ids: dict[Any, str], last: Event) -> Json:
    decided = [one for one, key in came.decisions if key == last.key]
    return {
        "firings": [
            {
                "trigger": one.trigger,
                "key": one.key,
                # Those that a timer of the sensor told have no name that the file could know.
                **({"events": [ids[key] for key in one.events]} if ids.keys() >= set(one.events) else {}),
                **({"error": one.error} if one.error else {}),
            }
            for one in came.firings
        ],
        "waiting": [
            {"trigger": one.trigger, "key": one.key, "have": list(one.have), "need": list(one.need)}
            for one in came.waiting
            if one.have or one.need
        ],
        "decisions": [
            {
                "event": last.id,
                **({"dependency": one.dependency} if one.dependency else {}),
                **({"trigger": one.trigger} if one.trigger else {}),
                "outcome": one.outcome.value,
            }
            for one in decided
        ],
    }


def _plain(text: str) -> str:
    """A text that stays on its line of a comment."""
    return "".join(c if c.isprintable() else " " for c in text)[:400]


def sensor_item(items: Sequence[Item], name: str) -> Item:
    """The sensor of this name.

    Raises:
        NotFound: the project has none.
    """
    for item in items:
        if item.model.name == name:
            return item
    raise NotFound(f"{name}: no such sensor; `retrain sensors list` shows the names")
