"""Trying again until it works, and saying meanwhile what is waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import structlog

from retrain.errors import Transient

T = TypeVar("T")

log = structlog.get_logger()


class Moved(Transient):
    """Another host has moved the cursor: what this one has in memory is old. No patience helps against it."""


class Patience:
    """`waiting_for`: what does not work now; None if all does."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self.waiting_for: str | None = "its start"
        self._first_s = first_s
        self._longest_s = longest_s

    async def insist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works. Meanwhile nothing is taken from the log, so nothing is lost.

        Raises:
            Moved: at once.
        """
        delay_s = self._first_s
        while True:
            try:
                result = await attempt()
            except Moved:
                raise
            except Transient as error:
                delay_s = await self.back_off(what, error, delay_s)
            else:
                self.waiting_for = None
                return result

    async def back_off(self, what: str, error: Transient, delay_s: float | None = None) -> float:
        """Wait before another try; how long to wait after the next failure."""
        delay_s = self._first_s if delay_s is None else delay_s
        self.waiting_for = f"{what}: {error}"
        log.warning("sensors.core.waiting", waiting_for=what, error=str(error), again_s=delay_s)
        await anyio.sleep(delay_s)
        return min(delay_s * 2, self._longest_s)
