"""What sensors keep in mind, by thing: one row for each cell, and the members of those that hold many apart from it.

A cell is known by (sensor, kind, part, key). Its sensor says what it means; here it has a due time, an end, and text.
`timeline` says whose timers look at it: LIVE, PAST (the sensor still reads the past), or None (they stand still).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from retrain.store.rows import upsert
from retrain.store.tables import sensor_cells, sensor_members
from retrain.store.windows import by

LIVE, PAST = 0, 1
SEEN = "seen"
"""The kind of cells that only wait to be deleted. They are no waiting keys."""

Name = tuple[str, str, str, str]
"""Sensor, kind, part, key."""

CHUNK = 500
"""Names of one `IN (...)`."""

_C = sensor_cells.c
_M = sensor_members.c
_COLUMNS = (_C.sensor, _C.kind, _C.part, _C.key, _C.body, _C.timeline, _C.due, _C.expires, _C.members, _C.chunked)
"""In the order of `CellRow`."""


@dataclass(frozen=True, slots=True)
class CellRow:
    """A cell. `members`: JSON list of those that are kept with it; `chunked`: how many are kept apart."""

    sensor: str
    kind: str
    part: str
    key: str
    body: str
    timeline: int | None = LIVE
    due: datetime | None = None
    expires: datetime | None = None
    members: str | None = None
    chunked: int = 0

    @property
    def name(self) -> Name:
        """What it is known by."""
        return self.sensor, self.kind, self.part, self.key


@dataclass(frozen=True, slots=True)
class Chunk:
    """Members of a cell, a JSON list; `seq` is the number of the first of them, from 0."""

    name: Name
    seq: int
    body: str


@dataclass(frozen=True, slots=True)
class Retired:
    """What a removed part of a sensor (or a removed sensor) left, `cells` of them since `since`."""

    sensor: str
    part: str
    cells: int
    since: datetime


# Built once: they are on every event's way, and building one takes longer than carrying it out.
_THIS = and_(
    _C.sensor == bindparam("p_sensor"),
    _C.kind == bindparam("p_kind"),
    _C.part == bindparam("p_part"),
    _C.key == bindparam("p_key"),
)
_GET = select(*_COLUMNS).where(_THIS, _C.retired.is_(None))
_DELETE = delete(sensor_cells).where(_THIS)
_OF = and_(
    _M.sensor == bindparam("p_sensor"),
    _M.kind == bindparam("p_kind"),
    _M.part == bindparam("p_part"),
    _M.key == bindparam("p_key"),
)
_MEMBERS = select(_M.body).where(_OF).order_by(_M.seq)
_DELETE_MEMBERS = delete(sensor_members).where(_OF)
_DUE = (
    select(_C.sensor, _C.kind, _C.part, _C.key, _C.due)
    .where(_C.timeline == bindparam("on"), _C.due <= bindparam("until", type_=_C.due.type))
    .order_by(_C.due)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(_C.due)).where(_C.timeline == bindparam("on"), _C.due.is_not(None))


def get(connection: Connection, name: Name) -> CellRow | None:
    """One cell that is not retired."""
    row = connection.execute(_GET, _named(name)).first()
    return CellRow(*row) if row else None


def members(connection: Connection, name: Name) -> list[str]:
    """The chunks of a cell's members, each a JSON list, in order."""
    return list(connection.execute(_MEMBERS, _named(name)).scalars())


def save(connection: Connection, rows: Sequence[CellRow], chunks: Sequence[Chunk]) -> None:
    """Keep cells, over what was kept before, and add members to them."""
    upsert(connection, sensor_cells, [_values(row) for row in rows])
    if chunks:
        connection.execute(insert(sensor_members), [_chunk(one) for one in chunks])


def remove(connection: Connection, names: Sequence[Name], with_members: Sequence[Name]) -> None:
    """Forget `names`; `with_members` are those (not only of `names`) whose members in chunks are to go."""
    if names:
        connection.execute(_DELETE, [_named(name) for name in names])
    if with_members:
        connection.execute(_DELETE_MEMBERS, [_named(name) for name in with_members])


def due(connection: Connection, timeline: int, until: datetime, most: int) -> list[tuple[datetime, Name]]:
    """The first `most` cells that a timer is to look at until then, first due first."""
    rows = connection.execute(_DUE, {"on": timeline, "until": until, "most": most})
    return [(row.due, (row.sensor, row.kind, row.part, row.key)) for row in rows]


def next_due(connection: Connection, timeline: int) -> datetime | None:
    """When a timer is next to look at a cell."""
    return connection.execute(_NEXT, {"on": timeline}).scalar()


def of_sensor(
    connection: Connection,
    sensor: str,
    *,
    kinds: Iterable[str] | None = None,
    after: tuple[str, str, str] | None = None,
    limit: int | None = None,
) -> list[CellRow]:
    """A sensor's cells that are not retired, by kind, part and key; `after`: those behind this one."""
    query = select(*_COLUMNS).where(_C.sensor == sensor, _C.retired.is_(None))
    if kinds is not None:
        query = query.where(_C.kind.in_(list(kinds)))
    if after is not None:
        kind, part, key = after
        behind = (_C.kind > kind) | ((_C.kind == kind) & ((_C.part > part) | ((_C.part == part) & (_C.key > key))))
        query = query.where(behind)
    query = query.order_by(_C.kind, _C.part, _C.key).limit(limit)
    return [CellRow(*row) for row in connection.execute(query)]


def counts(connection: Connection, sensors: Sequence[str] | None = None) -> dict[str, dict[str, int]]:
    """How many cells of each kind each of these sensors (None: every one) has, retired ones left out."""
    # All of them by the key alone, which an index holds; then those that are retired, mostly few, by theirs.
    every = select(_C.sensor, _C.kind, func.count().label("n")).group_by(_C.sensor, _C.kind)
    aside = every.where(_C.retired.is_not(None))
    found: dict[str, dict[str, int]] = {}
    for names in [None] if sensors is None else _chunks(sensors):
        for query, sign in ((every, 1), (aside, -1)):
            for row in connection.execute(query if names is None else query.where(_C.sensor.in_(names))):
                kinds = found.setdefault(row.sensor, {})
                kinds[row.kind] = kinds.get(row.kind, 0) + sign * row.n
    return {name: some for name, kinds in found.items() if (some := {k: n for k, n in kinds.items() if n})}


def _chunks(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]


# --- whose timers run ------------------------------------------------------------------------------------------------


def set_timeline(connection: Connection, sensors: Sequence[str], timeline: int | None) -> None:
    """Let the timers of these sensors run with the live log, with the past, or stand still."""
    statement = (
        update(sensor_cells)
        .where(_C.sensor == bindparam("which"), _C.retired.is_(None))
        .values(timeline=bindparam("on"))
    )
    if sensors:
        connection.execute(statement, [{"which": name, "on": timeline} for name in sensors])


# --- what is set aside -----------------------------------------------------------------------------------------------


def retire(connection: Connection, sensor: str, now: datetime, *, parts: Iterable[tuple[str, str]] | None) -> int:
    """Set aside a sensor's cells of these (kind, part), or all; how many. They stand still and can come back."""
    where = [_C.sensor == sensor, _C.retired.is_(None)]
    return _mark(connection, where, parts, {"retired": now, "timeline": None})


def restore(connection: Connection, sensor: str, timeline: int | None, *, parts: Iterable[tuple[str, str]]) -> int:
    """Take back what `retire` has set aside of these (kind, part); how many."""
    where = [_C.sensor == sensor, _C.retired.is_not(None)]
    return _mark(connection, where, parts, {"retired": None, "timeline": timeline})


def _mark(
    connection: Connection, where: list[Any], parts: Iterable[tuple[str, str]] | None, values: Mapping[str, Any]
) -> int:
    if parts is None:
        return connection.execute(update(sensor_cells).where(*where).values(**values)).rowcount
    return sum(
        connection.execute(
            update(sensor_cells).where(*where, _C.kind == kind, _C.part == part).values(**values)
        ).rowcount
        for kind, part in parts
    )


def retired_parts(connection: Connection, sensor: str) -> list[tuple[str, str]]:
    """The (kind, part) of a sensor of which cells are set aside."""
    query = select(_C.kind, _C.part).where(_C.sensor == sensor, _C.retired.is_not(None)).distinct()
    return [(row.kind, row.part) for row in connection.execute(query)]


def retired(connection: Connection) -> list[Retired]:
    """All that is set aside, by sensor and part, `seen` left out: nobody misses it."""
    query = select(_C.sensor, _C.part, func.count().label("n"), func.min(_C.retired).label("since"))
    query = query.where(_C.retired.is_not(None), _C.kind != SEEN).group_by(_C.sensor, _C.part)
    query = by(query, sensor_cells, "ix_sensor_cells_retired")
    rows = connection.execute(query.order_by(_C.sensor, _C.part))
    return [Retired(row.sensor, row.part, row.n, row.since) for row in rows]


# --- cleaning --------------------------------------------------------------------------------------------------------


def expire(connection: Connection, until: datetime, most: int) -> list[Name]:
    """Delete up to `most` cells of the live log whose end has come, with their names."""
    return _drop(connection, and_(_C.expires <= until, _C.timeline == LIVE), _C.expires, most)


def forget_retired(connection: Connection, before: datetime, most: int) -> list[Name]:
    """Delete up to `most` cells that were set aside before then, with their names."""
    return _drop(connection, _C.retired < before, _C.retired, most)


def _drop(connection: Connection, where: Any, order: Any, most: int) -> list[Name]:
    query = select(_C.sensor, _C.kind, _C.part, _C.key, _C.chunked).where(where).order_by(order).limit(most)
    found = {(row.sensor, row.kind, row.part, row.key): row.chunked for row in connection.execute(query)}
    remove(connection, list(found), [name for name, chunked in found.items() if chunked])
    return list(found)


def _named(name: Name) -> dict[str, str]:
    sensor, kind, part, key = name
    return {"p_sensor": sensor, "p_kind": kind, "p_part": part, "p_key": key}


def _values(row: CellRow) -> dict[str, Any]:
    return {
        "sensor": row.sensor,
        "kind": row.kind,
        "part": row.part,
        "key": row.key,
        "timeline": row.timeline,
        "due": row.due,
        "expires": row.expires,
        "body": row.body,
        "members": row.members,
        "chunked": row.chunked,
    }


def _chunk(one: Chunk) -> dict[str, Any]:
    sensor, kind, part, key = one.name
    return {"sensor": sensor, "kind": kind, "part": part, "key": key, "seq": one.seq, "body": one.body}
