"""What a day brought: how many events, decisions, firings, runs and promotions, by state. Every count is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, bindparam, func, literal, select

from retrain.app.looking.queries import stamp
from retrain.app.runs.filters import PHASES
from retrain.store.firings import FiringState
from retrain.store.tables import decisions, events, firings, promotions, runs

Json = dict[str, Any]

DAY = timedelta(days=1)
CAPPED = 10_000
"""What is counted one by one is counted up to here; who shows the number says that there may be more."""
EXACT = 50_000
"""Rows of the log up to which they are counted one by one; of more the width of their positions is as good."""
LOOKED = 10_000
"""The newest decisions of the day whose outcomes are counted."""
LISTED = 20
"""Sensors that are named."""
PARTS, SAMPLES = 24, 240
"""Of the day, in the picture of its events; and events that are looked at for it."""


class Ends:
    """Statements that find a time in a table whose numbers grow with time, and that has no index on time."""

    def __init__(self, number: Column[int], time: Column[datetime]) -> None:
        self.number = number
        # One end each: of both at once SQLite reads the whole index.
        self.least = select(func.min(number))
        self.most = select(func.max(number))
        self.next = select(number, time).where(number >= bindparam("from")).order_by(number).limit(1)


EVENTS = Ends(events.c.position, events.c.received)
DECISIONS = Ends(decisions.c.id, decisions.c.time)


def flow(connection: Connection, now: datetime) -> tuple[Json, Sequence[Json]]:
    """The flow of the day until now; and the sensors that could not decide, since when and why."""
    since = now - DAY
    decided = _decided(connection, since)
    found = {
        "events": _since(connection, events, EVENTS, since),
        "eventsOverTime": _series(connection, now),
        "decisions": decided.shown,
        "firings": _by(connection, firings, "state", [one.value for one in FiringState], since),
        "runs": _by(connection, runs, "phase", PHASES, since),
        "promotions": _promoted(connection, since),
    }
    return found, decided.erring


def counted(connection: Connection, rows: Select[Any]) -> int:
    """How many rows there are; CAPPED at most."""
    return connection.execute(select(func.count()).select_from(rows.limit(CAPPED).subquery())).scalar_one()


def _by(connection: Connection, table: Table, name: str, states: Iterable[str], since: datetime) -> dict[str, int]:
    """How many rows that were made since then are in each state, of those that there are any of."""
    recent = select(literal(1)).select_from(table).where(table.c.created >= since)
    found = {state: counted(connection, recent.where(table.c[name] == state)) for state in states}
    return {state: count for state, count in found.items() if count}


def _promoted(connection: Connection, since: datetime) -> dict[str, int]:
    """Promotions since then by state: the newest ones, of which a day has never very many."""
    column = promotions.c
    newest = select(column.state).where(column.created >= since).order_by(column.created.desc()).limit(CAPPED)
    some = newest.subquery()
    query = select(some.c.state, func.count()).group_by(some.c.state)
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Decided:
    """The day's decisions: how many, and of the newest of them how many of each outcome, and who could not decide."""

    count: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    erring: Sequence[Json] = ()

    @property
    def shown(self) -> Json:
        """`of`: of so many the outcomes are."""
        return {"count": self.count, "outcomes": dict(self.outcomes), "of": sum(self.outcomes.values())}


def _decided(connection: Connection, since: datetime) -> Decided:
    count = _since(connection, decisions, DECISIONS, since)
    if not count:
        return Decided()
    column, last = decisions.c, _most(connection, DECISIONS)
    columns = (column.outcome, column.sensor, func.count(), func.min(column.time), func.max(column.id))
    query = select(*columns).where(column.id > last - min(count, LOOKED)).group_by(column.outcome, column.sensor)
    outcomes: dict[str, int] = {}
    wrong: list[Any] = []
    for row in connection.execute(query):
        outcomes[row[0]] = outcomes.get(row[0], 0) + row[2]
        if row[0] == "error":
            wrong.append(row)
    return Decided(count, outcomes, _erring(connection, wrong[:LISTED]))


def _erring(connection: Connection, rows: Sequence[Any]) -> list[Json]:
    """Sensors that could not decide: how often, since when, and why lately."""
    column = decisions.c
    query = select(column.id, column.reason).where(column.id.in_([row[4] for row in rows]))
    reasons = {row.id: row.reason for row in connection.execute(query)} if rows else {}
    return [
        {"sensor": sensor, "reason": reasons[newest], "times": times, "since": stamp(first)}
        for _, sensor, times, first, newest in rows
    ]


def _since(connection: Connection, table: Table, ends: Ends, since: datetime) -> int:
    """How many rows there are since then."""
    first, last = _first(connection, ends, since), _most(connection, ends)
    if last - first > EXACT:
        return last - first + 1
    return connection.execute(select(func.count()).select_from(table).where(ends.number >= first)).scalar_one()


def _first(connection: Connection, ends: Ends, since: datetime) -> int:
    """The number at which since then begins."""
    low, end = connection.execute(ends.least).scalar() or 1, _most(connection, ends) + 1
    while low < end:
        row = connection.execute(ends.next, {"from": (low + end) // 2}).one()
        if row[1] < since:
            low = row[0] + 1
        else:
            end = (low + end) // 2
    return low


def _most(connection: Connection, ends: Ends) -> int:
    return connection.execute(ends.most).scalar() or 0


def _series(connection: Connection, now: datetime) -> list[int]:
    """How many events came in each part of the last day, as closely as so many samples of the log tell."""
    first, last = _first(connection, EVENTS, now - DAY), _most(connection, EVENTS)
    if first > last:
        return [0] * PARTS
    places = sorted({first + (last - first) * n // (SAMPLES - 1) for n in range(SAMPLES)})
    column = events.c.position
    query = select(column, events.c.received).where(column.in_(places)).order_by(column)
    return spread([(row[0], row[1]) for row in connection.execute(query)], first, now)


def spread(samples: Sequence[tuple[int, datetime]], first: int, now: datetime) -> list[int]:
    """What lies between two samples came when the later of them did. Pure."""
    found, before = [0] * PARTS, first - 1
    for number, time in samples:
        part = PARTS - 1 - int((now - time) / (DAY / PARTS))
        found[max(0, min(PARTS - 1, part))] += number - before
        before = number
    return found
