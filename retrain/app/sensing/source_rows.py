"""Event sources as the API and the command line show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eventsources import SourceState
from retrain.events import format_time


def row(one: SourceState) -> dict[str, Any]:
    """One entry of an EventSource: how it is doing. Times are RFC 3339; nothing in it is secret."""
    source, _, event = one.name.partition("/")
    return {
        "source": source,
        "event": event,
        "kind": one.kind,
        "state": one.state,
        "since": format_time(one.since),
        "waitingFor": one.waiting_for,
        "note": one.note,
        "lastEvent": _time(one.last_event),
        "received": one.received,
        "rate": one.rate,
        "lag": one.lag,
        "filtered": one.filtered,
        "deadLetters": one.buried,
        "errors": one.errors,
        "lastError": one.last_error,
        "lastErrorAt": _time(one.last_error_at),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)
