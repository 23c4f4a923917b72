"""How a promotion ends: its state, and the event that tells of it, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from deploy.derive import Derived
from deploy.names import one_line
from retrain.events import Event, JsonValue
from retrain.store import outbox, promotions
from retrain.store.promotions import PromotionRow


@dataclass(frozen=True, slots=True)
class Ending:
    """A final state and why. `base` and `commit` are SHAs, None where there is no commit."""

    state: Literal["committed", "noop", "refused", "failed"]
    reason: str = ""
    base: str | None = None
    commit: str | None = None
    derived: Derived | None = None


def emit(connection: Connection, owner: str, row: PromotionRow, ending: Ending, now: datetime) -> bool:
    """End a promotion and put its event in the outbox; False (and nothing happened) if it is not ours to end."""
    derived = ending.derived
    fields: dict[str, JsonValue] = {"owner": None, "lease_until": None}
    # What landed before a crash was written down before its push, and stays.
    if derived is None or derived.outcome != "landed":
        fields |= {"commit_sha": ending.commit, "base_sha": ending.base}
    if derived is not None and derived.outcome != "landed":
        fields |= {"gates": derived.gates, "changes": derived.changes, "diff": derived.diff}
    reason = one_line(ending.reason, 2000)
    if not promotions.save(connection, owner, row.id, now, state=ending.state, reason=reason, **fields):
        return False
    gone = derived.rolled_back if derived is not None and ending.state == "committed" else None
    if gone is not None:
        promotions.mark_rolled_back(connection, gone.promotion, now, f"rolled back by {row.id}")
    outbox.add(connection, [_event(connection, row, now, gone.promotion if gone else None)], now)
    return True


def _event(connection: Connection, row: PromotionRow, now: datetime, rolled_back: str | None) -> Event:
    saved = promotions.get(connection, row.id)
    assert saved is not None
    phase = "rolled-back" if saved.action == "rollback" and saved.state == "committed" else saved.state
    return Event(
        id=f"{row.id}.{phase}",
        source="retrain",
        type=f"dev.retrain.promotion.{phase}",
        subject=f"promotion.{phase}",
        time=now,
        datacontenttype="application/json",
        data={
            "promotion": {
                "id": row.id,
                "name": row.name,
                "environment": row.environment,
                "action": row.action,
                "state": saved.state,
            },
            "candidate": row.candidate,
            "commit": saved.commit_sha,
            "base": saved.base_sha,
            "gates": saved.gates or [],
            "changes": saved.changes or [],
            "reason": saved.reason,
            "run": row.run_id,
            "firing": row.firing_id,
            "rolledBack": rolled_back,
        },
        extensions={"retraincause": row.id, "retraindepth": row.depth},
    )
