"""A small HTTP server of documents that tests change meanwhile: with ETag, and with a login where one is set."""

from __future__ import annotations

import sys
import threading
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.launch import free_port


@dataclass
class HttpServer:
    """`documents` by path. `headers` are added to every answer. `asked`: (method, path, status) of what was asked.

    `bodies`: what was posted. `etags`: whether answers have an ETag. `login`: USER:PASSWORD that is asked for, or none.
    """

    port: int = field(default_factory=free_port)
    documents: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    etags: bool = True
    login: str = ""
    statuses: dict[str, int] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.answer(self)

            def do_POST(self) -> None:
                server.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                server.answer(self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Who asks may go away before it has the answer."""
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.requests.append({name.lower(): value for name, value in request.headers.items()})
        body = self.documents.get(path, b"")
        etag = f'"{sha256(body).hexdigest()[:16]}"'
        status = self.statuses.get(path) or (200 if path in self.documents else 404)
        expected = f"Basic {b64encode(self.login.encode()).decode()}"
        if self.login and request.headers.get("Authorization") != expected:
            status, body = 401, b"who are you"
        elif status == 200 and self.etags and request.headers.get("If-None-Match") == etag:
            status, body = 304, b""
        # Noted before it is answered: who waits for the answer finds it noted.
        self.asked.append((request.command, path, status))
        request.send_response(status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        if self.etags and status in (200, 304):
            request.send_header("ETag", etag)
        request.send_header("Connection", "close")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


@contextmanager
def http_server(**more: Any) -> Generator[HttpServer]:
    server = HttpServer(**more)
    server.start()
    try:
        yield server
    finally:
        server.kill()
