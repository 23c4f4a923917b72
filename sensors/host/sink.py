"""Who takes the firings, seen from the sensor host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from retrain.clock import Clock
from retrain.store import Store, firings
from retrain.store.firings import FiringRow
from triggers.endings import take_back

TOPIC = "firings"


class Sink(Protocol):
    """Who takes the firings. `triggers.Dispatcher` is one: it acts on them without waiting for its next look."""

    def enlist(self, connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
        """Write the firings down in this transaction; those that are new."""
        ...

    def offer(self, rows: Iterable[FiringRow]) -> None:
        """They are committed."""
        ...

    def cancel(self, connection: Connection, ids: Iterable[str]) -> object:
        """Take firings back in this transaction: those that have not acted; the runs of the others are stopped."""
        ...


class StoreSink:
    """Leaves the firings in the store, and wakes whoever waits for them there."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def enlist(self, connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
        fresh = firings.unknown(connection, rows)
        firings.add(connection, fresh)
        return fresh

    def offer(self, rows: Iterable[FiringRow]) -> None:
        if any(True for _ in rows):
            self._store.signals.notify(TOPIC)

    def cancel(self, connection: Connection, ids: Iterable[str]) -> object:
        return take_back(connection, ids, self._clock.now(), ())
