"""What every request and answer of the platform's port has around it, whichever room it is for.

X-Request-Id        the client's, where it sends one that can be logged; else a new one; also in the log
HEAD                GET without its body
errors              RFC 9457, see `problems`; a view of the page stays a view
Cache-Control, X-Content-Type-Options, Retry-After, WWW-Authenticate    where the room did not say
"""

from __future__ import annotations

import re
import secrets
from collections.abc import MutableMapping
from typing import Any

import anyio
import orjson
import structlog

from retrain.errors import RetrainError
from retrain.serving import App, Receive, Scope, Send
from retrain.web.errors import status_of
from retrain.web.problems import PROBLEM_JSON, problem

log = structlog.get_logger()

Message = MutableMapping[str, Any]
REQUEST_ID = "retrain.request_id"
"""Where the request's id is, in its scope."""
LONGEST_TARGET = 8 * 1024
"""Bytes of a path, and of a query."""
MISSING: dict[int, tuple[bytes, bytes]] = {
    401: (b"www-authenticate", b'Bearer realm="retrain"'),
    429: (b"retry-after", b"60"),
    503: (b"retry-after", b"1"),
}
"""What an answer of this status must have."""
_ID = re.compile(rb"[\w.:/=+@-]{1,128}")
BUG = "something went wrong that nobody has thought of; the log has more under the id of this request"
_SAID = (b"application/json", b"text/plain")
"""Types of errors that become problems."""


class Envelope:
    """An application with that around it."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[REQUEST_ID] = _id_of(scope)
        out = _Out(scope, send)
        with structlog.contextvars.bound_contextvars(request_id=scope[REQUEST_ID]):
            if refusal := _unreadable(scope):
                await out.problem(*refusal)
            else:
                await self._answer(scope, receive, out)

    async def _answer(self, scope: Scope, receive: Receive, out: _Out) -> None:
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        try:
            with out.enough:
                await self._app(scope, receive, out)
        except RetrainError as error:
            await out.problem(status_of(error), str(error))
        except Exception:
            log.exception("http.bug", method=scope["method"], path=scope["path"])
            if out.started and not out.finished:
                raise  # the connection ends in the midst of it, so that nobody takes it for whole
            await out.problem(500, BUG)


class _Out:
    """Sends an answer, and makes a problem of one that says an error."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._path: str = scope["path"]
        self._id: str = scope[REQUEST_ID]
        self._head = scope["method"] == "HEAD"
        self._send = send
        self._held: Message | None = None
        self._parts: list[bytes] = []
        self.started = self.finished = False
        self.enough = anyio.CancelScope()
        """Cancelled when whoever asked has all that they want."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self._held is not None:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish(self._held)
        elif self._head and message["type"] == "http.response.body":
            await self._send({"type": "http.response.body", "body": b""})
            self.enough.cancel()
        else:
            self.finished = not message.get("more_body")
            await self._send(message)

    async def problem(self, status: int, detail: str) -> None:
        """Answer with a problem, unless an answer has begun."""
        if not self.started:
            await self._say(status, [], problem(status, detail, self._path, self._id))

    async def _start(self, message: Message) -> None:
        said = next((value for name, value in message["headers"] if name.lower() == b"content-type"), b"")
        if message["status"] >= 400 and said.startswith(_SAID):
            self._held = message
            return
        self.started = True
        await self._send({**message, "headers": self._headers(message["status"], list(message["headers"]))})

    async def _finish(self, held: Message) -> None:
        self._held = None
        body = b"".join(self._parts)
        detail, more = (BUG, {}) if held["status"] == 500 else _said(body)
        if detail is None:  # a report, such as that of /readyz
            await self._say(held["status"], held["headers"], body, "application/json")
        else:
            kept = [(n, v) for n, v in held["headers"] if n.lower() not in {b"content-type", b"content-length"}]
            await self._say(held["status"], kept, problem(held["status"], detail, self._path, self._id, more))

    async def _say(self, status: int, headers: Any, body: bytes, kind: str = PROBLEM_JSON) -> None:
        self.started = self.finished = True
        own = {
            b"content-type": kind.encode(),
            b"content-length": str(len(body)).encode(),
            b"cache-control": b"no-store",
        }
        kept = [(name, value) for name, value in headers if name.lower() not in own]
        all_headers = self._headers(status, [*own.items(), *kept])
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})
        await self._send({"type": "http.response.body", "body": b"" if self._head else body})

    def _headers(self, status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        known = {name.lower() for name, _ in headers}
        wanted = [(b"x-request-id", self._id.encode()), (b"x-content-type-options", b"nosniff")]
        wanted.append((b"cache-control", b"no-store"))
        if status in MISSING:
            wanted.append(MISSING[status])
        return [*headers, *((name, value) for name, value in wanted if name not in known)]


def _id_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return value.decode("ascii", errors="ignore") or secrets.token_hex(8)
    return secrets.token_hex(8)


def _unreadable(scope: Scope) -> tuple[int, str] | None:
    """Why nobody should look at this request at all."""
    query: bytes = scope.get("query_string", b"")
    if len(query) > LONGEST_TARGET or len(scope["path"]) > LONGEST_TARGET:
        return (
            414,
            f"a path and a query have at most {LONGEST_TARGET} bytes each; this one has {len(query)} in its query",
        )
    if "\0" in scope["path"] or b"%00" in query or b"\0" in query:
        return 400, "the address has a NUL in it (%00); no name and no text has one"
    return None


def _said(body: bytes) -> tuple[str | None, dict[str, Any]]:
    """What an error says, and what else is in it; None: it is no error, but a report."""
    try:
        known = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace"), {}
    if not isinstance(known, dict):
        return None, {}
    detail = known.pop("error", None) or known.pop("detail", None)
    return (detail, known) if isinstance(detail, str) else (None, {})
