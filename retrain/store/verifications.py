"""Promotions whose commit is in the branch, and whose verification goes on."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from sqlalchemy import Connection, or_, select, update

from retrain.store import promotions as rows
from retrain.store.promotions import PromotionRow
from retrain.store.tables import promotions

STATE = "committed"


def pending(row: PromotionRow) -> bool:
    """Whether its verification is not over."""
    seen = row.verification
    return isinstance(seen, dict) and seen.get("outcome") == "pending"


def claim(connection: Connection, owner: str, now: datetime, lease_until: datetime, limit: int) -> list[PromotionRow]:
    """Take up to `limit` that are due and nobody's (or whose lease has run out), oldest first."""
    free = or_(promotions.c.owner.is_(None), promotions.c.lease_until.is_(None), promotions.c.lease_until < now)
    waits = promotions.c.verification.is_not(None) & (promotions.c.state == STATE)
    query = select(promotions.c.id).where(waits, promotions.c.next_attempt <= now, free)
    found: list[PromotionRow] = []
    for one in connection.execute(query.order_by(promotions.c.next_attempt, promotions.c.id)).scalars():
        row = rows.get(connection, cast("str", one))
        if row is not None and pending(row) and len(found) < limit:
            found.append(row)
    if found:
        mine = promotions.c.id.in_([row.id for row in found])
        connection.execute(update(promotions).where(mine).values(owner=owner, lease_until=lease_until))
    return found


def release(connection: Connection, owner: str) -> None:
    """Give back all that `owner` looks at."""
    held = (promotions.c.owner == owner) & (promotions.c.state == STATE)
    connection.execute(update(promotions).where(held).values(owner=None, lease_until=None))
