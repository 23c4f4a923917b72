"""Who runs a source that only one replica may run: a lease in the store for each, renewed by one task for all.

A lease that cannot be renewed is given up before it runs out, so that two replicas never mean to hold it at the same
time. If a whole process stood still for longer than that, two may run for a moment: events have ids of their own, so
what both tell is one event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
import structlog

from retrain.clock import Clock
from retrain.errors import Transient
from retrain.store import Store, leases

log = structlog.get_logger()

GIVE_BACK_S = 2.0


Idle = Callable[[str | None], None]
"""Told when the work does not run here: None, another replica has it; else what is wrong with the store."""


@dataclass(slots=True)
class _Lease:
    """`until`: on the monotonic clock, 0 while it is not held. `work`: what runs under it."""

    idle: Idle
    taken: anyio.Event = field(default_factory=anyio.Event)
    until: float = 0.0
    work: anyio.CancelScope | None = None


class Leases:
    """The leases of one process, each for `lasts_s` seconds: so long a dead one's sources stand still.

    `run` takes and renews them; `while_held` runs work under one.
    """

    def __init__(self, store: Store, clock: Clock, holder: str, *, lasts_s: float) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._lasts_s = lasts_s
        self._every_s = lasts_s / 3
        self._leases: dict[str, _Lease] = {}
        self._wake = anyio.Event()

    async def run(self) -> None:
        """Renew what is held and try to take what is wanted, until cancelled."""
        while True:
            self._wake = anyio.Event()
            if self._leases:
                await self._turn()
            with anyio.move_on_after(self._every_s if self._leases else None):
                await self._wake.wait()

    async def while_held(self, name: str, idle: Idle, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` as long as the lease is ours, again whenever it is ours again; `idle` is told when it is not.

        Ends when `work` does, or by cancellation; the lease is given back then.
        """
        lease = self._leases[name] = _Lease(idle)
        self._wake.set()
        try:
            while True:
                await lease.taken.wait()
                with anyio.CancelScope() as lease.work:
                    await work()
                    return
        finally:
            del self._leases[name]
            if lease.until:
                await self._give_back(name)

    async def _turn(self) -> None:
        now, began = self._clock.now(), self._clock.monotonic()
        names, until = list(self._leases), now + timedelta(seconds=self._lasts_s)
        ours: set[str] | None = None
        trouble = "it does not answer in time"
        try:
            with anyio.move_on_after(self._every_s):
                ours = await self._store.write(lambda c: leases.take(c, names, self._holder, now, until))
        except Transient as error:
            trouble = str(error)
        if ours is None:
            log.warning("source.lease_not_renewed", error=trouble)
        for name in names:
            if (lease := self._leases.get(name)) is None:
                continue
            if ours is None:
                self._wait_for_store(name, lease, trouble)
            elif name in ours:
                lease.until = began + self._lasts_s
                lease.taken.set()
            else:
                self._lose(name, lease, None)

    def _wait_for_store(self, name: str, lease: _Lease, trouble: str) -> None:
        """What is held goes on as long as it is sure to be ours up to the next turn."""
        if lease.until <= self._clock.monotonic() + self._every_s:
            self._lose(name, lease, trouble)

    def _lose(self, name: str, lease: _Lease, trouble: str | None) -> None:
        if lease.until:
            log.warning("source.lease_lost", source=name, holder=self._holder)
        lease.until = 0.0
        lease.taken = anyio.Event() if lease.taken.is_set() else lease.taken
        lease.idle(trouble)
        if lease.work is not None:
            lease.work.cancel()

    async def _give_back(self, name: str) -> None:
        with anyio.move_on_after(GIVE_BACK_S, shield=True):
            try:
                await self._store.write(lambda c: leases.give_back(c, [name], self._holder))
            except Transient as error:
                log.warning("source.lease_not_given_back", source=name, error=str(error))
