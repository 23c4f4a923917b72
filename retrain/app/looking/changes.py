"""What has changed in the store, by topic: a few numbers that are cheap to ask for and differ after each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from sqlalchemy import Connection, Executable, func, select

from retrain.store import promotions, runs
from retrain.store.tables import approvals, audit, deadletters, decisions, events, firings, holds
from retrain.store.tables import promotions as promotion_table
from retrain.store.tables import runs as run_table

Topic = Literal["events", "sensors", "firings", "runs", "promotions", "deadletters"]
TOPICS: tuple[Topic, ...] = get_args(Topic)

MOST = 500
"""Open runs and promotions that are looked at one by one; there are seldom so many at work."""
Prints = Mapping[Topic, Any]


def fingerprints(connection: Connection) -> Prints:
    """For each topic something that is another once anything of it has changed. Every part of it is an index's end,
    or a short list."""
    ends = connection.execute(_ENDS).one()
    return {
        "events": ends.position,
        "sensors": ends.decision,
        "firings": (ends.fired, ends.deed, *_rows(connection, _FIRINGS)),
        "runs": (ends.begun, ends.finished, *_rows(connection, _RUNS)),
        "promotions": (
            ends.proposed,
            ends.word,
            ends.deed,
            ends.ended,
            *_rows(connection, _PROMOTIONS),
            *_rows(connection, _HOLDS),
        ),
        "deadletters": (ends.letter, *_rows(connection, _DEAD)),
    }


def _rows(connection: Connection, query: Executable) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]


_TOLD = select(func.max(events.c.position)).where(
    # A range of an index, which LIKE is not.
    events.c.source == "retrain",
    events.c.subject >= "promotion.",
    events.c.subject < "promotion/",
)
"""What happens to a promotion that is over (it is live, it was rolled back) is told as an event."""
_ENDS = select(
    select(func.max(events.c.position)).scalar_subquery().label("position"),
    select(func.max(decisions.c.id)).scalar_subquery().label("decision"),
    select(func.max(firings.c.created)).scalar_subquery().label("fired"),
    select(func.max(run_table.c.created)).scalar_subquery().label("begun"),
    select(func.max(run_table.c.finished)).scalar_subquery().label("finished"),
    select(func.max(promotion_table.c.created)).scalar_subquery().label("proposed"),
    select(func.max(approvals.c.id)).scalar_subquery().label("word"),
    select(func.max(audit.c.id)).scalar_subquery().label("deed"),
    _TOLD.scalar_subquery().label("ended"),
    select(func.max(deadletters.c.created)).scalar_subquery().label("letter"),
)
_FIRINGS = (
    select(firings.c.id, firings.c.state, firings.c.attempts)
    .where(firings.c.state.in_(("pending", "running")))
    .limit(MOST)
)
_DEAD = select(func.count()).where(firings.c.state == "dead")
_RUNS = (
    select(run_table.c.id, run_table.c.phase, run_table.c.pods, run_table.c.control, run_table.c.parked)
    .where(run_table.c.phase.in_(runs.OPEN))
    .limit(MOST)
)
_PROMOTIONS = (
    select(promotion_table.c.id, promotion_table.c.state, promotion_table.c.updated)
    .where(promotion_table.c.state.in_(promotions.OPEN))
    .limit(MOST)
)
_HOLDS = select(holds.c.name, holds.c.environment, holds.c.created)
