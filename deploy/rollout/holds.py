"""The hold that a verification places, and takes away again when a person has looked."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection

from deploy.names import one_line
from retrain.events import JsonValue
from retrain.store import audit, promotions
from retrain.store.audit import Deed
from retrain.store.promotions import Hold, PromotionRow

ACTOR = "retrain (verification)"
"""Who holds and rolls back where no person did."""


def place(connection: Connection, row: PromotionRow, reason: str, now: datetime) -> None:
    """Keep automation away from the row's target. A hold that is there stays as it is."""
    if promotions.holding(connection, row.name, row.environment) is not None:
        return
    hold = Hold(row.name, row.environment, one_line(f"{row.id}: {reason}"), ACTOR, now)
    promotions.hold(connection, hold)
    _note(connection, row, "hold", None, _shown(hold), now)


def lift(connection: Connection, row: PromotionRow, now: datetime) -> None:
    """Take away the hold that `place` put there because of this promotion; no other."""
    hold = promotions.holding(connection, row.name, row.environment)
    if hold is None or hold.actor != ACTOR or not hold.reason.startswith(f"{row.id}: "):
        return
    promotions.release_hold(connection, row.name, row.environment)
    _note(connection, row, "release", _shown(hold), None, now)


def _shown(hold: Hold) -> JsonValue:
    return {**asdict(hold), "created": hold.created.isoformat()}


def _note(
    connection: Connection, row: PromotionRow, verb: str, before: JsonValue, after: JsonValue, now: datetime
) -> None:
    where = f"{row.name}/{row.environment}"
    audit.record(
        connection,
        Deed(now, ACTOR, verified=True, action=f"promotions.{verb}", subject=where, before=before, after=after),
    )
