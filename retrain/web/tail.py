"""Server-Sent Events that go on until the client goes or the platform stops; among them `GET /api/v1/events/tail`.

What every stream here has: `retry:` at once, a line of comment in each silence of BEAT_S, and ids from which the same
client, or another, may go on (`Last-Event-ID`) without a gap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import anyio
import orjson
from starlette.responses import Response

from retrain.app.services import Services
from retrain.bus import Record
from retrain.errors import BusError
from retrain.serving import Receive, Scope, Send

EVENT_STREAM = "text/event-stream"
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy that collects would hold lines back
]
RETRY_MS = 2000
"""Milliseconds after which a client that lost its stream comes again."""
BEAT_S = 15.0
"""Seconds of silence after which a line is sent for its own sake: proxies and clients close what says nothing."""
HELLO = b"retry: %d\n: listening\n\n" % RETRY_MS
BEAT = b": nothing new\n\n"
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events as they come: `id` is a position, `data` a CloudEvent; `missed` where the log does not "
        "reach back so far any more. Until the client goes, or the platform stops",
        "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}


class Tail(Response):
    """Sends the events behind a position of the log.

    Whoever only listens must not hold a shutdown up: the stream ends as soon as the platform is asked to.
    """

    media_type = EVENT_STREAM

    def __init__(self, services: Services, position: int) -> None:
        super().__init__()
        self._services = services
        self._position = position

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        # A first line at once, so that the client knows that it is heard.
        await say(send, HELLO)
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_after, self._services.closing.wait, group.cancel_scope)
            group.start_soon(_cancel_after, lambda: _gone(receive), group.cancel_scope)
            await self._send_all(send)
            group.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send) -> None:
        try:
            first = (await self._services.bus.bounds()).first
            if self._position < first - 1:
                told = {"after": self._position, "first": first}
                await say(send, b"event: missed\ndata: %s\n\n" % orjson.dumps(told))
            async with self._services.bus.tail(self._position) as batches:
                while True:
                    await say(send, _lines(await _next(batches)))
        except BusError as error:
            # The status is sent already; the client comes again with the last id that it has.
            await say(send, b": %s\n\n" % str(error).replace("\n", " ").encode())


async def say(send: Send, lines: bytes) -> None:
    """Send a part of a stream."""
    await send({"type": "http.response.body", "body": lines, "more_body": True})


async def _next(batches: AsyncIterator[list[Record]]) -> Sequence[Record]:
    """What comes next; nothing, if nothing comes for a while. A wait that is given up loses nothing, says the bus."""
    with anyio.move_on_after(BEAT_S):
        return await anext(batches)
    return ()


def _lines(records: Sequence[Record]) -> bytes:
    lines = [b"id: %d\ndata: %s\n\n" % (one.position, one.event.to_json()) for one in records]
    return b"".join(lines) or BEAT


async def _cancel_after(wait: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
