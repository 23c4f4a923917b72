"""Files on web servers: GET to load, PUT to save. Artifactory is one of them.

Redirects are followed five times, never from https to http; to another host go neither credentials nor headers that a
workflow wrote. What comes is bounded.
"""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urljoin, urlsplit

import urllib3

from pipelines.artifacts.limits import Limits, Meter
from pipelines.artifacts.place import CHUNK, PAUSES_S, attempt
from pipelines.artifacts.port import ArtifactMissing, BadArtifact
from retrain.errors import ConfigError, Permanent, Transient

CONNECT_S = 10.0
READ_S = 60.0
REDIRECTS = 5
_MOVED = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class OAuth:
    """Client credentials, which a token is asked for with."""

    token_url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())


@dataclass(frozen=True, slots=True)
class Login:
    """How to get in: any of these."""

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    oauth: OAuth | None = None
    certificate: str | None = field(default=None, repr=False)
    """PEM, with `key` in PEM."""
    key: str | None = field(default=None, repr=False)


class HttpPlace:
    """One URL."""

    def __init__(
        self, url: str, headers: Mapping[str, str], login: Login, limits: Limits, pauses: tuple[float, ...] = PAUSES_S
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"http: the URL begins with http:// or https://, not {_shown(url)!r}")
        self._url = url
        self._headers = dict(headers)
        self._login = login
        self._limits = limits
        self._pauses = pauses

    def fetch(self, to: Path, sub: str) -> bool:
        del sub
        attempt(lambda: self._fetch(to), _shown(self._url), self._pauses)
        return False

    def _fetch(self, to: Path) -> None:
        to.unlink(missing_ok=True)
        meter = Meter(self._limits, to)
        with self._pool() as pool, self._told(), to.open("xb") as file:
            answer = self._ask(pool, "GET", None)
            try:
                for chunk in answer.stream(CHUNK, decode_content=True):
                    meter.wrote(len(chunk))
                    file.write(chunk)
            finally:
                answer.close()

    def put(self, found: Path) -> None:
        if found.is_dir():
            raise BadArtifact("http takes one file: archive the directory as tar or zip")
        attempt(lambda: self._put(found), _shown(self._url), self._pauses)

    def _put(self, found: Path) -> None:
        with self._pool() as pool, self._told():
            self._ask(pool, "PUT", found).close()

    def open(self) -> BinaryIO:
        out = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115
        with self._pool() as pool, self._told():
            answer = self._ask(pool, "GET", None)
            for chunk in answer.stream(CHUNK, decode_content=True):
                out.write(chunk)
        out.seek(0)
        return out

    def keys(self) -> Iterator[str]:
        raise ConfigError("http: a web server has no list of keys; artifactPaths take s3 or gcs")

    def delete(self) -> None:
        raise ConfigError("http: deleting is not supported, as upstream; artifactGC takes s3 and gcs")

    # ---- one exchange ----

    def _ask(self, pool: urllib3.PoolManager, method: str, body: Path | None) -> urllib3.BaseHTTPResponse:
        url, headers = self._url, {**self._headers, **self._authorization(pool)}
        for _ in range(REDIRECTS + 1):
            answer = self._send(pool, method, url, headers, body)
            if answer.status not in _MOVED:
                return self._judged(answer)
            answer.close()
            new = urljoin(url, answer.headers.get("location") or "")
            before, after = urlsplit(url), urlsplit(new)
            if after.scheme not in ("http", "https") or (before.scheme, after.scheme) == ("https", "http"):
                raise Permanent(f"{_shown(self._url)}: redirects to {_shown(new)!r}, which is not followed")
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                headers = {}
            url = new
        raise Permanent(f"{_shown(self._url)}: more than {REDIRECTS} redirects")

    def _send(
        self, pool: urllib3.PoolManager, method: str, url: str, headers: Mapping[str, str], body: Path | None
    ) -> urllib3.BaseHTTPResponse:
        if body is None:
            return pool.request(method, url, headers=headers, preload_content=False, redirect=False, retries=False)
        sent = {**headers, "Content-Length": str(body.stat().st_size)}
        with body.open("rb") as file:
            return pool.request(
                method, url, headers=sent, body=file, preload_content=False, redirect=False, retries=False
            )

    def _judged(self, answer: urllib3.BaseHTTPResponse) -> urllib3.BaseHTTPResponse:
        status = answer.status
        if 200 <= status < 300:
            return answer
        answer.close()
        said = f"{_shown(self._url)}: the server answered {status} {answer.reason or ''}".rstrip()
        if status in (404, 410):
            raise ArtifactMissing(said)
        raise Transient(said) if status in (408, 429) or status >= 500 else Permanent(said)

    def _authorization(self, pool: urllib3.PoolManager) -> dict[str, str]:
        login = self._login
        if login.oauth is not None:
            return {"Authorization": f"Bearer {_token(pool, login.oauth)}"}
        if login.user is not None and login.password is not None:
            basic = urllib3.make_headers(basic_auth=f"{login.user}:{login.password}")
            return {"Authorization": basic["authorization"]}
        return {}

    @contextmanager
    def _pool(self) -> Generator[urllib3.PoolManager]:
        context = ssl.create_default_context()
        if self._login.certificate and self._login.key:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # ssl reads it from a file only
                file.write(f"{self._login.key}\n{self._login.certificate}\n")
                file.flush()
                try:
                    context.load_cert_chain(file.name)
                except ssl.SSLError as error:
                    raise ConfigError("http: auth.clientCert is no certificate with its key, in PEM") from error
        pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S), ssl_context=context)
        try:
            yield pool
        finally:
            pool.clear()

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except (urllib3.exceptions.SSLError, urllib3.exceptions.LocationParseError) as error:
            raise Permanent(f"{_shown(self._url)}: {error}") from error
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise Transient(f"{_shown(self._url)}: the server cannot be reached: {type(error).__name__}") from error


def _token(pool: urllib3.PoolManager, oauth: OAuth) -> str:
    fields = {"grant_type": "client_credentials", **oauth.parameters}
    if oauth.scopes:
        fields["scope"] = " ".join(oauth.scopes)
    headers = urllib3.make_headers(basic_auth=f"{oauth.client_id}:{oauth.client_secret}")
    answer = pool.request(
        "POST", oauth.token_url, fields=fields, headers=headers, encode_multipart=False, retries=False, redirect=False
    )
    try:
        return str(json.loads(answer.data)["access_token"])
    except (ValueError, KeyError, TypeError):
        raise Permanent(f"http: {_shown(oauth.token_url)} gives no token (status {answer.status})") from None


def _shown(url: str) -> str:
    """Without user, password and query: they may be secrets."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return "(no URL)"
