"""What people decided on promotions. Rows are added and never changed: an approval lapses by what it is bound to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, Row, insert, select

from retrain.store.tables import approvals

Decision = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True)
class Approval:
    """One decision. `subject`: the digest of what was decided on. `verified`: a token said who the actor is.

    `id` is 0 until it is stored.
    """

    promotion: str
    subject: str
    decision: Decision
    actor: str
    verified: bool
    roles: tuple[str, ...]
    reason: str
    at: datetime
    expires_at: datetime | None = None
    id: int = 0


def add(connection: Connection, one: Approval) -> int:
    """Write a decision down; its number."""
    values = {
        "promotion": one.promotion,
        "subject": one.subject,
        "decision": one.decision,
        "actor": one.actor,
        "verified": int(one.verified),
        "roles": list(one.roles),
        "reason": one.reason,
        "at": one.at,
        "expires_at": one.expires_at,
    }
    key = connection.execute(insert(approvals).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def of(connection: Connection, promotion_id: str) -> list[Approval]:
    """The decisions on a promotion, oldest first."""
    query = select(approvals).where(approvals.c.promotion == promotion_id).order_by(approvals.c.id)
    return [_approval(row) for row in connection.execute(query)]


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        promotion=row.promotion,
        subject=row.subject,
        decision=cast("Decision", row.decision),
        actor=row.actor,
        verified=bool(row.verified),
        roles=tuple(row.roles),
        reason=row.reason,
        at=row.at,
        expires_at=row.expires_at,
        id=row.id,
    )
