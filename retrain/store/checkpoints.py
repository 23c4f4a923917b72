"""What an event source must remember, because its protocol does not: one JSON value for each (owner, name)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, select

from retrain.events import JsonValue
from retrain.store.rows import upsert
from retrain.store.tables import checkpoints

CHUNK = 500
"""Names of one `IN (...)`."""


def get_many(connection: Connection, owner: str, names: Iterable[str]) -> dict[str, JsonValue]:
    """What `owner` has kept under these names; unknown names are left out."""
    wanted, found = list(names), dict[str, JsonValue]()
    for start in range(0, len(wanted), CHUNK):
        query = select(checkpoints.c.name, checkpoints.c.value).where(checkpoints.c.owner == owner)
        rows = connection.execute(query.where(checkpoints.c.name.in_(wanted[start : start + CHUNK])))
        found.update({row.name: row.value for row in rows})
    return found


def after(connection: Connection, owner: str, name: str, limit: int) -> dict[str, JsonValue]:
    """The first `limit` things that `owner` has kept under names behind `name`, in order of names."""
    query = select(checkpoints.c.name, checkpoints.c.value).where(checkpoints.c.owner == owner)
    rows = connection.execute(query.where(checkpoints.c.name > name).order_by(checkpoints.c.name).limit(limit))
    return {row.name: row.value for row in rows}


def save(connection: Connection, owner: str, values: Mapping[str, JsonValue]) -> None:
    """Keep values, over what was kept before under the same names."""
    upsert(connection, checkpoints, [{"owner": owner, "name": name, "value": value} for name, value in values.items()])


def forget(connection: Connection, owner: str, names: Iterable[str]) -> None:
    """Drop values that are of no use any more."""
    connection.execute(delete(checkpoints).where(checkpoints.c.owner == owner, checkpoints.c.name.in_(list(names))))
