"""What leads from one thing to the next: rows with nothing but that, many at a time, for traces of many things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from retrain.store.tables import event_refs, events, firing_events, firings, runs

CHUNK = 500


class EventLink(NamedTuple):
    """An event. `cause`: the run, promotion or firing that it tells of."""

    key: str
    id: str
    source: str
    subject: str | None
    time: datetime | None
    cause: str | None


class FiringLink(NamedTuple):
    """A firing. `events`: their keys, in the order of the dependencies."""

    id: str
    sensor: str
    trigger: str
    state: str
    created: datetime
    events: tuple[str, ...]


class RunLink(NamedTuple):
    """A run. `parent`: as `RunRow` has it."""

    id: str
    name: str
    phase: str
    created: datetime
    firing_id: str | None
    parent: str | None


def events_of(connection: Connection, keys: Iterable[str]) -> list[EventLink]:
    """The events with these keys, oldest first."""
    column = events.c
    query = select(column.key, column.id, column.source, column.subject, column.time, column.cause, column.position)
    rows = sorted(_rows(connection, query, column.key, keys), key=lambda row: row.position)
    return [EventLink(*row[:-1]) for row in rows]


def objects_of(connection: Connection, keys: Iterable[str]) -> list[tuple[str, str]]:
    """(event key, name) of every thing that these events tell of."""
    query = select(event_refs.c.event_key, event_refs.c.ref)
    return [(row[0], row[1]) for row in _rows(connection, query, event_refs.c.event_key, keys)]


def firings_of(connection: Connection, ids: Iterable[str]) -> list[FiringLink]:
    """The firings with these ids, oldest first."""
    wanted = list(ids)
    made: dict[str, list[str]] = {}
    query = select(firing_events.c.firing_id, firing_events.c.event_key, firing_events.c.ordinal)
    links = _rows(connection, query, firing_events.c.firing_id, wanted)
    for row in sorted(links, key=lambda row: row.ordinal):
        made.setdefault(row.firing_id, []).append(row.event_key)
    column = firings.c
    query = select(column.id, column.sensor, column.trigger, column.state, column.created)
    rows = _rows(connection, query, column.id, wanted)
    return sorted(
        (FiringLink(r.id, r.sensor, r.trigger, r.state, r.created, tuple(made.get(r.id, ()))) for r in rows),
        key=lambda row: (row.created, row.id),
    )


def runs_of(connection: Connection, ids: Iterable[str]) -> list[RunLink]:
    """The runs with these ids."""
    return _runs(connection, runs.c.id, ids)


def runs_of_firings(connection: Connection, ids: Iterable[str]) -> list[RunLink]:
    """The runs that these firings started."""
    return _runs(connection, runs.c.firing_id, ids)


def runs_of_parents(connection: Connection, parents: Iterable[str]) -> list[RunLink]:
    """The runs that any of these made."""
    return _runs(connection, runs.c.parent, parents)


def _runs(connection: Connection, column: ColumnElement[Any], wanted: Iterable[str]) -> list[RunLink]:
    c = runs.c
    query = select(c.id, c.name, c.phase, c.created, c.firing_id, c.parent)
    found = [RunLink._make(row) for row in _rows(connection, query, column, wanted)]
    return sorted(found, key=lambda row: (row.created, row.id))


def _rows(connection: Connection, query: Any, column: ColumnElement[Any], wanted: Iterable[str]) -> Sequence[Any]:
    known = list(dict.fromkeys(wanted))
    found: list[Any] = []
    for start in range(0, len(known), CHUNK):
        found += connection.execute(query.where(column.in_(known[start : start + CHUNK]))).all()
    return found
