"""Connections that firings share: one for each server and login, opened when the first firing needs it.

A server that cannot be reached is left alone for a while, so that a thousand firings do not each wait for it.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import anyio
import structlog

from retrain.errors import Transient
from triggers.port import RetryAfter
from triggers.settings import NetworkSettings

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
CLOSING_S = 5.0
LOOK_S = 10.0
"""Seconds between two looks for connections that nobody needs any more."""

log = structlog.get_logger()


class Connection(Protocol):
    """What can be shared."""

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent over it any more."""
        ...

    async def aclose(self) -> None:
        """End it. What was sent already may still arrive."""
        ...


C = TypeVar("C", bound=Connection)


@dataclass
class _Slot(Generic[C]):
    """One server. `users`: firings that hold it now; `failures`: dials in a row that failed."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    current: C | None = None
    users: int = 0
    idle_since: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    reason: str = ""


class Connections(Generic[C]):
    """Open connections by server and login. The key may hold secrets: it is never shown."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._slots: OrderedDict[Hashable, _Slot[C]] = OrderedDict()
        self._looked = 0.0

    @asynccontextmanager
    async def use(self, key: Hashable, dial: Callable[[], Awaitable[C]]) -> AsyncGenerator[C]:
        """The connection to `key`, opened by `dial` where there is none.

        Raises:
            Transient: it cannot be reached; `RetryAfter` while it is being left alone.
            Permanent: it refused us.
        """
        slot = self._slots.setdefault(key, _Slot[C]())
        self._slots.move_to_end(key)
        slot.users += 1
        try:
            connection = slot.current
            if connection is None or connection.lost:
                connection = await self._open(slot, dial)
            yield connection
        finally:
            slot.users -= 1
            slot.idle_since = anyio.current_time()
            await self._close_idle()

    async def aclose(self) -> None:
        """Close all, at once: each may take its time."""
        slots, self._slots = list(self._slots.values()), OrderedDict()
        async with anyio.create_task_group() as group:
            for slot in slots:
                group.start_soon(_close, slot)

    async def _open(self, slot: _Slot[C], dial: Callable[[], Awaitable[C]]) -> C:
        async with slot.lock:
            if slot.current is not None:
                if not slot.current.lost:
                    return slot.current  # another firing opened it while this one waited
                await _close(slot)
            wait = slot.not_before - anyio.current_time()
            if wait > 0:
                raise RetryAfter(slot.reason, wait)
            try:
                with anyio.fail_after(self._settings.dial_s):
                    slot.current = await dial()
            except TimeoutError:
                _leave_alone(slot, f"no connection within {self._settings.dial_s:g} s")
                raise Transient(slot.reason) from None
            except Transient as error:
                _leave_alone(slot, str(error))
                raise
            slot.failures, slot.not_before = 0, 0.0
            return slot.current

    async def _close_idle(self) -> None:
        now = anyio.current_time()
        if len(self._slots) <= self._settings.connections and now < self._looked + LOOK_S:
            return
        self._looked = now
        surplus = len(self._slots) - self._settings.connections
        for key, slot in list(self._slots.items()):
            if slot.users or slot.not_before > now:
                continue
            if surplus > 0 or now > slot.idle_since + self._settings.idle_s:
                del self._slots[key]
                surplus -= 1
                await _close(slot)


def _leave_alone(slot: _Slot[C], reason: str) -> None:
    slot.failures += 1
    pause = min(FIRST_PAUSE_S * 2 ** min(slot.failures - 1, 10), LONGEST_PAUSE_S)
    slot.not_before = anyio.current_time() + pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    slot.reason = reason


async def _close(slot: _Slot[C]) -> None:
    connection, slot.current = slot.current, None
    if connection is None:
        return
    with anyio.move_on_after(CLOSING_S, shield=True):
        try:
            await connection.aclose()
        except Exception as error:  # noqa: BLE001 - it is of no use any more, whatever it says
            log.info("trigger.connection_not_closed", error=type(error).__name__)
