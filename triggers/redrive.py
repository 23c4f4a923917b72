"""Giving a dead firing another chance."""

from __future__ import annotations

from datetime import datetime

import orjson
from sqlalchemy import Connection

from retrain.errors import NotFound, Refused
from retrain.store import deadletters, firings
from triggers.port import firing_of


def redrive(connection: Connection, which: str, now: datetime) -> str:
    """Let a dead firing act again, from its first attempt; its id. `which` is its id or that of its dead letter.

    It acts with the same id, so a receiver that honours `Idempotency-Key` is safe. Notify the signal "firings" after
    the commit.

    Raises:
        NotFound: there is no such dead letter, or it holds no firing.
        Refused: the firing is not dead (any more).
    """
    letter = deadletters.get(connection, which)
    firing_id = which
    if letter is not None:
        if letter.kind != "firing":
            raise NotFound(f"dead letter {which!r} holds no firing but a {letter.kind}")
        firing_id = orjson.loads(letter.body)["firing"]
    row = firings.get(connection, firing_id)
    if row is None:
        raise NotFound(f"there is no firing or dead letter {which!r}")
    if not firing_of(row).kind:
        raise Refused(f"firing {firing_id} has no action: {row.error}; correct the sensor and send its events again")
    if not firings.redrive(connection, firing_id, now):
        raise Refused(f"firing {firing_id} is {row.state}, not dead")
    deadletters.mark_firing_redriven(connection, firing_id, now)
    return firing_id
