"""HTTP with the triggers' guard: closed addresses are refused after name resolution, answers are bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

from retrain.errors import Permanent
from triggers.addresses import GuardedResolver
from triggers.settings import HttpSettings


@asynccontextmanager
async def open_guarded(settings: HttpSettings) -> AsyncGenerator[aiohttp.ClientSession]:
    """Connections to addresses that triggers may talk to. A host that is itself an address: see `check_literal`."""
    resolver = GuardedResolver(settings.deny, settings.allow)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.connections, resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "retrain", "Accept-Encoding": "identity"},
    ) as session:
        yield session


async def bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body.

    Raises:
        Permanent: it has more than `most` bytes.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            response.close()
            raise Permanent(f"{shown(str(response.url))}: the answer has more than {most} bytes")
    return bytes(body)


def shown(url: str) -> str:
    """Without the query, which may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]
