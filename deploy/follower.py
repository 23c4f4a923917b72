"""The loop that takes models from one step of a canary to the next, and from one environment to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from deploy import succession
from deploy.rollout import canary
from deploy.spec import PromotionDocument
from deploy.succession import Steps
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.store import Store

log = structlog.get_logger()

TOPIC = "promotion steps"
LONGEST_S = 15.0
"""How often to look at least: another process may have changed something."""
AGAIN_S = 1.0
"""When to look again after the store was away."""


async def run(store: Store, documents: Callable[[], Mapping[str, PromotionDocument]], clock: Clock) -> None:
    """Look whenever something has changed or has soaked, until cancelled."""
    while True:
        steps = await _look(store, list(documents().values()), clock)
        if steps.proposed:
            log.info("promotion.next", promotions=list(steps.proposed))
        if steps.proposed or steps.settled:
            for topic in ("promotions", "promotion marks", "outbox"):
                store.signals.notify(topic)
        due_s = (steps.due - clock.now()).total_seconds() if steps.due else LONGEST_S
        await store.signals.wait(TOPIC, min(max(due_s, 0.01), LONGEST_S))


def _advance(connection: Connection, documents: Sequence[PromotionDocument], now: datetime) -> Steps:
    # What a canary's last step makes live may go on at once.
    within = canary.advance(connection, documents, now)
    between = succession.advance(connection, documents, now)
    dues = [due for due in (within.due, between.due) if due is not None]
    proposed = (*within.taken, *between.proposed)
    return Steps(proposed, min(dues, default=None), settled=within.settled)


async def _look(store: Store, documents: Sequence[PromotionDocument], clock: Clock) -> Steps:
    if not documents:
        return Steps()
    now = clock.now()
    try:
        return await store.write(partial(_advance, documents=documents, now=now))
    except Transient as error:
        log.warning("promotion.next_unsaved", error=str(error))
        return Steps(due=now + timedelta(seconds=AGAIN_S))
