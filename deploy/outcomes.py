"""What becomes of a promotion: its state, and the event that tells of it, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from sqlalchemy import Connection

from deploy.clearance import Clearance
from deploy.derive import Derived
from deploy.names import one_line
from deploy.rollout import holds
from deploy.rollout.standing import seen
from deploy.states import into
from retrain.events import Event, JsonValue
from retrain.store import outbox, promotions
from retrain.store.approvals import Approval
from retrain.store.promotions import PromotionRow
from retrain.telemetry import meters

_FREE: Mapping[str, JsonValue] = {"owner": None, "lease_until": None}


@dataclass(frozen=True, slots=True)
class Ending:
    """A final state and why. `base` and `commit` are SHAs, None where there is no commit.

    `verification`: what is to be seen of a commit, as `deploy.rollout.canary.begin` writes it. `timings`: when its last
    attempt began, was judged, and pushed.
    """

    state: Literal["committed", "noop", "refused", "rejected", "failed", "superseded"]
    reason: str = ""
    base: str | None = None
    commit: str | None = None
    derived: Derived | None = None
    verification: JsonValue = None
    timings: JsonValue = None


@dataclass(frozen=True, slots=True)
class Pause:
    """`look`: when to look again. `asked`: when the gates were asked, which stays so."""

    look: datetime
    asked: datetime


def emit(connection: Connection, owner: str | None, row: PromotionRow, ending: Ending, now: datetime) -> bool:
    """End a promotion and put its event in the outbox; False (and nothing happened) if it is not ours to end.

    No owner: whoever holds it; for what people do, and what a newer promotion does to an older one.
    """
    if row.step and ending.state in {"refused", "failed"}:
        return _stop(connection, owner, row, ending.reason, now)
    derived = ending.derived
    fields: dict[str, JsonValue] = {**_FREE, "waiting": None}
    if ending.state == "committed":
        fields["verification"] = ending.verification
    if ending.timings:
        fields["timings"] = ending.timings
    # What landed before a crash was written down before its push, and stays. A merge makes a commit of its own.
    if derived is None or derived.outcome != "landed" or ending.commit is not None:
        fields |= {"commit_sha": ending.commit, "base_sha": ending.base}
    if derived is not None and derived.outcome != "landed":
        fields |= _changed(derived) if row.step else _judged(derived)
    reason = one_line(ending.reason, 2000)
    state, was = ending.state, into(ending.state)
    if not promotions.save(connection, owner, row.id, now, was=was, state=state, reason=reason, ended=now, **fields):
        return False
    meters.PROMOTIONS_ENDED.add(state, row.environment)
    gone = derived.rolled_back if derived is not None and ending.state == "committed" else None
    if gone is not None:
        promotions.mark_rolled_back(connection, gone.promotion, now, f"rolled back by {row.id}")
    _tell_end(connection, row, now, gone.promotion if gone else None)
    if row.action == "rollback" and ending.state != "committed":
        _tell_stuck(connection, row, ending.reason, now)
    return True


def _stop(connection: Connection, owner: str | None, row: PromotionRow, reason: str, now: datetime) -> bool:
    """End a canary whose next step cannot be taken: the steps before are in the branch, and somebody must look."""
    known = seen(row)
    fields: dict[str, JsonValue] = {
        **_FREE,
        "step": row.step - 1,
        "commit_sha": known.get("commit", row.commit_sha),
        "verification": {**known, "outcome": "stopped", "at": now.isoformat()},
    }
    why = one_line(f"step {row.step + 1} of its canary was not taken: {reason}", 2000)
    was = ("stepping",)
    if not promotions.save(connection, owner, row.id, now, was=was, state="unhealthy", reason=why, **fields):
        return False
    holds.place(connection, row, why, now)
    tell(connection, row, "unhealthy", f"unhealthy.step-{row.step + 1}", now)
    return True


def _tell_stuck(connection: Connection, row: PromotionRow, reason: str, now: datetime) -> None:
    """Say of what a verification wanted to take back that it is still there."""
    wanted = promotions.get(connection, str(row.candidate.get("promotion") or ""))
    if wanted is None:
        return
    why = one_line(f"{wanted.reason}; but {row.id} has taken nothing back: {reason}", 2000)
    if promotions.save(connection, None, wanted.id, now, was=("unhealthy",), reason=why):
        tell(connection, wanted, "unhealthy", f"unhealthy.{row.id}", now)


def wait(
    connection: Connection,
    owner: str,
    row: PromotionRow,
    derived: Derived,
    cleared: Clearance,
    pause: Pause,
) -> bool:
    """Let a promotion wait, and tell of it where it waits for something else than before.

    False (and nothing happened) if it is not ours any more. It stays ours until `promotions.let_go`.
    """
    before = promotions.get(connection, row.id)
    now = cleared.now
    saved = promotions.save(
        connection,
        owner,
        row.id,
        now,
        was=into("awaiting"),
        state="awaiting",
        reason=one_line(cleared.reason, 2000),
        subject=derived.subject,
        waiting={**_waiting(cleared), "asked": pause.asked.isoformat()},
        next_attempt=pause.look,
        base_sha=None,
        commit_sha=None,
        **_judged(derived),
    )
    if saved and (before is None or _what(before) != (derived.subject, list(cleared.awaited))):
        sign = sha256(f"{derived.subject} {' '.join(cleared.awaited)}".encode()).hexdigest()[:12]
        tell(connection, row, "awaiting", f"awaiting.{sign}", now)
    return saved


def _what(row: PromotionRow) -> tuple[str | None, JsonValue]:
    waiting = row.waiting if isinstance(row.waiting, dict) else {}
    return row.subject, waiting.get("for")


def _waiting(cleared: Clearance) -> dict[str, JsonValue]:
    tally = cleared.tally
    return {
        "for": list(cleared.awaited),
        "due": cleared.due.isoformat() if cleared.due else None,
        "have": tally.have,
        "need": tally.need,
        "until": tally.until.isoformat() if tally.until else None,
    }


def _judged(derived: Derived) -> dict[str, JsonValue]:
    return {"gates": derived.gates, **_changed(derived)}


def _changed(derived: Derived) -> dict[str, JsonValue]:
    return {"changes": derived.changes, "diff": derived.diff}


def _tell_end(connection: Connection, row: PromotionRow, now: datetime, rolled_back: str | None) -> None:
    saved = promotions.get(connection, row.id)
    assert saved is not None
    phase = "rolled-back" if saved.action == "rollback" and saved.state == "committed" else saved.state
    sign = phase
    if row.step and saved.state == "committed":
        phase, sign = "step", f"step-{row.step + 1}"
    tell(connection, row, phase, sign, now, rolledBack=rolled_back)


def tell(connection: Connection, row: PromotionRow, phase: str, sign: str, now: datetime, **more: JsonValue) -> None:
    """Put `promotion.<phase>` in the outbox. `sign`: what makes its id, beside the promotion's."""
    saved = promotions.get(connection, row.id)
    assert saved is not None
    if phase in {"live", "unhealthy"}:
        meters.VERIFICATIONS.add(phase)
    data: dict[str, JsonValue] = {
        "promotion": _promotion(saved),
        "candidate": row.candidate,
        "commit": saved.commit_sha,
        "base": saved.base_sha,
        "gates": saved.gates or [],
        "changes": saved.changes or [],
        "reason": saved.reason,
        "run": row.run_id,
        "firing": row.firing_id,
        "rolledBack": None,
        "step": saved.step + 1,
        "verification": _seen(saved),
        **more,
    }
    if saved.state == "awaiting":
        data["waiting"] = saved.waiting
    outbox.add(connection, [_event(row, "promotion", phase, f"{row.id}.{sign}", data, now)], now)


def _seen(row: PromotionRow) -> JsonValue:
    said = seen(row)
    return {name: said.get(name) for name in ("outcome", "reason", "checks")} if said else None


def tell_decision(connection: Connection, row: PromotionRow, one: Approval, number: int) -> None:
    """Put `approval.given` or `approval.refused` in the outbox. `number`: the stored decision's."""
    phase = "given" if one.decision == "approve" else "refused"
    data: dict[str, JsonValue] = {
        "promotion": _promotion(row),
        "subject": one.subject,
        "actor": one.actor,
        "verified": one.verified,
        "roles": list(one.roles),
        "reason": one.reason,
        "expiresAt": one.expires_at.isoformat() if one.expires_at else None,
    }
    outbox.add(connection, [_event(row, "approval", phase, f"{row.id}.approval-{number}", data, one.at)], one.at)


def _promotion(row: PromotionRow) -> dict[str, JsonValue]:
    return {
        "id": row.id,
        "name": row.name,
        "environment": row.environment,
        "action": row.action,
        "state": row.state,
    }


def _event(row: PromotionRow, noun: str, phase: str, id_: str, data: dict[str, JsonValue], now: datetime) -> Event:
    return Event(
        id=id_,
        source="retrain",
        type=f"dev.retrain.{noun}.{phase}",
        subject=f"{noun}.{phase}",
        time=now,
        datacontenttype="application/json",
        data=data,
        extensions={"retraincause": row.id, "retraindepth": row.depth},
    )
