"""A git server by https for tests: `git http-backend` behind a small server with a login, and with faults on demand."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.servers.certificates import Authority
from tests.servers.launch import free_port

Fault = Literal["", "reset-after-push", "drip"]


@dataclass
class GitServer:
    """Serves the bare repositories below `root` at `https://127.0.0.1:PORT/NAME`. `ca` is its authority, as PEM.

    `login`: USER:PASSWORD that is asked for, or nothing. `unauthorized`: what a 401 says. `refuse`: status and words of
    whatever has this word in its address. `fault`: "reset-after-push" cuts the connection of the next push once the
    server has taken it, once; "drip" never answers.
    """

    root: Path
    port: int = field(default_factory=free_port)
    login: str = ""
    unauthorized: str = "who are you?"
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    fault: Fault = ""
    ca: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(f"{request.command} {request.path}")
        body = _body(request)
        self.bytes_in += len(body)
        if self.fault == "drip":
            threading.Event().wait(30)
        if self.login and request.headers.get("Authorization") != _basic(self.login):
            _send(request, 401, {"WWW-Authenticate": 'Basic realm="git"'}, self.unauthorized.encode())
            return
        for word, (status, words) in self.refuse.items():
            if word in request.path:
                _send(request, status, {}, words.encode())
                return
        status, headers, answer = self._backend(request, body)
        if self.fault == "reset-after-push" and request.command == "POST" and "git-receive-pack" in request.path:
            self.fault = ""
            request.close_connection = True
            return
        self.bytes_out += len(answer)
        _send(request, status, headers, answer)

    def _backend(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(request.path)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "REQUEST_METHOD": request.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "bot",
            "REMOTE_ADDR": "127.0.0.1",
        }
        out = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False).stdout
        head, _, answer = out.partition(b"\r\n\r\n")
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n") if line]
        headers = {name: value for name, _, value in lines}
        return int(headers.pop("Status", "200").split()[0]), headers, answer


def _basic(login: str) -> str:
    return f"Basic {b64encode(login.encode()).decode()}"


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding", "") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    parts: list[bytes] = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(parts)


def _send(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    request.send_response(status)
    for name, value in {"Content-Type": "text/plain", **headers, "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def git_server(root: Path, folder: Path, **more: Any) -> Generator[GitServer]:
    """A server of the repositories below `root`; its certificate is written into `folder`."""
    authority = Authority()
    server = GitServer(root, ca=authority.cert, **more)
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = authority.sign().write(folder, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def finish_request(self, request: Any, client_address: Any) -> None:
            # The handshake belongs to the connection's own thread: a slow one would hold up all others.
            with context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who asks may go away before it has the answer."""
            if not isinstance(sys.exception(), OSError):
                super().handle_error(request, client_address)

    serving = Server(("127.0.0.1", server.port), Handler)
    threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        serving.shutdown()
        serving.server_close()
