"""What the store says for `/metrics`: only what is open, so that it costs the same after a million runs.

What has ended is counted as it ends (`retrain.telemetry.meters`). Every count here goes over an index on what is open,
and ends at MOST.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.sql import ColumnElement

from deploy.states import OPEN as OPEN_PROMOTIONS
from retrain.store import cursors, runs
from retrain.store.firings import OPEN as OPEN_FIRINGS
from retrain.store.tables import deadletters, firings, leases, outbox, promotions, span_feed
from retrain.store.tables import runs as runs_table

MOST = 100_000
"""Where a count ends: there are at least so many."""
SENSORS = "sensors"


@dataclass(frozen=True, slots=True)
class Promoting:
    """Promotions in one state to one environment, and since when the oldest has existed."""

    state: str
    environment: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """`cursor`: how far the sensors have read the log."""

    cursor: int
    firings: dict[str, int]
    runs: dict[str, int]
    promotions: list[Promoting]
    deadletters: int
    outbox: int
    leases: int
    spans: int


def store_figures(connection: Connection, now: datetime) -> StoreFigures:
    """All of it, on one snapshot."""
    return StoreFigures(
        cursors.load(connection, SENSORS) or 0,
        {state: _count(connection, firings, firings.c.state == state) for state in OPEN_FIRINGS},
        {phase: _count(connection, runs_table, runs_table.c.phase == phase) for phase in runs.OPEN},
        _promotions(connection),
        _count(connection, deadletters, deadletters.c.redriven.is_(None)),
        _count(connection, outbox),
        _count(connection, leases, leases.c.until > now),
        _count(connection, span_feed),
    )


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    some = select(1).select_from(table).where(*where).limit(MOST).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _promotions(connection: Connection) -> list[Promoting]:
    wanted = sorted([*OPEN_PROMOTIONS, "unhealthy"])
    one = promotions.c
    query = select(one.state, one.environment, func.count(), func.min(one.created)).where(one.state.in_(wanted))
    return [Promoting(*row) for row in connection.execute(query.group_by(one.state, one.environment))]
