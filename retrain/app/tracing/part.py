"""The part that sends spans: what was noted first goes first, and is forgotten once the receiver has it.

A receiver that is away slows nobody: what is over is noted by the database anyway, and tried again later. What it would
be too much to remember is given up, oldest first, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from retrain.app.tracing.collecting import spans_of
from retrain.app.tracing.sender import Sender
from retrain.app.tracing.span import Span
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store, span_feed
from retrain.store.span_feed import Over
from retrain.telemetry import meters

LOOK_S = 1.0
"""Seconds between two looks at what was noted."""
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
LAST_S = 2.0
"""Seconds for the last ones when the platform stops."""
AT_ONCE = 200
"""Things whose spans are built together. A run has one for each step."""
REQUEST = 2000
"""Spans of one request."""
MOST = 100_000
"""Things that are remembered while the receiver is away."""

log = get_logger()


class Tracing:
    """Sends spans; without a sender it sees to it that nothing is noted."""

    name = "traces"

    def __init__(self, store: Store, sender: Sender | None) -> None:
        self._store = store
        self._sender = sender
        self._limiter = anyio.CapacityLimiter(1)
        self.trouble: str | None = None
        """Why spans wait; None: they do not."""

    @property
    def wanted(self) -> bool:
        """Whether anybody wants spans."""
        return self._sender is not None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Send until cancelled. What is not sent by then is still noted."""
        await self._store.write(lambda c: span_feed.want(c, wanted=self.wanted))
        task_status.started()
        if self._sender is None:
            await anyio.sleep_forever()
            return
        try:
            await self._send_on(self._sender)
        finally:
            with anyio.move_on_after(LAST_S, shield=True):
                await self._send_last(self._sender)
            self._sender.close()

    async def _send_last(self, sender: Sender) -> None:
        """What has become over while the other parts stopped; the rest is sent after the next start."""
        if self.trouble is None:
            with suppress(Transient):
                await self._send_some(sender)

    async def _send_on(self, sender: Sender) -> None:
        retry = FIRST_RETRY_S
        while True:
            try:
                noted, taken = await self._send_some(sender)
            except Transient as error:
                self._troubled(str(error))
                taken, noted = False, []
            if taken:
                self.trouble, retry = None, FIRST_RETRY_S
                if len(noted) < AT_ONCE:
                    await anyio.sleep(LOOK_S)
                continue
            await anyio.sleep(retry)
            retry = min(retry * 2, LAST_RETRY_S)

    async def _send_some(self, sender: Sender) -> tuple[list[Over], bool]:
        noted = await self._store.read(lambda c: span_feed.oldest(c, AT_ONCE))
        if not noted:
            return noted, True
        spans = await self._store.read(lambda c: _spans(c, noted))
        if not await self._send(sender, spans):
            self._troubled("the receiver of traces takes none")
            lost = await self._store.write(lambda c: span_feed.trim(c, MOST))
            if lost:
                meters.SPANS_LOST.add(by=lost)
            return noted, False
        await self._store.write(lambda c: span_feed.forget(c, noted))
        meters.SPANS_EXPORTED.add(by=len(spans))
        return noted, True

    async def _send(self, sender: Sender, spans: Sequence[Span]) -> bool:
        for start in range(0, len(spans), REQUEST):
            part = spans[start : start + REQUEST]
            # A request may hang for its whole timeout: at the end nobody waits for that.
            if not await anyio.to_thread.run_sync(sender.send, part, abandon_on_cancel=True, limiter=self._limiter):
                return False
        return True

    def _troubled(self, reason: str) -> None:
        if self.trouble is None:
            log.warning("traces.wait", reason=reason)
        self.trouble = reason


def _spans(connection: Connection, noted: Sequence[Over]) -> list[Span]:
    """The spans of these things. One that no span can be made of costs the others nothing."""
    try:
        return spans_of(connection, noted)
    except Exception:
        log.exception("traces.not_made", things=len(noted))
        if len(noted) == 1:
            meters.SPANS_LOST.add()
            return []
        half = len(noted) // 2
        return [*_spans(connection, noted[:half]), *_spans(connection, noted[half:])]
