"""How far each reader of the log has come, and how far the time of the log with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from retrain.store.rows import upsert
from retrain.store.tables import cursors

_POSITION = select(cursors.c.position).where(cursors.c.name == bindparam("reader"))
_PLACE = select(cursors.c.position, cursors.c.now, cursors.c.version).where(cursors.c.name == bindparam("reader"))
_MOVE = (
    update(cursors)
    .where(cursors.c.name == bindparam("reader"), cursors.c.version == bindparam("seen"))
    .values(
        position=bindparam("to"),
        now=bindparam("at", type_=cursors.c.now.type),
        version=cursors.c.version + 1,
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is. `now`: the time of the log there; `version` grows with every move."""

    position: int
    now: datetime | None
    version: int


def load(connection: Connection, name: str) -> int | None:
    """The last position that the reader `name` has dealt with; None if it never read."""
    return connection.execute(_POSITION, {"reader": name}).scalar()


def place(connection: Connection, name: str) -> Place | None:
    """Where the reader `name` is; None if it never read."""
    row = connection.execute(_PLACE, {"reader": name}).first()
    return Place(row.position, row.now, row.version) if row else None


def save(connection: Connection, name: str, position: int) -> None:
    """Remember that the reader `name` has dealt with everything up to and with `position`."""
    upsert(connection, cursors, [{"name": name, "position": position}])


def move(connection: Connection, name: str, seen: Place, position: int, now: datetime | None) -> Place | None:
    """Move a reader on from where it was `seen`; None (and nothing changed) if somebody has moved it meanwhile."""
    words = {"reader": name, "seen": seen.version, "to": position, "at": now}
    if connection.execute(_MOVE, words).rowcount != 1:
        return None
    return Place(position, now, seen.version + 1)
