"""Events seen: every event of the log once, by its key, with its body, for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from retrain.errors import ConfigError
from retrain.events import OBJECT, Event, from_json
from retrain.store.rows import MAX_PAGE, Page, dialect_of, insert_new, insert_raw
from retrain.store.tables import event_refs, events, to_microseconds

CHUNK = 500
"""Keys of one `IN (...)`; SQLite's bound on variables is far above."""

FEW = 32
"""Keys for which a statement is made each time."""

_BODY = select(events.c.body).where(events.c.key == bindparam("which"))
_POSITIONS = select(events.c.key, events.c.position).where(events.c.key.in_(bindparam("keys", expanding=True)))


class SeenEvent(NamedTuple):
    """An event as the log showed it. `key`: its key, where that is at hand; else it is computed."""

    event: Event
    position: int
    received: datetime
    key: str = ""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of a list to show; None means any. `text` is looked for in the whole body."""

    source: str | None = None
    subject: str | None = None
    type: str | None = None
    text: str | None = None


def add(connection: Connection, seen: Sequence[SeenEvent]) -> None:
    """Keep the events; one that is known already (by key or position) stays as it was."""
    insert_raw(connection, events, _NAMES, [_row(one) for one in seen], new=True)
    refs = [
        {"ref": str(ref), "event_key": one.event.key}
        for one in seen
        if one.event.extensions and (ref := one.event.extensions.get(OBJECT))
    ]
    insert_new(connection, event_refs, refs)


_NAMES = ("key", "id", "source", "subject", "type", "time", "position", "received", "cause", "body")


def _row(seen: SeenEvent) -> tuple[object, ...]:
    event = seen.event
    cause = event.extensions.get("retraincause")
    return (
        seen.key or event.key,
        event.id,
        event.source,
        event.subject,
        event.type,
        to_microseconds(event.time) if event.time is not None else None,
        seen.position,
        to_microseconds(seen.received),
        str(cause) if cause is not None else None,
        event.to_json().decode(),
    )


def positions(connection: Connection, keys: Iterable[str]) -> dict[str, int]:
    """Which of these events are known, and where in the log each was first."""
    found: dict[str, int] = {}
    for chunk in _chunks(keys):
        if len(chunk) < FEW:
            rows = connection.execute(_POSITIONS, {"keys": chunk})
        else:
            # One statement for any number, filled up: to make one for each costs more than to carry it out.
            sql, names = _positions_of_many(connection.dialect.name)
            filled = [*chunk, *[chunk[0]] * (CHUNK - len(chunk))]
            rows = connection.exec_driver_sql(
                sql, tuple(filled) if names is None else dict(zip(names, filled, strict=True))
            )
        found.update({row[0]: row[1] for row in rows})
    return found


@cache
def _positions_of_many(dialect: str) -> tuple[str, tuple[str, ...] | None]:
    """The statement, and the names of its values where it does not take them by place."""
    names = tuple(f"k{number}" for number in range(CHUNK))
    statement = select(events.c.key, events.c.position).where(events.c.key.in_([bindparam(name) for name in names]))
    compiled = statement.compile(dialect=dialect_of(dialect))
    return str(compiled), None if compiled.positiontup else names


def get(connection: Connection, key: str) -> Event | None:
    """The event with this key."""
    body = connection.execute(_BODY, {"which": key}).scalar()
    return from_json(body) if body is not None else None


def get_many(connection: Connection, keys: Iterable[str]) -> dict[str, Event]:
    """The events with these keys; unknown keys are left out."""
    found: dict[str, Event] = {}
    for chunk in _chunks(keys):
        rows = connection.execute(select(events.c.key, events.c.body).where(events.c.key.in_(chunk)))
        found.update({row.key: from_json(row.body) for row in rows})
    return found


def ids_of(connection: Connection, keys: Iterable[str]) -> dict[str, str]:
    """The ids of the events with these keys; unknown keys are left out."""
    found: dict[str, str] = {}
    for chunk in _chunks(set(keys)):
        rows = connection.execute(select(events.c.key, events.c.id).where(events.c.key.in_(chunk)))
        found.update({row.key: row.id for row in rows})
    return found


def find(connection: Connection, name: str) -> list[str]:
    """Keys of the events that `name` means: a key, an id, or the name of a thing they tell of. Oldest first.

    An object may be named in full (`s3://bucket/key`, `file:///a/b.csv`) or by the end of it from a `/` on (`b.csv`).
    """
    if connection.execute(_BODY, {"which": name}).first() is not None:
        return [name]  # a key, which needs no search
    ends = event_refs.c.ref.endswith("/" + name.lstrip("/"), autoescape=True)
    by_ref = select(event_refs.c.event_key).where((event_refs.c.ref == name) | ends)
    query = select(events.c.key).where((events.c.key == name) | (events.c.id == name) | events.c.key.in_(by_ref))
    return list(connection.execute(query.order_by(events.c.position).limit(MAX_PAGE)).scalars())


def caused_by(connection: Connection, causes: Iterable[str]) -> dict[str, str]:
    """Keys of the events that tell of these runs or promotions, with the cause each tells of."""
    found: dict[str, str] = {}
    for chunk in _chunks(causes):
        rows = connection.execute(select(events.c.key, events.c.cause).where(events.c.cause.in_(chunk)))
        found.update({row.key: row.cause for row in rows})
    return found


def refs_of(connection: Connection, keys: Iterable[str]) -> list[tuple[str, str]]:
    """(event key, name) for every named thing that these events tell of."""
    found: list[tuple[str, str]] = []
    for chunk in _chunks(keys):
        rows = connection.execute(select(event_refs).where(event_refs.c.event_key.in_(chunk)))
        found.extend((row.event_key, row.ref) for row in rows)
    return found


def listing(
    connection: Connection, which: EventFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[SeenEvent]:
    """Events, newest in the log first.

    Raises:
        ConfigError: the cursor is not one that an earlier page gave.
    """
    limit = max(1, min(limit, MAX_PAGE))
    query = select(events.c.body, events.c.position, events.c.received)
    for column, wanted in (
        (events.c.source, which.source),
        (events.c.subject, which.subject),
        (events.c.type, which.type),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if which.text is not None:
        query = query.where(events.c.body.contains(which.text, autoescape=True))
    if cursor is not None:
        if not cursor.isdigit():
            raise ConfigError(f"cursor {cursor!r} is none that a list gave; leave it out to start at the newest")
        query = query.where(events.c.position < int(cursor))
    rows = connection.execute(query.order_by(events.c.position.desc()).limit(limit + 1)).all()
    items = [SeenEvent(from_json(row.body), row.position, row.received) for row in rows[:limit]]
    return Page(items, str(items[-1].position) if len(rows) > limit else None)


def count(connection: Connection) -> int:
    """How many events are known."""
    return connection.execute(select(func.count()).select_from(events)).scalar_one()


def _chunks(keys: Iterable[str]) -> Iterable[list[str]]:
    known = list(keys)
    return (known[start : start + CHUNK] for start in range(0, len(known), CHUNK))
