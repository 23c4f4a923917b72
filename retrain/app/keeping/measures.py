"""How big the store is, table by table. Every page of the file is looked at for it: aside, and when somebody asks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from retrain.clock import Clock
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store.database import reading

Json = dict[str, Any]
EVERY_S = 300.0
"""Seconds after which a measure is made anew, if somebody asks; longer where one takes long."""
SHARE = 0.01
"""Of the time that may be spent on measuring."""
NONE: Json = {"measured": None, "took": None, "tables": []}
"""Nobody has measured yet."""

log = get_logger()

# Rows are the cells of a table's leaves; of a table without rowids, which is an index, of all its pages.
_PAGES = text("SELECT name, sum(pgsize), sum(ncell), sum(iif(pagetype = 'leaf', ncell, 0)) FROM dbstat GROUP BY name")
_TREES = text("SELECT name, tbl_name, type, sql FROM sqlite_schema")


def measure(connection: Connection) -> list[Json]:
    """`{"name", "rows", "bytes"}` of each table, its indexes included, the biggest first. Bytes are None where SQLite
    was built without what tells them. Takes some seconds for each GB."""
    trees = {row.name: row for row in connection.execute(_TREES)}
    try:
        pages = connection.execute(_PAGES).all()
    except DBAPIError:
        return _counted(connection, [name for name, row in trees.items() if row.type == "table"])
    found: dict[str, Json] = {}
    for name, size, cells, leaves in pages:
        tree = trees.get(name)
        table = tree.tbl_name if tree is not None else name
        one = found.setdefault(table, {"name": table, "rows": 0, "bytes": 0})
        one["bytes"] += size
        if name == table:
            flat = tree is not None and "WITHOUT ROWID" in str(tree.sql)
            one["rows"] = cells if flat else leaves
    return sorted(found.values(), key=lambda one: -one["bytes"])


def _counted(connection: Connection, tables: list[str]) -> list[Json]:
    query = 'SELECT count(*) FROM "{}"'
    counts = [(name, connection.exec_driver_sql(query.format(name)).scalar_one()) for name in tables]
    return [{"name": name, "rows": rows, "bytes": None} for name, rows in sorted(counts, key=lambda one: -one[1])]


def files(path: Path) -> Json:
    """Bytes of the store's files: `bytes` of the database, `wal` of what is not in it yet."""
    return {"bytes": _size(path), "wal": _size(path.with_name(f"{path.name}-wal"))}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # between a checkpoint and the next write there is no such file
        return 0


class Measures:
    """The newest measure of one store."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._asked = anyio.Event()
        self._made = anyio.Event()
        self._limiter = anyio.CapacityLimiter(1)
        self._latest: tuple[datetime, float, list[Json]] | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Measure whenever that is asked for, until cancelled."""
        task_status.started()
        while True:
            await self._asked.wait()
            await self._measure()
            self._asked = anyio.Event()
            made, self._made = self._made, anyio.Event()
            made.set()

    async def latest(self, patience_s: float) -> Json:
        """`{"measured", "took", "tables"}`; waits so long for the first one. An old one is given while a new one is
        made."""
        if self._is_old():
            self._asked.set()
        if self._latest is None:
            with anyio.move_on_after(patience_s):
                await self._made.wait()
        if self._latest is None:
            return NONE
        at, took, tables = self._latest
        return {"measured": at.isoformat().replace("+00:00", "Z"), "took": round(took, 3), "tables": tables}

    def _is_old(self) -> bool:
        if self._latest is None:
            return True
        at, took, _ = self._latest
        return (self._clock.now() - at).total_seconds() > max(EVERY_S, took / SHARE)

    async def _measure(self) -> None:
        begun, at = monotonic(), self._clock.now()
        try:
            tables = await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True, limiter=self._limiter)
        except Transient as error:
            log.warning("store.not_measured", error=str(error))
            return
        self._latest = at, monotonic() - begun, tables

    def _read(self) -> list[Json]:
        # A connection of its own: the readers of the store are for those who wait.
        with reading(self._path) as connection:
            return measure(connection)
