"""A small client of JSON over HTTP, for the APIs of forges and registries: bounded, impatient, and never redirected."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from retrain.errors import ConfigError, NotFound, Transient
from retrain.events import JsonValue

TIMEOUT_S = 20.0
MAX_ANSWER = 16 * 1024 * 1024
SAID = 200
"""Characters of a server's explanation that go into an error."""


class ApiClient:
    """One server's API. `base` is its URL; `headers` go with every request and hold the credentials."""

    def __init__(self, base: str, headers: Mapping[str, str], tls: ssl.SSLContext | None = None) -> None:
        import aiohttp  # takes a while to import, and few sources need it

        self._base = base.rstrip("/")
        self._errors = (aiohttp.ClientError, TimeoutError, OSError)
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": "retrain", "Accept": "application/json", **headers},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            connector=aiohttp.TCPConnector(ssl=tls if tls is not None else True),
        )

    async def close(self) -> None:
        await self._session.close()

    async def ask(
        self, method: str, path: str, body: JsonValue = None, query: Mapping[str, str] | None = None
    ) -> tuple[JsonValue, Mapping[str, str]]:
        """The answer's JSON (None where there is none) and its headers.

        Raises:
            NotFound: 404.
            ConfigError: the server says that the request is wrong, or not allowed: 4xx, a redirect.
            Transient: it cannot be reached, or is in trouble: 5xx, 429.
        """
        more: dict[str, Any] = {} if body is None else {"data": orjson.dumps(body)}
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            async with self._session.request(
                method, f"{self._base}{path}", params=query, headers=headers, allow_redirects=False, **more
            ) as answer:
                raw = await answer.content.read(MAX_ANSWER + 1)
                while len(raw) <= MAX_ANSWER and (part := await answer.content.read(MAX_ANSWER + 1)):
                    raw += part
                status, given = answer.status, dict(answer.headers)
        except self._errors as error:
            reason = str(error) or type(error).__name__
            raise Transient(f"{self._base} cannot be reached: {reason}") from error
        if len(raw) > MAX_ANSWER:
            raise Transient(f"{self._base}{path} answers with more than {MAX_ANSWER} bytes")
        self._check(method, path, status, raw)
        try:
            return (orjson.loads(raw) if raw else None), {name.lower(): value for name, value in given.items()}
        except orjson.JSONDecodeError as error:
            raise Transient(f"{self._base}{path} answers with something else than JSON") from error

    def _check(self, method: str, path: str, status: int, raw: bytes) -> None:
        if status < 300:
            return
        text = f"{method} {self._base}{path} answers {status}"
        if said := _explanation(raw):
            text = f"{text}: {said}"
        if status == 404:
            raise NotFound(text)
        if status in (408, 429) or status >= 500:
            raise Transient(text)
        raise ConfigError(text)


def part(text: str) -> str:
    """A text as one part of a URL's path: what it holds cannot lead elsewhere."""
    if text in (".", ".."):
        raise ConfigError(f"{text!r} is no name of anything in an API")
    return quote(text, safe="")


def _explanation(raw: bytes) -> str:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return ""
    said = body.get("message") or body.get("error") if isinstance(body, dict) else None
    return said[:SAID] if isinstance(said, str) else ""
