"""The `retrain` trigger: an event of the platform's own source, for which other sensors may wait. Sensors call sensors.

It is written to the outbox in the transaction that marks the firing done: called exactly once. What follows from it
counts as following from the firing, so a loop of sensors ends at the limit of lineage.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import Connection

from retrain.errors import Permanent
from retrain.events import OWN_EVENTS, OWN_SOURCE, Event, JsonValue
from retrain.store import outbox
from triggers.port import Firing, StoreTrigger, Tools

FIELDS = frozenset({"eventName", "payload"})


class RetrainTrigger:
    """Puts events in the outbox."""

    topic = "outbox"

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue:
        """Write the event down. Its id is the firing's, so that telling it twice is telling it once.

        Raises:
            Permanent: it has no name, one of the platform's own, or a field that this kind does not know.
        """
        if unknown := sorted(set(firing.body) - FIELDS):
            raise Permanent(f"retrain.{unknown[0]} is not supported by this trigger; take it out of the sensor")
        name = firing.body.get("eventName")
        if not isinstance(name, str) or not name:
            raise Permanent("retrain.eventName is missing: the name under which sensors wait for the event")
        if name.startswith(OWN_EVENTS):
            raise Permanent(f"retrain.eventName {name!r} is a name that the platform gives to its own events")
        event = Event(
            id=firing.id,
            source=OWN_SOURCE,
            subject=name,
            type="dev.retrain.called",
            time=now,
            datacontenttype="application/json",
            data=firing.body.get("payload"),
            extensions={"retraincause": firing.id, "retraindepth": firing.depth + 1},
        )
        outbox.add(connection, [event], now)
        return {"event": event.id}


@asynccontextmanager
async def open_retrain(_tools: Tools) -> AsyncGenerator[StoreTrigger]:
    """Nothing to hold: the store is the way."""
    yield RetrainTrigger()
