"""A canary's way: what a commit begins with, and which next step is due.

Nothing is remembered but the promotions themselves: a look finds what is due, however often and by whomever it is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from deploy.rollout import judge, steps
from deploy.rollout.aftermath import settle
from deploy.rollout.standing import UNASKED, seen, when
from deploy.rollout.verdict import Verified
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.events import JsonValue
from retrain.store import promotions
from retrain.store.promotions import PromotionRow


@dataclass(frozen=True, slots=True)
class Due:
    """What a look came to. `taken`: whose next step is to be committed; `settled`: what nobody has to look at any more.

    `due`: when the next step may come, None: as far as is known not at all.
    """

    taken: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    due: datetime | None = None


def begin(document: PromotionDocument, row: PromotionRow, now: datetime) -> JsonValue:
    """What a row's verification begins with at its commit; None where a commit is the end of it.

    `document`: the whole promotion, or the one to the row's environment.
    """
    target = document.at(row.environment)
    if (asked := judge.begin(target, now)) is not None:
        return asked
    if row.action != "promote" or not target.spec.canary:
        return None
    return {
        "since": now.isoformat(),
        "until": None,
        "outcome": UNASKED,
        "reason": "nothing is asked here",
        "checks": [],
    }


def resumed(document: PromotionDocument, row: PromotionRow, now: datetime) -> JsonValue:
    """What an unhealthy row's verification is when a person asks again: its commit is verified anew, or, where that
    was well and the next step could not be taken, that step is due."""
    known = seen(row)
    if known.get("outcome") == "stopped":
        return {**known, "outcome": "passed", "nextStep": now.isoformat()}
    return begin(document, row, now)


def is_canary_under_way(target: PromotionDocument, row: PromotionRow) -> bool:
    """Whether a part of the traffic goes to the row's model, and more may follow."""
    if row.state == "stepping":
        return True
    return row.state in {"committed", "unhealthy"} and not steps.is_last(target.spec.canary, row.step)


def advance(connection: Connection, documents: Iterable[PromotionDocument], now: datetime) -> Due:
    """Take up what is due, in one transaction. The same again does nothing."""
    taken: list[str] = []
    settled: list[str] = []
    dues: list[datetime] = []
    for document in documents:
        for environment in document.environments:
            row = promotions.latest(connection, document.name, environment)
            if row is None or row.state != "committed":
                continue
            row = _settle_unasked(connection, document, row, now, settled)
            if row is not None and (due := _next(connection, document, row)) is not None:
                if due > now:
                    dues.append(due)
                elif _take_up(connection, row, now):
                    taken.append(row.id)
    if taken:
        faults.point("promotion.before_step")
    return Due(tuple(taken), tuple(settled), min(dues, default=None))


def _settle_unasked(
    connection: Connection, document: PromotionDocument, row: PromotionRow, now: datetime, settled: list[str]
) -> PromotionRow | None:
    """The row; settled first, where its verification is pending and nothing is (any more) asked, or no step follows."""
    spec = document.at(row.environment).spec
    outcome = seen(row).get("outcome")
    over = outcome == "passed" and steps.is_last(spec.canary, row.step)
    if over or outcome == UNASKED or (outcome in {"pending", "superseded"} and not spec.verify):
        settle(connection, document, row, Verified("passed", ""), now)
        settled.append(row.id)
        return promotions.get(connection, row.id)
    return row


def _next(connection: Connection, document: PromotionDocument, row: PromotionRow) -> datetime | None:
    """When the row's next step is due; None: there is none, or something is in its way."""
    if row.state != "committed" or row.action != "promote" or seen(row).get("outcome") != "passed":
        return None
    if promotions.holding(connection, document.name, row.environment) is not None:
        return None  # a release is told, and looked at then
    return when(row, "nextStep")


def _take_up(connection: Connection, row: PromotionRow, now: datetime) -> bool:
    return promotions.save(
        connection,
        None,
        row.id,
        now,
        was=("committed",),
        state="stepping",
        step=row.step + 1,
        next_attempt=now,
        verification={**seen(row), "commit": row.commit_sha},
    )
