"""A client of one forge's API: JSON over HTTP, bounded, never redirected, and silent about its token."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import anyio
import orjson

from deploy.forges.errors import AuthFailed, Declined, RateLimited, Rejected
from deploy.forges.reading import objects
from deploy.names import one_line
from retrain.errors import ConfigError, NotFound, Transient
from retrain.events import JsonValue

TIMEOUT_S = 20.0
MAX_ANSWER = 8 * 1024 * 1024
SAID = 300
"""Characters of the forge's words that go into an error."""
PAUSES_S = (0.3, 1.0)
"""Waits before a question that changes nothing is asked again. What changes something is asked once."""
MAX_WAIT_S = 3600.0
PAGES = 20


@dataclass(frozen=True, slots=True)
class Login:
    """The headers that say who asks, and the secrets in them, which no message may show."""

    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def redact(self, words: str) -> str:
        """The words without the secrets."""
        for secret in self.secrets:
            words = words.replace(secret, "***") if secret else words
        return words


Authorize = Callable[[], Awaitable[Login]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its JSON (None where there is none) and its headers, in small letters."""

    status: int
    body: JsonValue
    headers: Mapping[str, str]


class JsonClient:
    """One API at `base`. `authorize` gives the login of each request, so that a token may change meanwhile."""

    def __init__(
        self,
        base: str,
        authorize: Authorize,
        tls: ssl.SSLContext | None = None,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        import aiohttp  # takes a while to import, and few promotions need it

        self.base = base.rstrip("/")
        self._authorize = authorize
        self._pauses_s = pauses_s
        self._errors = (aiohttp.ClientError, TimeoutError, OSError)
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": "retrain", "Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True, limit=4),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._session.close()

    async def ask(
        self, method: str, path: str, body: JsonValue = None, query: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. `path` begins with "/" (or is a whole address below the same host, for GraphQL).

        Raises:
            NotFound: 404. AuthFailed: 401, 403. Declined: another 4xx. Rejected: a redirect.
            ConfigError: there is no token to ask with.
            Transient: it cannot be reached, or is in trouble. RateLimited: it has had enough of us for now.
        """
        pauses = list(self._pauses_s) if method == "GET" else []
        while True:
            try:
                return await self._once(method, path, body, query)
            except RateLimited:
                raise
            except Transient:
                if not pauses:
                    raise
                await anyio.sleep(pauses.pop(0))

    async def listed(self, path: str, query: Mapping[str, str]) -> list[JsonValue]:
        """The objects of all pages (`Link: rel="next"`), at most `PAGES` of them."""
        found: list[JsonValue] = []
        for page in range(1, PAGES + 1):
            answer = await self.ask("GET", path, query={**query, "page": str(page)})
            found += objects(answer.body)
            if 'rel="next"' not in answer.headers.get("link", ""):
                break
        return found

    async def _once(self, method: str, path: str, body: JsonValue, query: Mapping[str, str] | None) -> Answer:
        try:
            login = await self._authorize()
        except NotFound as error:
            # A secret that is missing must not look like a branch that is.
            raise ConfigError(str(error)) from error
        url = path if path.startswith("http") else f"{self.base}{path}"
        more: dict[str, Any] = {} if body is None else {"data": orjson.dumps(body)}
        headers = {**login.headers, **({"Content-Type": "application/json"} if body is not None else {})}
        try:
            async with self._session.request(
                method, url, params=query, headers=headers, allow_redirects=False, **more
            ) as answer:
                raw = bytearray()
                async for chunk in answer.content.iter_any():
                    raw += chunk
                    if len(raw) > MAX_ANSWER:
                        answer.close()
                        raise Transient(f"{method} {url} answers with more than {MAX_ANSWER} bytes")
                status = answer.status
                given = {name.lower(): value for name, value in answer.headers.items()}
        except self._errors as error:
            reason = login.redact(one_line(str(error) or type(error).__name__, SAID))
            raise Transient(f"{self.base} cannot be reached: {reason}") from None
        if status >= 300:
            said = login.redact(explanation(bytes(raw)))
            raise failure(f"{method} {url}", status, given, said, datetime.now(UTC))
        return Answer(status, _json(bytes(raw), url), given)


def failure(asked: str, status: int, headers: Mapping[str, str], said: str, now: datetime) -> Exception:
    """The error that an answer means. Pure."""
    message = f"{asked} answers {status}" + (f": {said}" if said else "")
    if status < 400:
        to = one_line(headers.get("location", "elsewhere"), SAID)
        return Rejected(f"{message}: it has moved to {to}; write the address and the repository as they are now")
    limited = status == 403 and (headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said.lower())
    if status == 429 or limited or (status == 403 and "retry-after" in headers):
        return RateLimited(message, _wait_s(headers, now))
    if status == 404:
        return NotFound(f"{message} (or the token may not see it)")
    if status in (401, 403):
        return AuthFailed(message)
    # 555 is Bitbucket's: the merge took too long.
    return Transient(message) if status in (408, 425) or status >= 500 else Declined(message, status, said)


def _wait_s(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds that the forge wants us to wait: `Retry-After`, else when its limit begins anew, else a minute."""
    given = headers.get("retry-after", "")
    wait = 60.0
    if given.strip().isdigit():
        wait = float(given)
    elif given:
        with suppress(ValueError, TypeError):
            wait = (parsedate_to_datetime(given) - now).total_seconds()
    elif (reset := headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or "").isdigit():
        wait = float(reset) - now.timestamp()
    return min(max(wait, 1.0), MAX_WAIT_S)


def explanation(raw: bytes) -> str:
    """The forge's own words in an error's body, on one line."""
    try:
        body: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return ""
    words = [part for name in ("message", "error", "error_description", "errors") for part in _words(body, name)]
    return one_line("; ".join(dict.fromkeys(words)), SAID)


def _words(body: JsonValue, name: str) -> list[str]:
    found = body.get(name) if isinstance(body, dict) else None
    if isinstance(found, str):
        return [found]
    if isinstance(found, dict):
        return [*_words(found, "message"), *_words(found, "detail")] or [str(found)]
    if isinstance(found, list):
        return [one if isinstance(one, str) else " ".join(_words(one, "message")) for one in found]
    return []


def _json(raw: bytes, url: str) -> JsonValue:
    try:
        return orjson.loads(raw) if raw.strip() else None
    except orjson.JSONDecodeError:
        raise Transient(f"{url} answers with something else than JSON") from None


def part(name: str) -> str:
    """A name as one part of a URL's path: what it holds cannot lead elsewhere.

    Raises:
        ConfigError: it is a step of a path ("." or "..").
    """
    if name in (".", "..", ""):
        raise ConfigError(f"{name!r} is no name of anything on a forge")
    return quote(name, safe="")
