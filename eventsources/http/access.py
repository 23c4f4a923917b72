"""The access log: which endpoint was asked, what it answered, how long that took. Never a header, a query or a body.

What was taken is logged at debug. What was refused is logged at info, at most once a second for each endpoint and
status, with the number of those in between: whoever knocks a thousand times shall not fill a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from retrain.log import get_logger

log = get_logger()

KEPT = 1000
"""Endpoints and statuses whose last time is remembered."""


class AccessLog:
    """The log of one application. `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[tuple[str, int], float] = {}
        self._skipped: dict[tuple[str, int], int] = {}
        self._asked = float("-inf")
        self._tells_all = True

    def note(self, endpoint: str, status: int, started: float, *, size: int = 0, reason: str = "") -> None:
        """One request has its answer. `started`: what `now` said before; `reason`: why it was refused."""
        now = self._now()
        if status < 400:
            if now >= self._asked + 1:  # once a second: asking costs more than the rest of this
                self._asked, self._tells_all = now, log.bind().is_enabled_for(logging.DEBUG)
            if not self._tells_all:
                return
            log.debug("webhook.request", endpoint=endpoint, status=status, bytes=size, took_ms=_ms(now - started))
            return
        key = endpoint, status
        if now - self._last.get(key, float("-inf")) < 1:
            self._skipped[key] = self._skipped.get(key, 0) + 1
            return
        if len(self._last) >= KEPT:
            self._last.clear()
            self._skipped.clear()
        self._last[key] = now
        more = self._skipped.pop(key, 0)
        log.info(
            "webhook.refused",
            endpoint=endpoint,
            status=status,
            reason=reason,
            took_ms=_ms(now - started),
            alike_before=more,
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
