"""Each sensor's place in the log, the digest of the spec that it runs by, and what its cells were made by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from retrain.events import JsonValue
from retrain.store.rows import upsert, values_of
from retrain.store.tables import sensors

CHUNK = 500
"""Names of one `IN (...)`."""


@dataclass(frozen=True, slots=True)
class SensorRow:
    """A sensor. `joined`: it reads with the cursor, and `position` says nothing; else it is at `position`, and the time
    of the log is `now` there. `shape`: digests of its parts. `state`: what a Retrain before cells kept. `removed`:
    since when no manifest has it."""

    name: str
    digest: str
    position: int
    updated: datetime
    joined: int = 1
    shape: JsonValue = None
    now: datetime | None = None
    state: JsonValue = None
    removed: datetime | None = None


_C = sensors.c
_ALL = select(_C.name, _C.digest, _C.position, _C.updated, _C.joined, _C.shape, _C.now, _C.state, _C.removed)
"""In the order of `SensorRow`."""
_THIS = update(sensors).where(_C.name == bindparam("which"))
_MOVE = _THIS.values(
    position=bindparam("to"), now=bindparam("at", type_=_C.now.type), updated=bindparam("noted", type_=_C.updated.type)
)
_JOIN = _THIS.values(position=bindparam("to"), now=None, joined=1, updated=bindparam("noted", type_=_C.updated.type))


def load(connection: Connection) -> dict[str, SensorRow]:
    """All sensors that were ever run here, by name."""
    return {row.name: SensorRow(*row) for row in connection.execute(_ALL)}


def get_many(connection: Connection, names: Iterable[str]) -> dict[str, SensorRow]:
    """These sensors; those that were never run here are left out."""
    wanted, found = list(names), dict[str, SensorRow]()
    for start in range(0, len(wanted), CHUNK):
        rows = connection.execute(_ALL.where(sensors.c.name.in_(wanted[start : start + CHUNK])))
        found.update({row.name: SensorRow(*row) for row in rows})
    return found


def save(connection: Connection, rows: Sequence[SensorRow]) -> None:
    """Keep the sensors' rows, over what was kept before."""
    upsert(connection, sensors, [values_of(row) for row in rows])


def move(connection: Connection, names: Sequence[str], position: int, now: datetime | None, wall: datetime) -> None:
    """Note how far sensors are that have not joined."""
    if names:
        words = [{"which": name, "to": position, "at": now, "noted": wall} for name in names]
        connection.execute(_MOVE, words)


def join(connection: Connection, names: Sequence[str], position: int, wall: datetime) -> None:
    """From `position` on these sensors read with the cursor."""
    if names:
        connection.execute(_JOIN, [{"which": name, "to": position, "noted": wall} for name in names])


def mark_removed(connection: Connection, names: Iterable[str], now: datetime) -> None:
    """Note that no manifest has these sensors any more."""
    wanted = list(names)
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        connection.execute(update(sensors).where(sensors.c.name.in_(chunk)).values(removed=now, updated=now))


def removed(connection: Connection) -> list[SensorRow]:
    """The sensors that no manifest has any more, the last first."""
    query = _ALL.where(sensors.c.removed.is_not(None)).order_by(sensors.c.removed.desc(), sensors.c.name)
    return [SensorRow(*row) for row in connection.execute(query)]
