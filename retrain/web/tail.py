"""`GET /api/v1/events/tail`: the log as Server-Sent Events, as it grows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.responses import Response

from retrain.app.services import Services
from retrain.errors import BusError
from retrain.serving import Receive, Scope, Send

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


class Tail(Response):
    """Sends the events behind a position of the log, until the client goes or the platform stops.

    Whoever only listens must not hold a shutdown up: the stream ends as soon as the platform is asked to.
    """

    media_type = "text/event-stream"

    def __init__(self, services: Services, position: int) -> None:
        super().__init__()
        self._services = services
        self._position = position

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        # A first line at once, so that the client knows that it is heard.
        await send({"type": "http.response.body", "body": b": listening\n\n", "more_body": True})
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_after, self._services.closing.wait, group.cancel_scope)
            group.start_soon(_cancel_after, lambda: _gone(receive), group.cancel_scope)
            await self._send_all(send)
            group.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _send_all(self, send: Send) -> None:
        try:
            async with self._services.bus.tail(self._position) as batches:
                async for batch in batches:
                    lines = [b"id: %d\ndata: %s\n\n" % (one.position, one.event.to_json()) for one in batch]
                    await send({"type": "http.response.body", "body": b"".join(lines), "more_body": True})
        except BusError as error:
            # The status is sent already; the client comes again with the last id that it has.
            said = str(error).replace("\n", " ").encode()
            await send({"type": "http.response.body", "body": b": %s\n\n" % said, "more_body": True})


async def _cancel_after(wait: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
