"""Giving a dead firing another chance."""

from __future__ import annotations

from datetime import datetime

import orjson
from sqlalchemy import Connection

from retrain.errors import NotFound, Refused
from retrain.store import deadletters, firings, outbox
from triggers.announce import announcement
from triggers.endings import tale_of_row
from triggers.port import firing_of


def redrive(connection: Connection, which: str, now: datetime) -> str:
    """Let a dead firing act again, from its first attempt; its id. `which` is its id or that of its dead letter.

    It acts with the same id, so a receiver that honours `Idempotency-Key` is safe; a tracked one is told of. Notify the
    signals "firings" and "outbox" after the commit. An ordered one acts at once: its turn has passed.

    Only firings can be redriven. A letter of kind "message" holds the raw bytes of what a source could not read, one
    of kind "event" an event that could not be filtered, decided or published: once its cause is gone, its body can be
    sent again.

    Raises:
        NotFound: there is no such firing or dead letter.
        Refused: the letter holds no firing, or the firing is not dead (any more).
    """
    letter = deadletters.get(connection, which)
    firing_id = which
    if letter is not None:
        if letter.kind == "message":
            raise Refused(
                f"dead letter {which!r} holds a message of {letter.origin} that could not be read ({letter.reason}); "
                "mend it and send it once more where it came from"
            )
        if letter.kind != "firing":
            raise Refused(
                f"dead letter {which!r} holds no firing but an {letter.kind} ({letter.reason}); "
                "when its cause is gone, send its body again with `retrain events emit`"
            )
        firing_id = orjson.loads(letter.body)["firing"]
    row = firings.get(connection, firing_id)
    if row is None:
        raise NotFound(f"there is no firing or dead letter {which!r}")
    if not firing_of(row).kind:
        raise Refused(
            f"firing {firing_id} has no action: {row.error}; "
            "correct the sensor and send its events again, under other ids"
        )
    if not firings.redrive(connection, firing_id, now):
        raise Refused(f"firing {firing_id} is {row.state}, not dead")
    deadletters.mark_firing_redriven(connection, firing_id, now)
    if row.tracked:
        tale = tale_of_row(row, deadletters.count_about(connection, firing_id))
        outbox.add(connection, [announcement(tale, "redriven", now)], now)
    return firing_id
