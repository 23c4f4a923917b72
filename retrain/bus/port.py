"""What a bus is to the rest of the house: a Protocol and its three values.

`tests/contract/test_bus.py` says the same in tests, over every adapter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from retrain.events import Event


@dataclass(frozen=True, slots=True)
class Published:
    """The bus's word that an event is safe.

    `position` is where it lies in the log; where `duplicate` is true, that of the first copy, and nothing was added.
    """

    position: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One event in the log. Positions are >= 1 and grow; there may be gaps. `received` is the bus's clock, UTC."""

    position: int
    event: Event
    received: datetime


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the log holds: `first` is the oldest position kept, `last` the newest ever given (0 before the first event).

    `first > last` says that nothing is there: nothing came yet, or all of it grew too old.
    """

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How much the log holds: events, and their bytes with what the log adds. `server`: what keeps it, its version."""

    events: int
    bytes: int
    server: str


class Bus(Protocol):
    """A durable log of events with dedupe by `Event.key` inside a window."""

    async def publish(self, event: Event) -> Published:
        """Add one event; returns when it is safe. The same key again inside the window adds nothing.

        Raises:
            BusError: the bus did not confirm in time; it may or may not have the event. Publish it again.
            Permanent: it can never take this event (too big, or its data is not JSON).
        """
        ...

    async def publish_many(self, events: Sequence[Event]) -> list[Published]:
        """Add many, hundreds in flight; one answer for each, in their order. They may lie in the log in another order.

        Raises:
            BusError, Permanent: as `publish`, for the first that failed. Others may have been added: publish all again.
        """
        ...

    async def read(self, after: int, *, limit: int = 500) -> list[Record]:
        """At most `limit` records with a position > `after`, in log order; [] at the end of the log.

        Raises:
            BusError: the bus cannot be read now.
        """
        ...

    def tail(self, after: int, *, limit: int = 500) -> AbstractAsyncContextManager[AsyncIterator[list[Record]]]:
        """Every record with a position > `after`, for ever: first what is there, then what comes, as it comes.

        Yields lists of 1 to `limit` records in log order. Nothing is skipped or given twice, through lost connections
        and restarts of the bus: while it is away the iterator waits. A cancelled wait for the next list loses nothing.
        """
        ...

    async def bounds(self) -> Bounds:
        """Where the log begins and ends now.

        Raises:
            BusError: the bus cannot be read now.
        """
        ...

    async def usage(self) -> Usage:
        """How much the log holds now.

        Raises:
            BusError: the bus cannot be read now.
        """
        ...
