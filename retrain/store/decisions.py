"""Why something happened, or did not: one row for each event and each dependency that it concerned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from retrain.events import JsonValue
from retrain.store.rows import MAX_PAGE
from retrain.store.tables import decisions


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """`outcome`: passed, filtered, error, unmatched or duplicate; `reason` says it in words."""

    event_key: str
    sensor: str
    dependency: str | None
    outcome: str
    reason: str
    detail: JsonValue
    time: datetime


def add(connection: Connection, rows: Sequence[DecisionRow]) -> None:
    """Put decisions on record."""
    if rows:
        connection.execute(insert(decisions), [_values(row) for row in rows])


def _values(row: DecisionRow) -> dict[str, object]:
    return {
        "event_key": row.event_key,
        "sensor": row.sensor,
        "dependency": row.dependency,
        "outcome": row.outcome,
        "reason": row.reason,
        "detail": row.detail,
        "time": row.time,
    }


def of_event(connection: Connection, event_key: str) -> list[DecisionRow]:
    """What every sensor made of one event, in the order in which it was decided."""
    return _rows(connection, decisions.c.event_key == event_key, newest=False)


def of_sensor(connection: Connection, sensor: str, limit: int = 50) -> list[DecisionRow]:
    """The newest decisions of one sensor, newest first."""
    return _rows(connection, decisions.c.sensor == sensor, newest=True, limit=limit)


def _rows(connection: Connection, where: object, *, newest: bool, limit: int = MAX_PAGE) -> list[DecisionRow]:
    order = decisions.c.id.desc() if newest else decisions.c.id
    query = select(decisions).where(where).order_by(order).limit(min(limit, MAX_PAGE))  # pyright: ignore[reportArgumentType]
    return [
        DecisionRow(r.event_key, r.sensor, r.dependency, r.outcome, r.reason, r.detail, r.time)
        for r in connection.execute(query)
    ]
