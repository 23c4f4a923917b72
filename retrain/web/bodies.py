"""Bodies of what is asked of the API: whole before a route sees them, bounded in bytes and time, and JSON.

JSON only, for a form could be sent by any page that a browser shows. What is taken has no halves of letters and no NUL,
and is not nested without end: stores and logs would choke on it later.
"""

from __future__ import annotations

import orjson

from eventsources.http.answers import Refusal
from eventsources.http.reading import Gone, read_whole
from retrain.serving import App, Receive, Scope, Send, answer
from retrain.web.argo_events import is_argo_event

LONGEST = 1024 * 1024
"""Bytes of one body. Events have a bound of their own (`server.max_body`)."""


class Bodies:
    """An application whose requests are like that."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"} or _takes_events(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await read_whole(scope["headers"], receive, LONGEST)
            _check(scope, body)
        except Gone:
            return
        except Refusal as refusal:
            await answer(send, refusal.status, {"error": refusal.text}, refusal.headers)
        else:
            await self._app(scope, _again(body, receive), send)


def _takes_events(scope: Scope) -> bool:
    return scope["path"] == "/api/v1/events" or is_argo_event(scope)


def _check(scope: Scope, body: bytes) -> None:
    if not body:
        return
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if kind.partition(b";")[0].strip().lower() != b"application/json":
        raise Refusal(415, "send application/json", (b"accept", b"application/json"))
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    # NUL has no other form in JSON: as a byte it is none, and with an even number of backslashes it is text.
    if b"\\u0000" in body.replace(b"\\\\", b""):
        raise Refusal(400, "the body has a NUL in a text (\\u0000); no name and no text has one")


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read, and then what the connection says."""
    given = False

    async def give() -> dict[str, object]:
        nonlocal given
        if given:
            return dict(await receive())
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
