"""How far each reader of the log has come."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from retrain.store.rows import upsert
from retrain.store.tables import cursors

_POSITION = select(cursors.c.position).where(cursors.c.name == bindparam("reader"))


def load(connection: Connection, name: str) -> int | None:
    """The last position that the reader `name` has dealt with; None if it never read."""
    return connection.execute(_POSITION, {"reader": name}).scalar()


def save(connection: Connection, name: str, position: int) -> None:
    """Remember that the reader `name` has dealt with everything up to and with `position`."""
    upsert(connection, cursors, [{"name": name, "position": position}])
