"""An answer that goes on and on ends when whoever hears it may not any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

import anyio

from retrain.identity import Principal
from retrain.serving import App, Receive, Scope, Send

EVERY_S = 5.0
"""Seconds after which it is asked again who listens, at the next line."""


async def watched(
    room: App, scope: Scope, receive: Receive, send: Send, who: Callable[[], Awaitable[Principal | None]]
) -> None:
    """Let the room answer, for as long as somebody who may come in listens."""
    asked = monotonic()
    with anyio.CancelScope() as listening:

        async def send_on(message: MutableMapping[str, Any]) -> None:
            nonlocal asked
            if message.get("more_body") and monotonic() - asked >= EVERY_S:
                asked = monotonic()
                if await who() is None:
                    await send({"type": "http.response.body", "body": b""})
                    listening.cancel()
                    return
            await send(message)

        await room(scope, receive, send_on)
