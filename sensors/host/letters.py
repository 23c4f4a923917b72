"""Dead letters of the sensor host: events that no sensor may take, firings that have no action."""

from __future__ import annotations

from datetime import datetime

import orjson

from retrain.events import Event
from retrain.store.deadletters import DeadLetter
from retrain.store.firings import FiringRow


def letter_of_event(event: Event, origin: str, reason: str, now: datetime) -> DeadLetter:
    """For an event that is taken out; whole, so that nothing of it is lost."""
    return DeadLetter(f"d-{event.key}", "event", origin, reason, event.to_json(), now)


def letter_of_firing(row: FiringRow, reason: str) -> DeadLetter:
    """For a firing that has no action: its events are named."""
    body = {"firing": row.id, "sensor": row.sensor, "trigger": row.trigger, "key": row.key, "events": row.events}
    name = f"d-{row.id.removeprefix('f-')}-{int(row.created.timestamp() * 1e6):x}"
    return DeadLetter(name, "firing", f"{row.sensor}/{row.trigger}", reason, orjson.dumps(body), row.created)
