"""Events seen: every event of the log once, by its key, with its body, for longer than the log (`forgetting`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, func, select

from retrain.errors import ConfigError
from retrain.events import OBJECT, Event, from_json
from retrain.store import event_streams, history
from retrain.store.rows import MAX_PAGE, Page, dialect_of, insert_new, insert_raw
from retrain.store.tables import decisions, event_refs, events, firing_events, to_microseconds
from retrain.store.windows import LOOKED_AT, READ, by

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
    """Which events of a list to show; None means any. `text` is looked for in the whole body.

    Received from `since` on (included) up to `until` (left out). `outcome`: some sensor decided so; `unmatched` is also
    what no sensor has decided on.
    """

    source: str | None = None
    subject: str | None = None
    type: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    outcome: str | None = None


def add(connection: Connection, seen: Sequence[SeenEvent]) -> None:
    """Keep the events; one that is known already (by key or position) stays as it was."""
    insert_raw(connection, events, _NAMES, [_row(one) for one in seen], new=True)
    refs = [
        {"ref": str(ref), "event_key": one.event.key, "base": base_of(str(ref))}
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
    known = positions(connection, {*_of_object(connection, name), *_of_id(connection, name)})
    return sorted(known, key=known.__getitem__)[:MAX_PAGE]


def _of_object(connection: Connection, name: str) -> list[str]:
    """By the last part of the name, which has an index, and then by all of it."""
    tail = name.lstrip("/")
    whole = (event_refs.c.ref == name) | event_refs.c.ref.endswith("/" + tail, autoescape=True)
    query = by(select(event_refs.c.event_key), event_refs, "ix_event_refs_base")
    rows = connection.execute(query.where(event_refs.c.base == base_of(tail), whole).limit(MAX_PAGE))
    return list(rows.scalars())


def _of_id(connection: Connection, name: str) -> list[str]:
    """An event's key is made of its source and its id: each source there is may have one of that id."""
    return [str(Event(id=name, source=one, type="").key) for one in event_streams.sources(connection)]


def base_of(ref: str) -> str:
    """The last part of a thing's name."""
    return ref.rpartition("/")[2]


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
    """Events, newest in the log first. Each page looks through so many events at most, see `retrain.store.windows`.

    Raises:
        ConfigError: the cursor is not one that an earlier page gave.
    """
    limit = max(1, min(limit, MAX_PAGE))
    above, before = _between(connection, which, cursor)
    named = (which.source, which.subject) != (None, None)
    if named and not _sieve(which):
        places = event_streams.newest(connection, which.source, which.subject, above, before, limit + 1)
        if places is not None:
            return _page(connection, _ROWS.where(events.c.position.in_(places)), limit)
    return _walked(connection, which, (above, before), limit)


_ROWS: Select[*tuple[Any, ...]] = select(events.c.body, events.c.position, events.c.received)
DECIDED = 4_000
"""Events of which one page asks what was decided on them."""


def _between(connection: Connection, which: EventFilter, cursor: str | None) -> tuple[int, int]:
    """The positions that the wanted ones lie between, both left out."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ConfigError(f"cursor {cursor!r} is none that a list gave; leave it out to start at the newest")
    first, end = history.positions_between(connection, which.since, which.until)
    return first - 1, end if cursor is None else min(end, int(cursor))


def _walked(connection: Connection, which: EventFilter, between: tuple[int, int], limit: int) -> Page[SeenEvent]:
    """Along the log, or along the one stream that is meant, so many events at most."""
    place, query, stream = events.c.position, _ROWS, list[ColumnElement[bool]]()
    if which.source is not None and which.subject is not None:
        stream = [events.c.source == which.source, events.c.subject == which.subject]
        query = by(query, events, "ix_events_source_subject_position")
    there = (*stream, place > between[0], place < between[1])
    most = DECIDED if which.outcome else READ if which.text else LOOKED_AT
    sieve = [*_sieve(which), *(() if stream else _named(which))]
    query = query.where(*there, *sieve)
    floor: int | None = None
    if sieve:
        floor = connection.execute(select(place).where(*there).order_by(place.desc()).offset(most).limit(1)).scalar()
    if floor is None:
        return _page(connection, query, limit)
    found = _page(connection, query.where(place >= floor), limit)
    if found.next is not None:
        return found
    return Page(found.items, str(floor), most if len(found.items) < limit else None)


def _page(connection: Connection, query: Select[*tuple[Any, ...]], limit: int) -> Page[SeenEvent]:
    rows = connection.execute(query.order_by(events.c.position.desc()).limit(limit + 1)).all()
    items = [SeenEvent(from_json(row.body), row.position, row.received) for row in rows[:limit]]
    return Page(items, str(items[-1].position) if len(rows) > limit else None)


def _named(which: EventFilter) -> list[ColumnElement[bool]]:
    """Its source or its name, said so that the walk stays along the log: an index has them in another order."""
    pairs = ((events.c.source, which.source), (events.c.subject, which.subject))
    return [column + "" == wanted for column, wanted in pairs if wanted is not None]


def _sieve(which: EventFilter) -> list[ColumnElement[bool]]:
    """What no index has."""
    found: list[ColumnElement[bool]] = []
    if which.type is not None:
        found.append(events.c.type == which.type)
    if which.text is not None:
        found.append(events.c.body.contains(which.text, autoescape=True))
    if which.outcome is not None:
        found.append(_decided(which.outcome))
    return found


def _decided(outcome: str) -> ColumnElement[bool]:
    about = decisions.c.event_key == events.c.key
    said = exists().where(about, decisions.c.outcome == outcome)
    # That a trigger fired, or waits for more, is told in the line of a dependency, which says `passed`.
    met = exists().where(firing_events.c.event_key == events.c.key)
    match outcome:
        case "fired":
            return said | met
        case "waiting":
            return said | (exists().where(about, decisions.c.outcome == "passed") & ~met)
        case "unmatched":
            return said | ~exists().where(about)
        case _:
            return said


def count(connection: Connection) -> int:
    """How many events are known."""
    return connection.execute(select(func.count()).select_from(events)).scalar_one()


def _chunks(keys: Iterable[str]) -> Iterable[list[str]]:
    known = list(keys)
    return (known[start : start + CHUNK] for start in range(0, len(known), CHUNK))
