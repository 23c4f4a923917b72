"""A bus in memory: for tests, users' too. Same contract as the others, except that it dies with the process."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import anyio

from retrain.bus.port import Bounds, Published, Record, Usage
from retrain.bus.wire import decode, encode
from retrain.clock import Clock, SystemClock
from retrain.errors import BusError
from retrain.events import Event, EventKey


@dataclass(frozen=True, slots=True)
class _Stored:
    """An event as bytes, so that it goes in and comes out by the same way as on a wire."""

    position: int
    body: bytes
    received: datetime


class MemoryBus:
    """The log as a list. `max_events` keeps the newest so many (None: all)."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        duplicate_window_s: float = 600.0,
        max_events: int | None = None,
        max_payload: int = 8 * 1024 * 1024,
    ) -> None:
        self._clock = clock or SystemClock()
        self._window_s = duplicate_window_s
        self._max_events = max_events
        self._max_payload = max_payload
        self._log: list[_Stored] = []
        self._last = 0
        self._seen: OrderedDict[EventKey, tuple[float, int]] = OrderedDict()  # oldest first: (monotonic, position)
        self._arrived = anyio.Event()
        self._closed = False

    @property
    def connected(self) -> bool:
        return not self._closed

    @property
    def waiting_for(self) -> str | None:
        return "the bus is closed" if self._closed else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse everything from now on; whoever waits in a tail gets a BusError. Closing twice is once."""
        self._closed = True
        self._arrived.set()

    async def publish(self, event: Event) -> Published:
        self._check_open()
        body = encode(event, self._max_payload)
        await anyio.lowlevel.checkpoint()
        now = self._clock.monotonic()
        self._forget(now - self._window_s)
        key = event.key
        if key in self._seen:
            return Published(self._seen[key][1], duplicate=True)
        self._last += 1
        self._seen[key] = (now, self._last)
        self._log.append(_Stored(self._last, body, self._clock.now()))
        if self._max_events is not None:
            del self._log[: -self._max_events]
        self._arrived.set()
        self._arrived = anyio.Event()
        return Published(self._last, duplicate=False)

    async def publish_many(self, events: Sequence[Event]) -> list[Published]:
        return [await self.publish(event) for event in events]

    async def read(self, after: int, *, limit: int = 500) -> list[Record]:
        self._check_open()
        await anyio.lowlevel.checkpoint()
        start = bisect_right(self._log, after, key=lambda stored: stored.position)
        return [Record(it.position, decode(it.body), it.received) for it in self._log[start : start + limit]]

    @asynccontextmanager
    async def tail(self, after: int, *, limit: int = 500) -> AsyncGenerator[AsyncIterator[list[Record]]]:
        yield _Tail(self, after, limit)

    async def bounds(self) -> Bounds:
        self._check_open()
        return Bounds(self._log[0].position if self._log else self._last + 1, self._last)

    async def usage(self) -> Usage:
        self._check_open()
        return Usage(len(self._log), sum(len(one.body) for one in self._log), "memory")

    async def arrival(self) -> None:
        """Wait until something is published, or the bus is closed."""
        await self._arrived.wait()

    def _check_open(self) -> None:
        if self._closed:
            raise BusError("the bus is closed")

    def _forget(self, before: float) -> None:
        while self._seen and next(iter(self._seen.values()))[0] <= before:
            self._seen.popitem(last=False)


class _Tail:
    def __init__(self, bus: MemoryBus, after: int, limit: int) -> None:
        self._bus = bus
        self._position = after
        self._limit = limit

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Record]:
        while True:
            records = await self._bus.read(self._position, limit=self._limit)
            if records:
                self._position = records[-1].position
                return records
            await self._bus.arrival()
