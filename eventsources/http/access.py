"""The access log: which endpoint was asked, what it answered, how long that took. Never a header, a query or a body.

What was taken is logged at debug. What was refused is logged at info, at most once a second for each endpoint and
status, with the number of those in between: whoever knocks a thousand times shall not fill a disk.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

log = structlog.get_logger()

KEPT = 1000
"""Endpoints and statuses whose last time is remembered."""


class AccessLog:
    """The log of one application. `now` gives seconds that never go back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[tuple[str, int], float] = {}
        self._skipped: dict[tuple[str, int], int] = {}

    def note(self, endpoint: str, status: int, started: float, *, size: int = 0, reason: str = "") -> None:
        """One request has its answer. `started`: what `now` said before; `reason`: why it was refused."""
        now = self._now()
        took_ms = round((now - started) * 1000, 1)
        if status < 400:
            log.debug("webhook.request", endpoint=endpoint, status=status, bytes=size, took_ms=took_ms)
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
        log.info("webhook.refused", endpoint=endpoint, status=status, reason=reason, took_ms=took_ms, alike_before=more)
