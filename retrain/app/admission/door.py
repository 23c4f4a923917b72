"""The webhook's HTTP: raw ASGI, with a bound for size and time. It asks neither the store nor the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import orjson
import structlog

from retrain.app.admission.reviews import answered
from retrain.errors import ConfigError
from retrain.serving import Receive, Scope, Send, TooLarge, answer, read_body

log = structlog.get_logger()

PATH = "/admission"
MAX_BODY = 8 * 1024 * 1024
"""Bytes of a review: it has the object twice, and an object 1.5 MB at most; JSON may write them longer."""
TIME_S = 4.5
"""Seconds for one review, less than the API server waits. What takes longer is answered with 503, and the
`failurePolicy` says what that means."""
AT_ONCE = 2
"""Reviews that are worked on at the same time; the others wait, within their time."""

Answer = Callable[[Any], dict[str, Any]]


@dataclass(slots=True)
class Door:
    """An ASGI application. `asked` and `refused` count since the start."""

    answer: Answer = answered
    asked: int = 0
    refused: int = 0
    _limit: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(AT_ONCE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if scope["path"] != PATH:
            await answer(send, 404, {"message": f"there is nothing here; reviews go to {PATH}"})
        elif scope["method"] != "POST":
            await answer(send, 405, {"message": "a review is posted"}, [(b"allow", b"POST")])
        else:
            await self._review(scope, receive, send)

    async def _review(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 503, {"message": f"the review took longer than {TIME_S:g} s"}
        with anyio.move_on_after(TIME_S):
            try:
                raw = await read_body(scope["headers"], receive, MAX_BODY)
                if raw is None:
                    return
                status, body = (
                    200,
                    await anyio.to_thread.run_sync(self._answered, raw, limiter=self._limit, abandon_on_cancel=True),
                )
            except TooLarge as error:
                status, body = 413, {"message": str(error)}
            except ConfigError as error:
                status, body = 400, {"message": str(error)}
        self._count(status, body)
        await answer(send, status, body)

    def _answered(self, raw: bytes) -> dict[str, Any]:
        try:
            return self.answer(orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            raise ConfigError("the review is no JSON") from error

    def _count(self, status: int, body: dict[str, Any]) -> None:
        response: Any = body.get("response") or {}
        self.asked += 1
        if status != 200:
            log.warning("admission.failed", status=status, message=body.get("message"))
        elif not response.get("allowed"):
            self.refused += 1
            log.info("admission.refused", message=response["status"]["message"])
