"""Events that the platform itself has to tell: written in the transaction that makes them true, published after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from retrain.events import Event, from_json
from retrain.store.tables import outbox


def add(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Put events in the outbox. Their ids must follow from what they tell, for they may be published twice."""
    if events:
        connection.execute(insert(outbox), [{"event": e.to_json().decode(), "created": now} for e in events])


def pending(connection: Connection, limit: int = 500) -> list[tuple[int, Event]]:
    """The oldest unpublished events, with the numbers to `remove` them by."""
    rows = connection.execute(select(outbox).order_by(outbox.c.id).limit(limit))
    return [(row.id, from_json(row.event)) for row in rows]


def remove(connection: Connection, numbers: Iterable[int]) -> None:
    """Take events out, once the bus has them."""
    connection.execute(delete(outbox).where(outbox.c.id.in_(list(numbers))))
