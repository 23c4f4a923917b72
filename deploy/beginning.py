"""How a look at a promotion begins: what is wanted, with what people have said so far, or what stops it at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from deploy import barrier, proposals, waivers
from deploy.clearance import held
from deploy.derive import Intent
from deploy.gates import Given
from deploy.outcomes import Ending
from deploy.record import held_by
from deploy.spec import PromotionDocument
from deploy.states import WAITING, into
from retrain.store import promotions
from retrain.store.promotions import PromotionRow


def begin(
    connection: Connection, document: PromotionDocument, row: PromotionRow, owner: str, now: datetime
) -> Intent | Ending:
    """Enter `gating`, and give what is wanted; an Ending where something stops it.

    Raises:
        ConfigError: the promotion's candidate is none.
    """
    fresh = promotions.get(connection, row.id) or row
    # A commit that may have been pushed before a crash is looked for even under a hold.
    if row.commit_sha is None and row.action == "promote" and (no := _stopped(connection, row, fresh)) is not None:
        return Ending("refused", no)
    if row.commit_sha is None and fresh.state not in WAITING:
        promotions.save(connection, owner, row.id, now, was=into("gating"), state="gating")
    target = document.at(row.environment)
    wish = proposals.intent(row, barrier.countable(connection, target, fresh, now))
    hold = promotions.holding(connection, row.name, row.environment) if row.action == "rollback" else None
    waived = waivers.holding(waivers.of(connection, row.id), now)
    given = Given(at=barrier.asked_at(target, fresh, now))
    return replace(wish, given=given, hold=held_by(hold), waivers=waived)


def _stopped(connection: Connection, row: PromotionRow, fresh: PromotionRow) -> str | None:
    hold = promotions.holding(connection, row.name, row.environment)
    if hold is not None and fresh.state not in WAITING and fresh.pull is None:
        return held(hold)
    return barrier.rejected(connection, row)
