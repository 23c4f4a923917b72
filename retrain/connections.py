"""HTTP connections that cannot be held by saying little: uvicorn's protocol with bounds on what comes before a body.

A request's line and headers have HEAD_S seconds and HEAD_BYTES bytes, in FIELDS fields at most; a connection that says
nothing, or only line ends, is closed after the same time. Bodies are bounded by whoever reads them, see `serving`.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10.0
"""Seconds in which a request's headers must be whole."""
HEAD_BYTES = 64 * 1024
FIELDS = 200
VERSIONS = ("1.0", "1.1")

CONNECTIONS = min(4096, max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
"""Open connections of one server; more are closed at once. The rest of the file handles is for the house itself."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Its parser calls the `on_` methods while `data_received` runs."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._size = 0
        self._fields = 0
        self._refusal: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not (self._in_head or self._in_body) and not data.strip(b"\r\n"):
            return  # line ends between requests mean nothing, and must not keep the connection open
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._size += len(data)
        if self._size > HEAD_BYTES:
            self._refuse(431, "The request's headers are too long.")
        elif self._timer is None:
            self._arm()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._in_body = True, False
        self._size = self._fields = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > FIELDS or len(name) + len(value) > HEAD_BYTES:
            self._refusal = 431, "The request has too many headers, or too long ones."
            raise ValueError("too many headers")  # the parser stops; its error is answered by `send_400_response`
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        if self.parser.get_http_version() not in VERSIONS:  # a line without a version is HTTP/0.9
            self._refusal = 505, "HTTP/1.1 is spoken here."
            raise ValueError("not HTTP/1.1")
        self._in_head, self._in_body = False, True
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        status, text = self._refusal or (400, msg)
        self._refuse(status, text)

    def _arm(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(408, "The request's headers did not come in time.")
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, text: str) -> None:
        """Answer without the application, and close. Requests before this one on the connection have their answers."""
        if self.transport.is_closing():
            return
        self._disarm()
        self.transport.write(
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text)}\r\nconnection: close\r\n\r\n{text}".encode("ascii")
        )
        self.transport.close()


_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
}
