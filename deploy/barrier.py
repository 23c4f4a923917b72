"""Right before a push: what decides is gathered, decided, and written down, in one transaction.

What Git says of the environments before is read first, at the commit that the push will be on top of: where that is not
the branch's tip any more, the push is refused by its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from deploy import clearance, outcomes
from deploy import record as records
from deploy.approvals import tally
from deploy.attempt import Place
from deploy.authors import authors
from deploy.clearance import Behind, Clearance, Situation
from deploy.derive import Derived
from deploy.outcomes import Ending, Pause
from deploy.record import Record
from deploy.spec import PromotionDocument
from deploy.states import IN_BRANCH, into
from retrain.store import approvals, promotions
from retrain.store.approvals import Approval
from retrain.store.promotions import PromotionRow

LOOK_AGAIN = timedelta(minutes=15)
"""What waits for people is looked at again this often: what they approved may have changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """What is about to be pushed, by whom. `asked`: when its gates were. `seen`: the environments before, at `base`."""

    owner: str
    row: PromotionRow
    document: PromotionDocument
    derived: Derived
    base: str
    commit: str
    asked: datetime
    seen: Sequence[tuple[str, Record | None]] = ()


Answer = Literal["go", "lost", "again"] | Ending | Clearance
"""`lost`: it is not ours any more. `again`: the commit names other approvals than count now. A Clearance: it waits."""


def countable(
    connection: Connection, document: PromotionDocument, row: PromotionRow, now: datetime
) -> tuple[Approval, ...]:
    """The approvals that count where what they are bound to is still the same."""
    terms = document.spec.approvals
    given = [one for one in approvals.of(connection, row.id) if one.decision == "approve"]
    if not given or terms is None:
        return ()
    who = authors(connection, document, row)
    subjects = sorted({one.subject for one in given})
    return tuple(one for subject in subjects for one in tally(terms, given, subject, who, now).counted)


def asked_at(document: PromotionDocument, row: PromotionRow, now: datetime) -> datetime:
    """When the gates of a promotion were asked, which what they say depends on: now, where an answer is too old.

    Else it stays what it was, so that looking again does not change what was approved.
    """
    waiting = row.waiting if isinstance(row.waiting, dict) else {}
    said = waiting.get("asked")
    asked = datetime.fromisoformat(said) if isinstance(said, str) else row.created
    return now if _is_old(document, asked, now) else asked


def _is_old(document: PromotionDocument, asked: datetime, now: datetime) -> bool:
    lengths: list[timedelta | None] = [getattr(gate, "validFor", None) for gate in document.spec.gates]
    return any(length is not None and asked + length <= now for length in lengths)


def look_behind(
    place: Place, document: PromotionDocument, environment: str, base: str
) -> list[tuple[str, Record | None]]:
    """The records of the environments that come before, at a commit that is here.

    Raises:
        Refused: one is damaged.
        Transient, Permanent: the repository is away, or says no.
    """
    found: list[tuple[str, Record | None]] = []
    repository = place.repository(document)
    for name in document.before(environment):
        file = document.record_of(name)
        found.append((name, records.read(repository.read(base, (), optional=file)[file], file)))
    return found


def ask(connection: Connection, pushing: Pushing, now: datetime) -> Answer:
    """Whether to push. What the answer means for the store is written down with it, but for an Ending."""
    row, derived = pushing.row, pushing.derived
    if row.action == "rollback":  # people go back at any time
        return "go" if _push(connection, pushing, now) else "lost"
    fresh = promotions.get(connection, row.id)
    if fresh is None:
        return "lost"
    cleared = clearance.clear(_situation(connection, pushing, fresh, now))
    if cleared.verdict == "go":
        if {one.id for one in cleared.tally.counted} != {one.id for one in derived.approvals}:
            return "again"
        if _is_old(pushing.document.at(row.environment), pushing.asked, now):
            return "again"
        done = _push(connection, pushing, now)
    elif cleared.verdict == "wait":
        look = min(at for at in (cleared.due, cleared.tally.until, now + LOOK_AGAIN) if at is not None)
        done = outcomes.wait(connection, pushing.owner, row, derived, cleared, Pause(look, pushing.asked))
    else:
        return Ending(cleared.verdict, cleared.reason, derived=derived)
    if not done:
        return "lost"
    _supersede(connection, fresh, now)
    return "go" if cleared.verdict == "go" else cleared


def rejected(connection: Connection, row: PromotionRow) -> str | None:
    """What was said of this model for this target before; None: nothing, or a person has asked for it again."""
    if row.action != "promote" or row.retry_of is not None:
        return None
    said = promotions.rejected(connection, row.intent_key)
    return f"{said.id} was {said.reason}; `retrain promotions retry {said.id}` asks again" if said else None


def _situation(connection: Connection, pushing: Pushing, row: PromotionRow, now: datetime) -> Situation:
    target = pushing.document.at(row.environment)
    limit = target.spec.limit
    return Situation(
        terms=target.spec,
        digest=str(row.candidate["digest"]),
        subject=pushing.derived.subject,
        now=now,
        approvals=approvals.of(connection, row.id),
        authors=authors(connection, target, row),
        hold=promotions.holding(connection, row.name, row.environment),
        ended=promotions.committed_since(connection, row, now - limit.per) if limit else (),
        behind=[_behind(connection, pushing.document, row, *one) for one in pushing.seen],
        newer=_newer(connection, row),
        rejected=rejected(connection, row),
        waited=row.state == "awaiting",
    )


def _behind(
    connection: Connection, document: PromotionDocument, row: PromotionRow, name: str, record: Record | None
) -> Behind:
    live = record.live if record else None
    steps = record.wayBack if record else ()
    # What was overtaken there by a newer one has been through it; what was rolled back there has left the record.
    passed = row.parent is not None and any(one.live and one.live.promotion == row.parent for one in steps)
    here = passed or (live is not None and live.digest == row.candidate["digest"])
    return Behind(
        name,
        live.digest if live else None,
        here,
        _since(connection, row, name, record) + document.soak(name) if here else None,
        promotions.holding(connection, row.name, name),
    )


def _since(connection: Connection, row: PromotionRow, name: str, record: Record | None) -> datetime:
    """Since when the model is in that environment: as the store knows it, else by the record's own word."""
    parent = promotions.get(connection, row.parent) if row.parent else None
    if parent is None or parent.environment != name:
        parent = promotions.newest_promoted(connection, row.name, name)
    if parent is not None and parent.ended is not None and parent.candidate.get("digest") == row.candidate["digest"]:
        return parent.ended
    try:
        return datetime.fromisoformat(str(record.promotion.get("created") if record else ""))
    except ValueError:
        return row.created


def _newer(connection: Connection, row: PromotionRow) -> str | None:
    others = promotions.others(connection, row, "awaiting", "committing", "open", *IN_BRANCH)
    return next((one.id for one in others if one.created > row.created), None)


def _supersede(connection: Connection, row: PromotionRow, now: datetime) -> None:
    """The newest candidate wins: older ones of its target that still wait are over."""
    for other in promotions.others(connection, row, "awaiting"):
        if other.created <= row.created:
            ending = Ending("superseded", f"{row.id} is newer and has come as far")
            outcomes.emit(connection, None, other, ending, now)


def _push(connection: Connection, pushing: Pushing, now: datetime) -> bool:
    derived = pushing.derived
    return promotions.save(
        connection,
        pushing.owner,
        pushing.row.id,
        now,
        was=into("committing"),
        state="committing",
        subject=derived.subject or None,
        base_sha=pushing.base,
        commit_sha=pushing.commit,
        waiting=None,
        gates=derived.gates,
        changes=derived.changes,
        diff=derived.diff,
    )
