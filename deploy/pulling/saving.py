"""What the store keeps of the pull request way: each change in one transaction, before what it tells of is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection

from deploy import barrier, outcomes, waivers
from deploy.barrier import Answer, Pushing
from deploy.clearance import Clearance
from deploy.derive import Derived
from deploy.names import one_line
from deploy.outcomes import Pause
from deploy.pulling.kept import Kept
from deploy.pulling.step import Known, known_of
from deploy.spec import PromotionDocument
from deploy.states import into
from retrain.events import JsonValue
from retrain.store import approvals, promotions
from retrain.store.promotions import PromotionRow


@dataclass(frozen=True, slots=True)
class Rest:
    """How a promotion waits. `cleared`: what it waits for beside the forge. `look`: when to look again."""

    derived: Derived
    kept: Kept | None
    reason: str
    cleared: Clearance | None
    pause: Pause


def gather(connection: Connection, target: PromotionDocument, row: PromotionRow) -> tuple[PromotionRow, Known, str]:
    """The promotion as it is now, what is known of its pull request, and a digest of all here that decides about it."""
    fresh = promotions.get(connection, row.id) or row
    known = known_of(fresh, promotions.of_intent(connection, row.intent_key))
    decisions = [(one.id, one.decision) for one in approvals.of(connection, row.id)]
    hold = promotions.holding(connection, row.name, row.environment)
    given = [repr(one) for one in waivers.of(connection, row.id)]
    facts = (target.model_dump_json(), decisions, given, hold and hold.created.isoformat(), sorted(known.overruled))
    return fresh, known, sha256(repr(facts).encode()).hexdigest()


def write_down(connection: Connection, pushing: Pushing, now: datetime) -> Answer:
    """Ask for the last word, and say in the store what is about to be pushed or merged if it is `go`."""
    said = barrier.last_word(connection, pushing, now)
    if said != "go":
        return said
    derived, row = pushing.derived, pushing.row
    done = promotions.save(
        connection,
        pushing.owner,
        row.id,
        now,
        was=into("committing"),
        state="committing",
        base_sha=pushing.base,
        commit_sha=pushing.commit,
        waiting={"asked": pushing.asked.isoformat()},
        **_judged(derived),
    )
    if not done:
        return "lost"
    barrier.supersede(connection, row, now)
    return "go"


def rest(connection: Connection, owner: str, row: PromotionRow, how: Rest, now: datetime) -> bool:
    """Let it wait for the forge or for what is not cleared; False (and nothing happened) if it is not ours any more.

    A pull request that is new is told of. It stays ours until `promotions.let_go`.
    """
    before = promotions.get(connection, row.id)
    done = _awaiting(connection, owner, row, how) if how.cleared else _open(connection, owner, row, how, now)
    if not done or before is None:
        return False
    if how.cleared is not None:
        barrier.supersede(connection, row, now)
    if how.kept is not None:
        _keep(connection, owner, before, how.kept, now)
    return True


def _awaiting(connection: Connection, owner: str, row: PromotionRow, how: Rest) -> bool:
    assert how.cleared is not None
    return outcomes.wait(connection, owner, row, how.derived, how.cleared, how.pause)


def _open(connection: Connection, owner: str, row: PromotionRow, how: Rest, now: datetime) -> bool:
    # The commit is in `pull` from now on: what is `committing` keeps others of its target back, and this may take days.
    return promotions.save(
        connection,
        owner,
        row.id,
        now,
        was=into("open"),
        state="open",
        reason=one_line(how.reason, 2000),
        commit_sha=None,
        waiting={"for": ["merge"], "asked": how.pause.asked.isoformat()},
        next_attempt=how.pause.look,
        **_judged(how.derived),
    )


def _keep(connection: Connection, owner: str, before: PromotionRow, kept: Kept, now: datetime) -> None:
    promotions.save(connection, owner, before.id, now, pull=kept.to_json())
    old = Kept.read(before.pull)
    if old is None or old.number != kept.number:
        shown: JsonValue = {"number": kept.number, "url": kept.url, "branch": kept.branch, "head": kept.head}
        outcomes.tell(connection, before, "open", f"open.{kept.number}", now, pull=shown)


def look_later(connection: Connection, owner: str, row: PromotionRow, look: datetime, now: datetime) -> bool:
    """Nothing has changed: look again. What was in the way meanwhile (a forge that was down) is so no more."""
    kept = Kept.read(row.pull)
    reason = kept.memory.said if kept and kept.memory.said else row.reason
    return promotions.save(connection, owner, row.id, now, next_attempt=look, reason=reason)


def keep(connection: Connection, row: PromotionRow, kept: Kept, now: datetime, reason: str | None = None) -> None:
    """What became of the pull request, in whatever state the promotion is."""
    more = {} if reason is None else {"reason": one_line(reason, 2000)}
    promotions.save(connection, None, row.id, now, was=(row.state,), pull=kept.to_json(), **more)


def let_go(connection: Connection, row: PromotionRow, kept: Kept, now: datetime, reason: str | None = None) -> None:
    """As `keep`, for what was taken to be closed."""
    keep(connection, row, kept, now, reason)
    promotions.save(connection, None, row.id, now, was=(row.state,), owner=None, lease_until=None)


def _judged(derived: Derived) -> dict[str, JsonValue]:
    """What was derived, where it was derived as a commit; else what is known stays."""
    if derived.outcome != "commit":
        return {}
    return {
        "subject": derived.subject or None,
        "gates": derived.gates,
        "changes": derived.changes,
        "diff": derived.diff,
    }
