"""The platform at a glance: the flow of the last day, what waits for a person, what is broken, what is live.

Everything here is bounded: a count goes up to CAPPED, and what is counted by position is as wide as its positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, bindparam, func, literal, select

from retrain.app import models
from retrain.app.queries import stamp
from retrain.app.run_filters import OVER, PHASES
from retrain.store import promotion_history
from retrain.store.firings import FiringState
from retrain.store.promotion_history import PastRow
from retrain.store.tables import deadletters, decisions, events, firings, runs
from retrain.store.tables import promotions as promotion_table

Json = dict[str, Any]

DAY = timedelta(days=1)
WEEK = 7 * DAY
CAPPED = 10_000
"""What is counted one by one is counted up to here; who shows the number says that there may be more."""
EXACT = 50_000
"""Rows of the log up to which they are counted one by one; of more the width of their positions is as good."""
LOOKED = 20_000
"""The newest decisions of the day whose outcomes are counted."""
LISTED = 20
"""Things of one kind that are listed."""
FAILED = 200
"""Runs that failed within the last week that are looked at."""
STREAK = 50
"""Runs of one workflow that are looked at for when it last went well."""
BROKEN = ("failed", "unhealthy")
"""States of promotions that somebody should look at, if they are new."""
WRONG = ("Failed", "Error")

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


def overview(connection: Connection, now: datetime) -> Json:
    """What the last day was like, and what is so now."""
    since = now - DAY
    decided = _decided(connection, since)
    return {
        "since": stamp(since),
        "capped": CAPPED,
        "flow": {
            "events": _since(connection, events, EVENTS, since),
            "eventsOverTime": _series(connection, now),
            "decisions": decided,
            "firings": _by(connection, firings, "state", [one.value for one in FiringState], since),
            "runs": _by(connection, runs, "phase", PHASES, since),
            "promotions": _promoted(connection, since),
        },
        "waiting": {"promotions": _waiting(connection), "runs": parked_runs(connection)},
        "broken": {
            "workflows": _failing(connection, now),
            "promotions": _unwell(connection, now),
            "sensors": _erring(connection, since) if "error" in decided["outcomes"] else [],
            "deadletters": _letters(connection),
        },
        "live": _live(connection),
    }


def _counted(connection: Connection, rows: Select[Any]) -> int:
    """How many rows there are; CAPPED at most."""
    return connection.execute(select(func.count()).select_from(rows.limit(CAPPED).subquery())).scalar_one()


def _by(connection: Connection, table: Table, name: str, states: Iterable[str], since: datetime) -> dict[str, int]:
    """How many rows that were made since then are in each state, of those that there are any of."""
    recent = select(literal(1)).select_from(table).where(table.c.created >= since)
    found = {state: _counted(connection, recent.where(table.c[name] == state)) for state in states}
    return {state: count for state, count in found.items() if count}


def _promoted(connection: Connection, since: datetime) -> dict[str, int]:
    """Promotions since then by state: the newest ones, of which a day has never very many."""
    column = promotion_table.c
    newest = select(column.state).where(column.created >= since).order_by(column.created.desc()).limit(CAPPED)
    some = newest.subquery()
    query = select(some.c.state, func.count()).group_by(some.c.state)
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def _decided(connection: Connection, since: datetime) -> Json:
    """How many decisions, and the outcomes of the newest of them; `of`: so many."""
    found = _since(connection, decisions, DECISIONS, since)
    if not found:
        return {"count": 0, "outcomes": {}, "of": 0}
    column, last = decisions.c, _most(connection, DECISIONS)
    query = select(column.outcome, func.count()).where(column.id > last - min(found, LOOKED)).group_by(column.outcome)
    outcomes = {str(row[0]): int(row[1]) for row in connection.execute(query)}
    return {"count": found, "outcomes": outcomes, "of": sum(outcomes.values())}


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


# --- what is so now --------------------------------------------------------------------------------------------------


def _waiting(connection: Connection) -> list[Json]:
    return [_short(one) for one in promotion_history.newest(connection, ("awaiting",), LISTED)]


def _unwell(connection: Connection, now: datetime) -> list[Json]:
    """Promotions that are broken, and since when: those of the last week."""
    found = promotion_history.newest(connection, BROKEN, LISTED)
    return [_short(one) for one in found if one.updated >= now - WEEK]


def _short(one: PastRow) -> Json:
    return {
        "id": one.id,
        "name": one.name,
        "environment": one.environment,
        "state": one.state,
        "reason": one.reason,
        "since": stamp(one.updated),
        "updated": stamp(one.updated),
    }


def parked_runs(connection: Connection) -> list[Json]:
    """Runs that wait for people: they are begun, nobody works on them, and no time wakes them."""
    mine = (runs.c.phase == "Running", runs.c.parked == 1, runs.c.wake.is_(None))
    query = select(runs.c.name, runs.c.workflow, runs.c.started).where(*mine).order_by(runs.c.started.desc())
    rows = connection.execute(query.limit(LISTED))
    return [{"name": row.name, "workflow": row.workflow, "since": stamp(row.started)} for row in rows]


def _failing(connection: Connection, now: datetime) -> list[Json]:
    """Workflows whose newest run that is over failed, and since when they have."""
    found = (_streak(connection, name) for name in _failed(connection, now - WEEK)[:LISTED])
    return sorted((one for one in found if one is not None), key=lambda one: one["since"] or "", reverse=True)


def _failed(connection: Connection, since: datetime) -> list[str]:
    """Workflows of which a run of those days failed, the newest failure first."""
    column, found = runs.c, dict[str, datetime]()
    for phase in WRONG:
        query = select(column.workflow, column.created).where(column.phase == phase, column.created >= since)
        for row in connection.execute(query.order_by(column.created.desc()).limit(FAILED)):
            found[row.workflow] = max(found.get(row.workflow, row.created), row.created)
    return sorted(found, key=lambda name: found[name], reverse=True)


def _streak(connection: Connection, workflow: str) -> Json | None:
    """The newest runs of a workflow that failed one after the other; None: the newest that is over went well.

    `times`: how many; of a longer row than is looked at, so many.
    """
    column, found = runs.c, list[Any]()
    columns = (column.name, column.phase, column.message, column.finished)
    query = select(*columns).where(column.workflow == workflow).order_by(column.created.desc()).limit(STREAK)
    for row in connection.execute(query):
        if row.phase not in OVER:
            continue
        if row.phase not in WRONG:
            break
        found.append(row)
    if not found:
        return None
    newest, first = found[0], found[-1]
    told = {"workflow": workflow, "run": newest.name, "phase": newest.phase, "message": newest.message}
    return {**told, "times": len(found), "since": stamp(first.finished)}


def _erring(connection: Connection, since: datetime) -> list[Json]:
    """Sensors that could not decide, by the newest decisions of the day: how often, since when, and why lately."""
    column = decisions.c
    mine = (column.id > _most(connection, DECISIONS) - LOOKED, column.outcome == "error", column.time >= since)
    # SQLite takes the other columns of the row that has the greatest id.
    columns = (column.sensor, column.reason, func.count(), func.min(column.time), func.max(column.id))
    rows = connection.execute(select(*columns).where(*mine).group_by(column.sensor).limit(LISTED))
    return [{"sensor": row[0], "reason": row[1], "times": row[2], "since": stamp(row[3])} for row in rows]


def _letters(connection: Connection) -> Json:
    """How many dead letters nobody has redriven, and since when there are any."""
    left = select(deadletters.c.created).where(deadletters.c.redriven.is_(None)).order_by(deadletters.c.created)
    return {"count": _counted(connection, left), "since": stamp(connection.execute(left.limit(1)).scalar())}


def _live(connection: Connection) -> list[Json]:
    """What is live in each environment, and what holds it."""
    there = models.standing(connection)
    targets = sorted({*promotion_history.targets(connection), *there.holds})[: 10 * LISTED]
    return [_target(there, name, environment) for name, environment in targets]


def _target(there: models.Standing, name: str, environment: str) -> Json:
    """`promotion`: the newest commit's; `live`: the model."""
    found = there.target(name, environment)
    newest, live = there.commits.get((name, environment)), found["live"]
    told = None
    if newest is not None:
        told = {**_short(newest), "action": newest.action, "candidate": models.candidate(newest.candidate)}
        told["commit"] = newest.commit_sha
    return {"name": name, **found, "promotion": told, "since": live["since"] if live else None}


def live_commits(connection: Connection) -> dict[str, str]:
    """The commits that are live, and where."""
    rows = promotion_history.live(connection).values()
    return {row.commit_sha: f"{row.name} in {row.environment}" for row in rows if row.commit_sha}
