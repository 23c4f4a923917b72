"""The platform at a glance: the flow of the last day, what waits for a person, what is broken, what is live."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from retrain.app.looking.day_flow import CAPPED, DAY, counted, flow
from retrain.app.looking.queries import stamp
from retrain.app.promotions import models
from retrain.app.runs.filters import OVER
from retrain.store import promotion_history
from retrain.store.promotion_history import PastRow
from retrain.store.tables import deadletters, runs

Json = dict[str, Any]

WEEK = 7 * DAY
LISTED = 20
"""Things of one kind that are listed."""
FAILED = 200
"""Runs that failed within the last week that are looked at."""
STREAK = 50
"""Runs of one workflow that are looked at for when it last went well."""
BROKEN = ("failed", "unhealthy")
"""States of promotions that somebody should look at, if they are new."""
WRONG = ("Failed", "Error")


def overview(connection: Connection, now: datetime) -> Json:
    """What the last day was like, and what is so now."""
    day, erring = flow(connection, now)
    return {
        "since": stamp(now - DAY),
        "capped": CAPPED,
        "flow": day,
        "waiting": {"promotions": _waiting(connection), "runs": parked_runs(connection)},
        "broken": {
            "workflows": _failing(connection, now),
            "promotions": _unwell(connection, now),
            "sensors": list(erring),
            "deadletters": _letters(connection),
        },
        "live": _live(connection),
    }


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


def _letters(connection: Connection) -> Json:
    """How many dead letters nobody has redriven, and since when there are any."""
    left = select(deadletters.c.created).where(deadletters.c.redriven.is_(None)).order_by(deadletters.c.created)
    return {"count": counted(connection, left), "since": stamp(connection.execute(left.limit(1)).scalar())}


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
