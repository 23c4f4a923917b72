"""The platform at a glance: the flow of the last day, what waits for a person, what is broken, what is live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam, func, select

from retrain.app.queries import hold, promotion, stamp
from retrain.store import promotions
from retrain.store.promotions import PromotionFilter
from retrain.store.tables import deadletters, decisions, events, firings, runs
from retrain.store.tables import promotions as promotion_table

Json = dict[str, Any]

DAY = timedelta(days=1)
COUNTED = 20_000
"""The newest decisions of the day whose outcomes are counted; of more only how many there are."""
LISTED = 20
"""Things of one kind that are listed."""
BROKEN = ("failed", "unhealthy")
"""States of promotions that somebody should look at, if they are new."""
WRONG = ("Failed", "Error")

PARTS, SAMPLES = 24, 240
"""Of the day, in the picture of its events; and events that are looked at for it."""


class Ends:
    """Statements that find a time in a table whose numbers grow with time, and that has no index on time."""

    def __init__(self, number: Column[int], time: Column[datetime]) -> None:
        self.number = number
        self.range = select(func.min(number), func.max(number))
        self.next = select(number, time).where(number >= bindparam("from")).order_by(number).limit(1)


EVENTS = Ends(events.c.position, events.c.received)
DECISIONS = Ends(decisions.c.id, decisions.c.time)


def overview(connection: Connection, now: datetime) -> Json:
    """What the last day was like, and what is so now."""
    since = now - DAY
    return {
        "since": stamp(since),
        "flow": {
            "events": _since(connection, events, EVENTS, since),
            "eventsOverTime": _series(connection, now),
            "decisions": _decided(connection, since),
            "firings": _by(connection, firings, "state", since),
            "runs": _by(connection, runs, "phase", since),
            "promotions": _by(connection, promotion_table, "state", since),
        },
        "waiting": {"promotions": _promotions(connection, "awaiting"), "runs": _parked(connection)},
        "broken": {
            "workflows": _failing(connection, now),
            "promotions": _unwell(connection, now),
            "deadletters": _letters(connection),
        },
        "live": _live(connection),
    }


def _by(connection: Connection, table: Table, state: str, since: datetime) -> dict[str, int]:
    """How many rows that were made since then are in each state."""
    query = select(table.c[state], func.count()).where(table.c.created >= since).group_by(table.c[state])
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def _decided(connection: Connection, since: datetime) -> Json:
    found = _since(connection, decisions, DECISIONS, since)
    if not 0 < found <= COUNTED:
        return {"count": found, "outcomes": {}}
    last = connection.execute(select(func.max(decisions.c.id))).scalar_one()
    query = select(decisions.c.outcome, func.count()).where(decisions.c.id > last - found).group_by(decisions.c.outcome)
    return {"count": found, "outcomes": {str(row[0]): int(row[1]) for row in connection.execute(query)}}


def _since(connection: Connection, table: Table, ends: Ends, since: datetime) -> int:
    """How many rows there are since then."""
    first = _first(connection, ends, since)
    return connection.execute(select(func.count()).select_from(table).where(ends.number >= first)).scalar_one()


def _first(connection: Connection, ends: Ends, since: datetime) -> int:
    """The number at which since then begins."""
    least, most = _range(connection, ends)
    low, end = least, most + 1
    while low < end:
        row = connection.execute(ends.next, {"from": (low + end) // 2}).one()
        if row[1] < since:
            low = row[0] + 1
        else:
            end = (low + end) // 2
    return low


def _range(connection: Connection, ends: Ends) -> tuple[int, int]:
    """The least and the greatest number; of an empty table none lies between them."""
    row: Any = connection.execute(ends.range).one()
    return (row[0], row[1]) if row[0] is not None else (1, 0)


def _series(connection: Connection, now: datetime) -> list[int]:
    """How many events came in each part of the last day, as closely as so many samples of the log tell."""
    first, (_, last) = _first(connection, EVENTS, now - DAY), _range(connection, EVENTS)
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


# --- what is so now --------------------------------------------------------------------------------------------------


def _promotions(connection: Connection, state: str) -> list[Json]:
    found = promotions.listing(connection, PromotionFilter(state=state), limit=LISTED)
    return [promotion(one) for one in found.items]


def _unwell(connection: Connection, now: datetime) -> list[Json]:
    found = (one for state in BROKEN for one in _promotions(connection, state))
    week = stamp(now - 7 * DAY) or ""
    return [one for one in found if one["updated"] >= week][:LISTED]


def _parked(connection: Connection) -> list[Json]:
    """Runs that wait for people: they are begun, nobody works on them, and no time wakes them."""
    mine = (runs.c.phase == "Running", runs.c.parked == 1, runs.c.wake.is_(None))
    query = select(runs.c.name, runs.c.workflow, runs.c.started).where(*mine).order_by(runs.c.started.desc())
    rows = connection.execute(query.limit(LISTED))
    return [{"name": row.name, "workflow": row.workflow, "since": stamp(row.started)} for row in rows]


def _failing(connection: Connection, now: datetime) -> list[Json]:
    """Workflows whose newest run that is over failed, and since when they have."""
    recent = now - 7 * DAY
    columns = (runs.c.name, runs.c.workflow, runs.c.phase, runs.c.message, runs.c.finished)
    query = select(*columns).where(runs.c.finished >= recent).order_by(runs.c.finished.desc()).limit(1000)
    found: dict[str, Json] = {}
    good: set[str] = set()
    for row in connection.execute(query):
        if row.workflow in good:
            continue
        if row.phase not in WRONG:
            good.add(row.workflow)
            continue
        first = {"workflow": row.workflow, "run": row.name, "phase": row.phase, "message": row.message, "times": 0}
        one = found.setdefault(row.workflow, first)
        one["since"], one["times"] = stamp(row.finished), one["times"] + 1
    return list(found.values())[:LISTED]


def _letters(connection: Connection) -> Json:
    """How many dead letters nobody has redriven, and since when there are any."""
    left = deadletters.c.redriven.is_(None)
    row = connection.execute(select(func.count(), func.min(deadletters.c.created)).where(left)).one()
    return {"count": row[0], "since": stamp(row[1])}


def _live(connection: Connection) -> list[Json]:
    """The newest commit of each target, and what holds it."""
    names = select(promotion_table.c.name, promotion_table.c.environment).distinct().limit(200)
    found: list[Json] = []
    for row in sorted(connection.execute(names).all()):
        latest = promotions.latest(connection, row.name, row.environment)
        held = promotions.holding(connection, row.name, row.environment)
        found.append(
            {
                "name": row.name,
                "environment": row.environment,
                "promotion": promotion(latest) if latest else None,
                "since": stamp(latest.ended or latest.updated) if latest else None,
                "hold": hold(held) if held else None,
            }
        )
    return found
