"""What a verification leads to, in the transaction that the verdict is saved in.

Passed: `live`, or the canary's next step after a while. Else `unhealthy`; and, by `rules`, a hold, and a rollback that
is a promotion of its own: it goes the way of every rollback, and what Git says then has the last word.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from deploy import outcomes, proposals
from deploy.names import one_line
from deploy.rollout import holds, rules, steps
from deploy.rollout.rules import Failure
from deploy.rollout.standing import seen, when
from deploy.rollout.verdict import Verified
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.store import promotions
from retrain.store.promotions import PromotionRow

WAKES = ("promotions", "promotion steps", "promotion marks", "outbox")
"""Who may have something to do after it: `store.signals.notify` each."""


def settle(
    connection: Connection, document: PromotionDocument, row: PromotionRow, verified: Verified, now: datetime
) -> None:
    """Draw the consequence of a verdict that is none of pending and superseded.

    Nothing happens where the row is not `committed` any more, so that the same again does nothing. `row` is as stored,
    with the verdict in its `verification` already.
    """
    target = document.at(row.environment)
    if verified.outcome != "passed":
        _settle_bad(connection, target, row, verified, now)
    elif row.action == "promote" and not steps.is_last(target.spec.canary, row.step):
        _settle_step(connection, target, row, now)
    else:
        _settle_live(connection, row, now)
    promotions.wake(connection, row.name, now)
    faults.point("promotion.before_verdict")


def _settle_step(connection: Connection, target: PromotionDocument, row: PromotionRow, now: datetime) -> None:
    due = now + target.spec.canary[row.step].for_
    verification = {**seen(row), "outcome": "passed", "at": now.isoformat(), "nextStep": due.isoformat()}
    promotions.save(connection, None, row.id, now, was=("committed",), verification=verification)


def _settle_live(connection: Connection, row: PromotionRow, now: datetime) -> None:
    verification = {**seen(row), "outcome": "passed", "at": now.isoformat(), "nextStep": None}
    changes = {"state": "live", "reason": "", "verification": verification}
    if promotions.save(connection, None, row.id, now, was=("committed",), **changes):
        outcomes.tell(connection, row, "live", "live", now)


def _settle_bad(
    connection: Connection, target: PromotionDocument, row: PromotionRow, verified: Verified, now: datetime
) -> None:
    answer = rules.decide(_failure(connection, target, row, verified, now))
    reason = one_line(f"{verified.reason}; {answer.why}", 2000)
    verification = {**seen(row), "outcome": verified.outcome, "at": now.isoformat()}
    changes = {"state": "unhealthy", "reason": reason, "verification": verification}
    if not promotions.save(connection, None, row.id, now, was=("committed",), **changes):
        return
    if answer.holds:
        holds.place(connection, row, verified.reason, now)
    back = take_back(connection, target, row, verified.reason, now) if answer.rolls_back else None
    outcomes.tell(connection, row, "unhealthy", f"unhealthy.{_which(row)}", now, rollback=back)


def _failure(
    connection: Connection, target: PromotionDocument, row: PromotionRow, verified: Verified, now: datetime
) -> Failure:
    newer, older = promotions.after(connection, row), promotions.before(connection, row)
    return Failure(
        outcome=verified.outcome,
        action=row.action,
        on_failure=target.spec.onFailure,
        now=now,
        until=when(row, "until"),
        newer=newer.id if newer else None,
        unwell=older.id if older and older.state == "unhealthy" else None,
    )


def take_back(
    connection: Connection,
    target: PromotionDocument,
    row: PromotionRow,
    reason: str,
    now: datetime,
    actor: str = holds.ACTOR,
) -> str:
    """Propose the way back from what a row made live, once for each verification; the rollback's id.

    What somebody wants to roll back already is left to them.
    """
    rollback = replace(
        proposals.blank(target, row.environment, now),
        id=f"p-{sha256(f'{row.id} back from {_which(row)}'.encode()).hexdigest()[:20]}",
        intent_key=proposals.intent_key(target, str(row.candidate["digest"]), "rollback"),
        candidate={
            "digest": row.candidate["digest"],
            "uri": row.candidate.get("uri"),
            "reason": one_line(reason),
            "actor": one_line(actor),
            "promotion": row.id,
        },
        action="rollback",
        actor=one_line(actor),
        depth=row.depth + 1,
    )
    return promotions.propose(connection, rollback)


def _which(row: PromotionRow) -> str:
    """Which verification of which step it is, in a few digits: the same again is the same."""
    return sha256(f"{row.step} {seen(row).get('since')}".encode()).hexdigest()[:12]
