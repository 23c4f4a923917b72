"""Right before a push: what decides is gathered, decided, and written down, in one transaction.

What Git says of the environments before is read first, at the commit that the push will be on top of: where that is not
the branch's tip any more, the push is refused by its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

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
from deploy.rollout.standing import is_live, is_under_way, live_since, seen
from deploy.spec import PromotionDocument
from deploy.states import IN_BRANCH, into
from deploy.waivers import are_over
from retrain.events import JsonValue
from retrain.store import approvals, promotions
from retrain.store.approvals import Approval
from retrain.store.promotions import PromotionRow

LOOK_AGAIN = timedelta(minutes=15)
"""What waits for people is looked at again this often: what they approved may have changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """What is about to be pushed, by whom. `asked`: when its gates were. `seen`: the environments before, at `base`.
    `timings`: when this attempt began, was judged and goes to push."""

    owner: str
    row: PromotionRow
    document: PromotionDocument
    derived: Derived
    base: str
    commit: str
    asked: datetime
    seen: Sequence[tuple[str, Record | None]] = ()
    timings: JsonValue = None


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
    said = last_word(connection, pushing, now)
    if said == "go":
        done = _push(connection, pushing, now)
    elif isinstance(said, Clearance):
        look = min(at for at in (said.due, said.tally.until, now + LOOK_AGAIN) if at is not None)
        pause = Pause(look, pushing.asked)
        done = outcomes.wait(connection, pushing.owner, pushing.row, pushing.derived, said, pause)
    else:
        return said
    if not done:
        return "lost"
    if pushing.row.step == 0:
        supersede(connection, pushing.row, now)
    return said


def last_word(connection: Connection, pushing: Pushing, now: datetime) -> Answer:
    """Whether to push, with nothing written down."""
    row, derived = pushing.row, pushing.derived
    if row.action == "rollback":  # people go back at any time
        return "go"
    fresh = promotions.get(connection, row.id)
    if fresh is None:
        return "lost"
    if row.step:
        return _may_step(connection, fresh, now)
    cleared = clearance.clear(_situation(connection, pushing, fresh, now))
    if cleared.verdict == "wait":
        return cleared
    if cleared.verdict != "go":
        return Ending(cleared.verdict, cleared.reason, derived=derived)
    named = {one.id for one in cleared.tally.counted} == {one.id for one in derived.approvals}
    is_old = _is_old(pushing.document.at(row.environment), pushing.asked, now) or are_over(derived.verdicts, now)
    return "go" if named and not is_old else "again"


def _may_step(connection: Connection, row: PromotionRow, now: datetime) -> Literal["go", "lost"]:
    """Whether a canary's next step may be pushed. It was judged and approved before its first; a hold stops it."""
    if row.state != "stepping":
        return "lost"
    if promotions.holding(connection, row.name, row.environment) is None:
        return "go"
    pause: dict[str, Any] = {"step": row.step - 1, "commit_sha": seen(row).get("commit"), "owner": None}
    promotions.save(connection, None, row.id, now, was=("stepping",), state="committed", lease_until=None, **pause)
    return "lost"


def rejected(connection: Connection, row: PromotionRow) -> str | None:
    """What was said of this model for this target before; None: nothing, or a person has asked for it again."""
    if row.action != "promote" or row.retry_of is not None:
        return None
    if (said := promotions.rejected(connection, row.intent_key)) is not None:
        return f"{said.id} was {said.reason}; `retrain promotions retry {said.id}` asks again"
    if (gone := promotions.taken_back(connection, row.intent_key)) is not None:
        return f"{gone.id} was {gone.reason}; `retrain promotions retry {gone.id}` brings it again"
    return None


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
        verifying=_verifying(connection, row),
        waited=row.state in {"awaiting", "open"} or row.pull is not None,
    )


def _behind(
    connection: Connection, document: PromotionDocument, row: PromotionRow, name: str, record: Record | None
) -> Behind:
    live = record.live if record else None
    steps = record.wayBack if record else ()
    parent = _brought(connection, row, name)
    # What was overtaken there by a newer one has been through it; what was rolled back there has left the record.
    passed = row.parent is not None and any(one.live and one.live.promotion == row.parent for one in steps)
    here = passed or (live is not None and live.digest == row.candidate["digest"])
    return Behind(
        name,
        live.digest if live else None,
        here,
        _since(row, parent, record) + document.soak(name) if here else None,
        promotions.holding(connection, row.name, name),
        verifying=parent.id if parent and is_under_way(parent) else None,
        unwell=parent.id if parent and not is_live(parent) and not is_under_way(parent) else None,
    )


def _verifying(connection: Connection, row: PromotionRow) -> str | None:
    newest = promotions.latest(connection, row.name, row.environment)
    return newest.id if newest is not None and newest.id != row.id and is_under_way(newest) else None


def _brought(connection: Connection, row: PromotionRow, name: str) -> PromotionRow | None:
    """What brought the model to that environment; None where the store does not know it, and only Git does."""
    parent = promotions.get(connection, row.parent) if row.parent else None
    if parent is None or parent.environment != name:
        parent = promotions.newest_promoted(connection, row.name, name)
    if parent is None or parent.state not in IN_BRANCH or parent.ended is None:
        return None
    return parent if parent.candidate.get("digest") == row.candidate["digest"] else None


def _since(row: PromotionRow, parent: PromotionRow | None, record: Record | None) -> datetime:
    """Since when the model is in an environment: as the store knows it, else by the record's own word."""
    if parent is not None:
        return live_since(parent)
    try:
        return datetime.fromisoformat(str(record.promotion.get("created") if record else ""))
    except ValueError:
        return row.created


def _newer(connection: Connection, row: PromotionRow) -> str | None:
    others = promotions.others(connection, row, "awaiting", "committing", "open", *IN_BRANCH)
    return next((one.id for one in others if one.created > row.created), None)


def supersede(connection: Connection, row: PromotionRow, now: datetime) -> None:
    """The newest candidate wins: older ones of its target that still wait are over."""
    if row.action == "rollback":
        return
    for other in promotions.others(connection, row, "awaiting", "open"):
        if other.created <= row.created:
            ending = Ending("superseded", f"{row.id} is newer and has come as far")
            outcomes.emit(connection, None, other, ending, now)


def _push(connection: Connection, pushing: Pushing, now: datetime) -> bool:
    derived, row = pushing.derived, pushing.row
    state = "stepping" if row.step else "committing"
    fields: dict[str, Any] = {
        "base_sha": pushing.base,
        "commit_sha": pushing.commit,
        "waiting": None,
        "changes": derived.changes,
        "diff": derived.diff,
    }
    if pushing.timings:
        fields["timings"] = pushing.timings
    if not row.step:
        fields |= {"subject": derived.subject or None, "gates": derived.gates}
    was = (state,) if row.step else into("committing")
    return promotions.save(connection, pushing.owner, row.id, now, was=was, state=state, **fields)
