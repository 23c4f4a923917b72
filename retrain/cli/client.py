"""How commands talk to a running platform: plain HTTP, found by --server or beside the project.

The standard library's client: these commands make one request, and start in half the time. It is imported when one is
made: a fifth of what a command without one takes to start.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn
from urllib.parse import quote, urlencode, urlsplit

import click

from retrain.app.holding import address
from retrain.errors import ConfigError, Forbidden, NotFound, Permanent, Refused, RetrainError, Transient

if TYPE_CHECKING:
    from datetime import datetime
    from urllib.error import HTTPError

TIMEOUT_S = 30.0
JSON = {"Accept": "application/json, application/problem+json"}
DEFAULT = "http://127.0.0.1:7300"

ERRORS: dict[int, type[RetrainError]] = {
    400: ConfigError,
    403: Forbidden,
    404: NotFound,
    409: Refused,
    412: Refused,
    413: Permanent,
    414: ConfigError,
    415: ConfigError,
    422: ConfigError,
}

server_option = click.option(
    "--server",
    metavar="URL",
    envvar="RETRAIN_SERVER",
    help="The platform's URL [default: that of the project in this folder]",
)


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every list."""
    command = click.option("--limit", default=50, show_default=True, help="Items of one page")(command)
    return click.option("--cursor", help="Where the page before ended")(command)


class Client:
    """A running platform, seen from outside."""

    def __init__(self, server: str | None) -> None:
        self.url = (server or _beside(Path.cwd()) or DEFAULT).rstrip("/")
        if not _is_url(self.url):
            raise ConfigError(f"--server {self.url!r} is no URL like {DEFAULT}")

    def get(self, path: str, **words: Any) -> Any:
        """The JSON that the platform answers.

        Raises:
            RetrainError: its answer is an error, in the class that says what to do; Transient if there is none.
        """
        return self._answer(self._open("GET", path, words))

    def every(self, path: str, **words: Any) -> dict[str, Any]:
        """A list, all of its pages as one. Errors as `get`."""
        page = self.get(path, limit=1000, **words)
        while page["next"]:
            more = self.get(path, limit=1000, cursor=page["next"], **words)
            page = {**more, "items": [*page["items"], *more["items"]]}
        return page

    def listed(self, path: str, **words: Any) -> Any:
        """A page of a list. The platform looks through a part of it at a time where no index helps: this goes on until
        the page is full, or the list at its end. Errors as `get`."""
        page = self.get(path, **words)
        wanted = words.get("limit") or 50
        while page.get("searched") and page["next"] and len(page["items"]) < wanted:
            more = self.get(path, **{**words, "cursor": page["next"], "limit": wanted - len(page["items"])})
            page = {**more, "items": [*page["items"], *more["items"]]}
        return page

    def post(self, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Send JSON; the JSON that comes back. Errors as `get`."""
        content = json.dumps({} if body is None else body).encode()
        return self._answer(self._open("POST", path, {}, content, {**JSON, "Content-Type": content_type}))

    def delete(self, path: str) -> Any:
        """End something; the JSON that comes back. Errors as `get`."""
        return self._answer(self._open("DELETE", path, {}))

    def save(self, path: str, to: BinaryIO) -> None:
        """Write the bytes that the platform sends, as they come. Errors as `get`."""
        headers = {"Accept": "application/octet-stream"}
        with self._reaching(), self._open("GET", path, {}, headers=headers, timeout=None) as response:
            shutil.copyfileobj(response, to)

    def get_at(self, path: str, **words: Any) -> tuple[Any, datetime | None, float]:
        """As `get`, with the time that the platform says it is, and the seconds that the answer took."""
        from email.utils import parsedate_to_datetime
        from time import monotonic

        begun = monotonic()
        response = self._open("GET", path, words)
        said, took = response.headers.get("Date"), monotonic() - begun
        return self._answer(response), parsedate_to_datetime(said) if said else None, took

    def save_answer(self, path: str, body: Any, to: BinaryIO) -> None:
        """Send JSON, and write the bytes that come back as they come. Errors as `get`."""
        headers = {"Accept": "application/octet-stream", "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        with self._reaching(), self._open("POST", path, {}, content, headers, timeout=None) as response:
            shutil.copyfileobj(response, to)

    def binary(self, path: str, body: Any) -> bytes:
        """Send JSON; the bytes that come back. Errors as `get`."""
        from io import BytesIO

        self.save_answer(path, body, content := BytesIO())
        return content.getvalue()

    def lines(self, path: str, *, accept: str = "text/plain", **words: Any) -> Generator[str]:
        """The lines of a text that the platform sends, as they come; `accept` is the type that is asked for."""
        with self._reaching():
            for line in self._open("GET", path, words, headers={"Accept": accept}, timeout=None):
                yield line.decode(errors="replace")

    def _answer(self, response: Any) -> Any:
        with self._reaching():
            content = response.read()
        try:
            return json.loads(content)
        except ValueError as error:
            raise Transient(f"what answers at {self.url} is no Retrain platform: it does not speak JSON") from error

    @contextmanager
    def _reaching(self) -> Generator[None]:
        import http.client

        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Transient(f"cannot reach a platform at {self.url}: {reason}; is `retrain up` running?") from error

    def _open(
        self,
        method: str,
        path: str,
        words: dict[str, Any],
        body: bytes | None = None,
        headers: Mapping[str, str] = JSON,
        timeout: float | None = TIMEOUT_S,
    ) -> Any:
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        query = urlencode({name: value for name, value in words.items() if value is not None}, doseq=True)
        url = f"{self.url}{path}" + (f"?{query}" if query else "")
        request = Request(url, data=body, method=method)  # noqa: S310 - http(s), checked above
        for name, value in headers.items():
            request.add_header(name, value)
        if name := os.environ.get("USER", ""):
            # Whoever is known by a token of their own is called as that says.
            request.add_header("X-Retrain-Actor", name.encode("ascii", "replace").decode())
        if token := os.environ.get("RETRAIN_SERVER_TOKEN"):
            request.add_header("Authorization", f"Bearer {token}")
        with self._reaching():
            try:
                return urlopen(request, timeout=timeout)  # noqa: S310
            except HTTPError as error:
                _raise(error)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or a bracket is not closed
        return False


def quoted(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _raise(error: HTTPError) -> NoReturn:
    import http.client

    try:
        answer = json.loads(error.read())
        message = answer.get("detail") or answer.get("error") or answer
        message = message if isinstance(message, str) else json.dumps(message)
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        message = f"HTTP {error.code}"  # no answer of ours: a proxy's page, or another program on that port
    raise ERRORS.get(error.code, Transient if error.code >= 500 else Refused)(message) from error


def _beside(folder: Path) -> str | None:
    """The platform that works on the project in this folder, or in one above it."""
    for parent in (folder, *folder.parents):
        if url := address(parent / ".retrain"):
            return url
    return None
