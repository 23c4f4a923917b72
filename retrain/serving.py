"""What every HTTP door here is made of: a socket, uvicorn without signal handlers of its own, bodies with a bound.

Knows nothing of the house: the web and the webhooks both stand on it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from contextlib import contextmanager
from typing import Any

import anyio
import orjson
import uvicorn
from anyio.abc import TaskStatus

from retrain.connections import BoundedProtocol
from retrain.errors import ConfigError

BACKLOG = 1024
LINGER = 16 * 1024 * 1024
LINGER_S = 5.0
"""Bytes and seconds for which a body that is too large is read on, so that its sender hears why it is refused."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class TooLarge(Exception):
    """A request's body is over the limit; the rest of it was not read."""


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes | None:
    """The whole body of a request; None if the client went away in the middle of it.

    The caller bounds the time: a client may drip its bytes. Of a body that is too large a part is read and thrown away,
    for a client that still sends when the connection closes never sees the answer.

    Raises:
        TooLarge: it is, or says that it will be, longer than `limit` bytes.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
            await _throw_away(receive, int(value[:20]))
            raise TooLarge(f"the body has {int(value[:20])} bytes; {limit} is the limit")
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")  # the common case: all of it in one piece
        if len(body) > limit:
            raise TooLarge(f"the body is longer than {limit} bytes, the limit")
        return body
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            await _throw_away(receive, 0)
            raise TooLarge(f"the body is longer than {limit} bytes, the limit")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


async def _throw_away(receive: Receive, announced: int) -> None:
    size = 0
    if announced > LINGER:
        return
    with anyio.move_on_after(LINGER_S):
        while size <= LINGER:
            message = await receive()
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return


async def answer(send: Send, status: int, body: Any, headers: Headers = ()) -> None:
    """Send one JSON answer."""
    await answer_bytes(send, status, orjson.dumps(body), b"application/json", headers)


async def answer_bytes(send: Send, status: int, content: bytes, content_type: bytes, headers: Headers = ()) -> None:
    """Send one answer."""
    length = str(len(content)).encode()
    all_headers = [(b"content-type", content_type), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": content})


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the port is taken or not ours to take, or the host is none of this machine.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With the protocol's number asyncio sets TCP_NODELAY on what is accepted; without it each answer waits 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigError(f"server.host: {host!r} is no address of this machine: {error.strerror}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port {port} on {host} cannot be listened on: {error.strerror}; "
            "give another one with --port, or --port 0 for a free one"
        ) from error
    listener.setblocking(False)
    return listener


class Server:
    """Serves one ASGI application on one socket, over TLS where `tls` is a context.

    The context may be changed while it serves: connections that come later are made with what it holds then.
    """

    name = "server"

    def __init__(
        self, app: Any, listener: socket.socket, *, drain_s: float = 5.0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = listener
        self._scheme = "https" if tls is not None else "http"
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                loop="none",
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(drain_s) or 1,
                backlog=BACKLOG,
                ssl_context_factory=(lambda _config, _default: tls) if tls is not None else None,
            )
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self._listener.getsockname()[:2]
        return f"{self._scheme}://[{host}]:{port}" if ":" in host else f"{self._scheme}://{host}:{port}"

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled: no new connection then, requests in hand get their answer within the bound."""
        async with anyio.create_task_group() as group:
            with anyio.CancelScope(shield=True) as serving:
                group.start_soon(self._stop_on_cancel, serving)
                task_status.started()
                await self._server.serve(sockets=[self._listener])
            group.cancel_scope.cancel()

    async def _stop_on_cancel(self, serving: anyio.CancelScope) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self._server.should_exit = True
            del serving


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the platform's, not the server's."""
        yield
