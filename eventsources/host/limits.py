"""`limits` of one entry: how big an event may be, how many may come in a second, how many may be on their way."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import orjson

from eventsources.fields import Limits
from retrain.errors import Permanent, Transient
from retrain.events import Event

BURST_S = 1.0
"""A source that was quiet may take in what this many seconds allow at once."""


class Bounds:
    """The limits of one entry, at work. All of an entry's ways to the bus share them."""

    def __init__(self, limits: Limits | None) -> None:
        limits = limits or Limits()
        self.in_flight = limits.in_flight
        self._max_bytes = limits.max_bytes
        self._rate = limits.rate_per_second
        self._full_at = 0.0  # when the bucket of tokens is full again
        self._flying = 0

    def check_size(self, event: Event) -> None:
        """That an event is not too big.

        Raises:
            Permanent: it is.
        """
        if not self._max_bytes:
            return
        size = len(event.data) if isinstance(event.data, bytes) else len(_dumped(event))
        if size > self._max_bytes:
            raise Permanent(f"the event's data has {size} bytes; limits.maxBytes is {self._max_bytes}")

    async def pace(self, count: int) -> None:
        """Wait until so many events more may come."""
        if self._rate and (wait := self._take(count)) > 0:
            await anyio.sleep(wait)

    @asynccontextmanager
    async def admitted(self) -> AsyncGenerator[None]:
        """One event of a door: now or not at all.

        Raises:
            Transient: too many came in this second, or too many are on their way.
        """
        if self.in_flight and self._flying >= self.in_flight:
            raise Transient(f"{self._flying} events are on their way; limits.inFlight is {self.in_flight}")
        if self._rate and self._lacking(1) > 0:
            raise Transient(f"limits.ratePerSecond is {self._rate:g}, and more came")
        if self._rate:
            self._take(1)
        self._flying += 1
        try:
            yield
        finally:
            self._flying -= 1

    def _lacking(self, count: int) -> float:
        """Seconds until so many tokens are there; a crowd that is bigger than the bucket waits for a full one."""
        burst = max(1.0, self._rate * BURST_S)
        taken = max(0.0, self._full_at - anyio.current_time()) * self._rate
        return max(0.0, (taken + min(count, burst) - burst) / self._rate)

    def _take(self, count: int) -> float:
        """Take tokens, also ones that are not there yet; seconds until they are."""
        wait = self._lacking(count)
        self._full_at = max(self._full_at, anyio.current_time()) + count / self._rate
        return wait


def _dumped(event: Event) -> bytes:
    try:
        return orjson.dumps(event.data, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise Permanent(f"the event's data is no JSON: {error}") from error
