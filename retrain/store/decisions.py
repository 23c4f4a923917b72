"""Why something happened, or did not: one row for each event and each dependency that it concerned, and for each thing
that a timer or a lane decided. Kept for a time that the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select

from retrain.events import JsonValue
from retrain.store.rows import MAX_PAGE, insert_raw
from retrain.store.tables import decisions, dumps, to_microseconds


class DecisionRow(NamedTuple):
    """`outcome`: what became of it (passed, filtered, expired, held, ...); `reason` says it in words. `event_key` is
    None where a timer decided, `dependency` where a lane or a timer did."""

    event_key: str | None
    sensor: str
    dependency: str | None
    outcome: str
    reason: str
    detail: JsonValue
    time: datetime
    trigger: str | None = None
    key: str = ""
    number: int = 0
    """Which of all decisions it is; they are numbered as they are made."""


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions to show; None means any. `before`: those that were made before the one of this number; `after`:
    that one and later ones."""

    outcome: str | None = None
    trigger: str | None = None
    key: str | None = None
    before: int | None = None
    after: int | None = None

    @property
    def sieved(self) -> bool:
        """Whether it asks for what no index has."""
        return (self.outcome, self.trigger, self.key) != (None, None, None)


_NAMES = ("event_key", "sensor", "dependency", "outcome", "reason", "detail", "time", "trigger", "key")
_OLDEST = select(decisions.c.id, decisions.c.time).order_by(decisions.c.id).limit(bindparam("most"))
_FORGET = delete(decisions).where(decisions.c.id <= bindparam("last"))
# Each end by a step down the index: for both in one SELECT, SQLite walks through all of it.
_ENDS = select(
    select(func.min(decisions.c.id)).scalar_subquery().label("first"),
    select(func.max(decisions.c.id)).scalar_subquery().label("last"),
)


def add(connection: Connection, rows: Sequence[DecisionRow]) -> None:
    """Put decisions on record."""
    insert_raw(connection, decisions, _NAMES, [_raw(row) for row in rows], new=False)


def _raw(row: DecisionRow) -> tuple[object, ...]:
    event_key, sensor, dependency, outcome, reason, detail, time, trigger, key, _ = row
    written = dumps(detail) if detail is not None else None
    return event_key, sensor, dependency, outcome, reason, written, to_microseconds(time), trigger, key


def of_event(connection: Connection, event_key: str) -> list[DecisionRow]:
    """What every sensor made of one event, in the order in which it was decided."""
    return _rows(connection, [decisions.c.event_key == event_key], newest=False)


def of_sensor(
    connection: Connection, sensor: str, limit: int = 50, which: DecisionFilter | None = None
) -> list[DecisionRow]:
    """The newest decisions of one sensor, newest first."""
    where = [decisions.c.sensor == sensor]
    which = which or DecisionFilter()
    for column, wanted in (
        (decisions.c.outcome, which.outcome),
        (decisions.c.trigger, which.trigger),
        (decisions.c.key, which.key),
    ):
        if wanted is not None:
            where.append(column == wanted)
    if which.before is not None:
        where.append(decisions.c.id < which.before)
    if which.after is not None:
        where.append(decisions.c.id >= which.after)
    return _rows(connection, where, newest=True, limit=limit)


def floor_of(connection: Connection, sensor: str, before: int | None, most: int) -> int | None:
    """The number of the sensor's decision that so many others of it were made after, up to `before`; None: there are
    not so many."""
    query = select(decisions.c.id).where(decisions.c.sensor == sensor)
    if before is not None:
        query = query.where(decisions.c.id < before)
    return connection.execute(query.order_by(decisions.c.id.desc()).offset(most).limit(1)).scalar()


def prune(connection: Connection, before: datetime, keep_rows: int | None, most: int = 1000) -> int:
    """Delete up to `most` of the oldest decisions that were made before then, or that are beyond `keep_rows`; how many.

    Numbers grow with time, so the oldest are the first: no index on time is kept for this.
    """
    oldest = connection.execute(_OLDEST, {"most": most}).all()
    if not oldest:
        return 0
    ends = connection.execute(_ENDS).one()
    floor = ends.last - keep_rows if keep_rows is not None else ends.first - 1
    old = [row.id for row in oldest if row.time < before or row.id <= floor]
    if not old:
        return 0
    return connection.execute(_FORGET, {"last": max(old)}).rowcount


def _rows(connection: Connection, where: Sequence[object], *, newest: bool, limit: int = MAX_PAGE) -> list[DecisionRow]:
    order = decisions.c.id.desc() if newest else decisions.c.id
    query = select(decisions).where(*where).order_by(order).limit(min(limit, MAX_PAGE))  # pyright: ignore[reportArgumentType]
    return [
        DecisionRow(r.event_key, r.sensor, r.dependency, r.outcome, r.reason, r.detail, r.time, r.trigger, r.key, r.id)
        for r in connection.execute(query)
    ]
