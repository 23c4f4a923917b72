"""Outputs that steps had, remembered by the name of a cache and a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from retrain.store.rows import upsert, values_of
from retrain.store.tables import memos


@dataclass(frozen=True, slots=True)
class MemoRow:
    """One entry. `outputs` are Argo's `outputs` of the node that made it."""

    cache: str
    key: str
    node_id: str
    outputs: Mapping[str, Any]
    created: datetime
    last_hit: datetime | None = None


_THIS = (memos.c.cache == bindparam("this_cache"), memos.c.key == bindparam("this_key"))
_GET = select(memos).where(*_THIS)
_HIT = update(memos).where(*_THIS).values(last_hit=bindparam("at"))


def get(connection: Connection, cache: str, key: str) -> MemoRow | None:
    """What is remembered, however old."""
    row = connection.execute(_GET, {"this_cache": cache, "this_key": key}).first()
    return MemoRow(**{name: getattr(row, name) for name in MemoRow.__dataclass_fields__}) if row else None


def put(connection: Connection, row: MemoRow) -> None:
    """Remember, in the place of what was there."""
    upsert(connection, memos, [values_of(row)])


def hit(connection: Connection, cache: str, key: str, now: datetime) -> None:
    """An entry was of use."""
    connection.execute(_HIT, {"this_cache": cache, "this_key": key, "at": now})


def forget(connection: Connection, unused_since: datetime) -> int:
    """Drop the entries that nobody has made or used since; how many."""
    used = func.coalesce(memos.c.last_hit, memos.c.created)
    return connection.execute(delete(memos).where(used < unused_since)).rowcount
