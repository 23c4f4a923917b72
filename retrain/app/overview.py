"""The platform at a glance: the flow of the last day, what waits for a person, what is broken, what is live."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, func, select

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


def overview(connection: Connection, now: datetime) -> Json:
    """What the last day was like, and what is so now."""
    since = now - DAY
    return {
        "since": stamp(since),
        "flow": {
            "events": _since(connection, events, "position", "received", since),
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
    found = _since(connection, decisions, "id", "time", since)
    if not 0 < found <= COUNTED:
        return {"count": found, "outcomes": {}}
    last = connection.execute(select(func.max(decisions.c.id))).scalar_one()
    query = select(decisions.c.outcome, func.count()).where(decisions.c.id > last - found).group_by(decisions.c.outcome)
    return {"count": found, "outcomes": {str(row[0]): int(row[1]) for row in connection.execute(query)}}


def _since(connection: Connection, table: Table, number: str, time: str, since: datetime) -> int:
    """How many rows there are since then, of a table whose numbers grow with time, and that has no index on time."""
    column = table.c[number]
    low, high = connection.execute(select(func.min(column), func.max(column))).one()
    if low is None:
        return 0
    end = high + 1
    while low < end:
        middle = (low + end) // 2
        row = connection.execute(select(column, table.c[time]).where(column >= middle).order_by(column).limit(1)).one()
        if row[1] < since:
            low = row[0] + 1
        else:
            end = middle
    return connection.execute(select(func.count()).select_from(table).where(column >= low)).scalar_one()


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
