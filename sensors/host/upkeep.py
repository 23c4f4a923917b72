"""Keeping the store small: what has ended, what was set aside long ago and old decisions go, piece by piece."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import anyio
import structlog
from sqlalchemy import Connection

from retrain.clock import Clock
from retrain.errors import Transient
from retrain.store import Store, cells, decisions

log = structlog.get_logger()

PIECE = 500
"""Rows of one transaction."""

SET_ASIDE = timedelta(days=7)
"""How long what a removed sensor (or a removed part of one) kept in mind can come back."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long decisions are kept, and how many of them at most (None: as many as there are). `every_s`: how often it
    is looked for what may go."""

    decisions_for: timedelta = timedelta(days=30)
    decisions: int | None = 5_000_000
    every_s: float = 30.0


class Upkeep:
    """Cleans up behind the sensors. `expire` is the host's: it takes cells out of its memory too."""

    def __init__(self, store: Store, clock: Clock, keep: Keep, expire: Callable[[int], Awaitable[int]]) -> None:
        self._store = store
        self._clock = clock
        self._keep = keep
        self._expire = expire

    async def run(self) -> None:
        """Clean up now and then, until cancelled. Never in a hurry: between two pieces others get their turn."""
        while True:
            try:
                await self.clean()
            except Transient as error:
                log.warning("sensors.not_cleaned", error=str(error))
            await anyio.sleep(self._keep.every_s)

    async def clean(self) -> int:
        """Delete all that may go; how many rows those were.

        Raises:
            Transient: the store cannot be used now.
        """
        now = self._clock.now()
        gone = await self._drain(lambda: self._expire(PIECE))
        gone += await self._drain(partial(self._write, lambda c: len(cells.forget_retired(c, now - SET_ASIDE, PIECE))))
        before, most = now - self._keep.decisions_for, self._keep.decisions
        gone += await self._drain(partial(self._write, lambda c: decisions.prune(c, before, most, PIECE)))
        return gone

    async def _write(self, work: Callable[[Connection], int]) -> int:
        return await self._store.write(work)

    async def _drain(self, piece: Callable[[], Awaitable[int]]) -> int:
        gone = 0
        while (more := await piece()) > 0:
            gone += more
        return gone
