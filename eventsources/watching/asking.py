"""What sources have in common that ask a server over HTTP every so often: fields, credentials, one bounded request."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from eventsources.fields import (
    TLS,
    BasicAuth,
    Filter,
    Limits,
    Path,
    check_basic,
    check_duration,
    check_secret,
    check_tls,
)
from eventsources.port import SourceContext
from eventsources.tls import client_context
from retrain.errors import ConfigError, NotFound, Transient
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

if TYPE_CHECKING:
    from aiohttp import ClientSession

TIMEOUT_S = 30.0
REDIRECTS = 5
SAID = 200
"""Characters of a server's answer that go into an error."""


class Asked(Shape):
    """A server, how often to ask it, and as whom: `auth` (a user and a password) or `token` (a bearer token)."""

    url: str = ""
    every: str = ""
    auth: BasicAuth | None = None
    token: KeySelector | None = None
    headers: dict[str, str] = {}
    tls: TLS | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `headers` are by their names in lower case; `body` is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_asked(path: Path, spec: Asked, *, ours: bool) -> Iterator[Problem]:
    """What is wrong with these fields."""
    parts = _split(spec.url)
    if parts is None:
        message = f"url {spec.url!r} is no URL of a server, such as https://example.org/list"
        yield Problem((*path, "url") if spec.url else path, "wrong-value" if spec.url else "missing-field", message)
    elif parts.username is not None:
        yield Problem((*path, "url"), "wrong-value", "url must not hold credentials; give auth or token")
    if spec.every:
        yield from check_duration((*path, "every"), spec.every, least=0.1)
    if spec.auth is not None and spec.token is not None:
        yield Problem((*path, "token"), "wrong-value", "give one of auth and token")
    yield from check_basic((*path, "auth"), spec.auth)
    yield from check_secret((*path, "token"), spec.token)
    yield from check_tls((*path, "tls"), spec.tls, ours=ours)
    for name, value in spec.headers.items():
        if name.lower() == "authorization":
            message = "a header of the manifest is no place for credentials; give auth or token"
            yield Problem((*path, "headers", name), "wrong-value", message)
        elif not (name.isascii() and name.replace("-", "").isalnum() and value.isprintable()):
            yield Problem((*path, "headers", name), "wrong-value", f"{name!r} is no header, or its value is no text")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname and url.isprintable() else None


def authorization(spec: Asked, context: SourceContext) -> dict[str, str]:
    """The header that says who asks; none where nobody is named.

    Raises:
        NotFound: a secret is not there yet.
    """
    if spec.token is not None:
        return {"Authorization": f"Bearer {context.read(spec.token)}"}
    if spec.auth is None:
        return {}
    login = f"{context.read(spec.auth.username)}:{context.read(spec.auth.password)}"
    coded = b64encode(login.encode()).decode()
    context.status.conceal(coded)
    return {"Authorization": f"Basic {coded}"}


class Asker:
    """One server, asked again and again over one connection. Get one from `asking`."""

    def __init__(self, session: ClientSession, credentials: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self._session = session
        self._credentials = credentials
        self._headers = {"User-Agent": "retrain", "Accept-Encoding": "identity", **headers}

    async def ask(self, method: str, url: str, most: int, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer 200 or 304, of `most` bytes at most. Redirects are followed; credentials go to `url`'s host alone.

        Raises:
            NotFound: 404 or 410.
            ConfigError: the server says that the request is wrong, or not allowed.
            Transient: it cannot be reached, is in trouble, or says too much.
        """
        asked = url
        for _ in range(REDIRECTS + 1):
            known = self._credentials if _origin(url) == _origin(asked) else {}
            answer = await self._once(method, url, most, {**self._headers, **(headers or {}), **known})
            if answer.status not in (301, 302, 303, 307, 308):
                _check(url, answer)
                return answer
            there = urljoin(url, answer.headers.get("location", ""))
            if _split(there) is None or (url.startswith("https:") and not there.startswith("https:")):
                raise ConfigError(f"{_shown(url)} leads to a place that is not followed: {_shown(there)}")
            url = there
        raise ConfigError(f"{_shown(asked)} leads on and on, more than {REDIRECTS} times")

    async def _once(self, method: str, url: str, most: int, headers: Mapping[str, str]) -> Answer:
        import aiohttp

        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as answer:
                body = bytearray()
                async for part in answer.content.iter_chunked(64 * 1024):
                    body += part
                    if len(body) > most:
                        raise Transient(f"{_shown(url)} answers with more than {most} bytes")
                return Answer(
                    answer.status, {name.lower(): value for name, value in answer.headers.items()}, bytes(body)
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Transient(f"{_shown(url)} cannot be reached: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def asking(spec: Asked, context: SourceContext) -> AsyncGenerator[Asker]:
    """A connection to ask over, with the secrets as they are now.

    Raises:
        NotFound: a secret is not there yet.
        ConfigError: a secret for TLS holds something else.
    """
    import aiohttp  # takes a while to import, and few sources need it

    tls: ssl.SSLContext | bool = client_context(spec.tls, context) or True
    credentials = authorization(spec, context)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(ssl=tls), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Asker(session, credentials, spec.headers)


def _check(url: str, answer: Answer) -> None:
    if answer.status in (200, 304):
        return
    text = f"{_shown(url)} answers {answer.status}"
    if said := answer.body[:SAID].decode("utf-8", "replace").strip():
        text = f"{text}: {' '.join(said.split())}"
    if answer.status in (404, 410):
        raise NotFound(text)
    if answer.status in (408, 429) or answer.status >= 500:
        raise Transient(text)
    raise ConfigError(text)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _shown(url: str) -> str:
    """A URL without its query, which may hold what is nobody's business."""
    return url.partition("?")[0]
