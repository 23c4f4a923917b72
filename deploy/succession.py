"""From one environment to the next: what is live in one, has soaked and is not held, is proposed to those after it.

Nothing is remembered but the promotions themselves: a look finds what is due, however often and by whomever it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from deploy import proposals
from deploy.rollout.standing import is_live, live_since
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.store import promotions
from retrain.store.promotions import PromotionRow


@dataclass(frozen=True, slots=True)
class Steps:
    """What a look came to. `proposed`: ids; `due`: when the next one may come, None: as far as is known not at all.

    `settled`: ids of those that turned out to be live by the same look.
    """

    proposed: tuple[str, ...] = ()
    due: datetime | None = None
    settled: tuple[str, ...] = ()


def advance(connection: Connection, documents: Iterable[PromotionDocument], now: datetime) -> Steps:
    """Propose what is due, in one transaction. The same again does nothing."""
    proposed: list[str] = []
    dues: list[datetime] = []
    for document in documents:
        for following in document.environments:
            step = _step(connection, document, following, now)
            if isinstance(step, str):
                proposed.append(step)
            elif step is not None:
                dues.append(step)
    if proposed:
        faults.point("promotion.before_next")
    return Steps(tuple(proposed), min(dues, default=None))


def _step(connection: Connection, document: PromotionDocument, following: str, now: datetime) -> str | datetime | None:
    """The id of what was proposed to that environment, or when something may be."""
    before = document.before(following)
    # Of several environments before, the promotion to the last is the parent: one model has one way on.
    live = promotions.newest_promoted(connection, document.name, before[-1]) if before else None
    if live is None or not is_live(live) or promotions.child(connection, live.id, following) is not None:
        return None
    if any(promotions.holding(connection, document.name, where) for where in (*before, following)):
        return None  # a release is told, and looked at then
    ready = _ready(connection, document, live, following)
    if ready is None or ready > now:
        return ready
    return proposals.follow(connection, document, live, following, now)


def _ready(connection: Connection, document: PromotionDocument, live: PromotionRow, following: str) -> datetime | None:
    """When the model has soaked in all environments before `following`; None where it is not in all of them."""
    times: list[datetime] = []
    for name in document.before(following):
        there = promotions.newest_promoted(connection, document.name, name)
        if there is None or there.candidate.get("digest") != live.candidate.get("digest"):
            return None
        # A rollback that brought it back counts from then.
        last = promotions.latest(connection, document.name, name) or there
        if not is_live(there) or not is_live(last):
            return None
        times.append(max(live_since(one) for one in (there, last)) + document.soak(name))
    return max(times)
