"""The `http` trigger: one request for each firing, over pooled connections, with the firing's id as `Idempotency-Key`.

Where it is not upstream's: an answer is success only if it is 2xx (or in `policy.status.allow`), failures are retried,
redirects are not followed, and addresses where clouds hand out credentials are closed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp

from retrain.clock import Clock
from retrain.errors import Permanent, Transient
from retrain.events import JsonValue
from triggers.addresses import GuardedResolver, check_literal
from triggers.http_request import Request, build_request, judge
from triggers.port import Firing, RetryAfter, Secrets, Tools, Trigger
from triggers.settings import HttpSettings
from triggers.tls import TlsContexts


class HttpTrigger:
    """Sends requests through one session. Get one from `open_http`."""

    def __init__(self, session: aiohttp.ClientSession, tools: Tools) -> None:
        self._session = session
        self._secrets: Secrets = tools.secrets
        self._settings: HttpSettings = tools.http
        self._clock: Clock = tools.clock
        self._contexts = TlsContexts()

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Send the request. The result: `{"status", "body" (its beginning as text), "truncated" (if cut)}`.

        Raises:
            Transient: nobody answered in time, or the answer says "later".
            Permanent: the request cannot be sent, or the answer says no.
        """
        request = self._request(firing)
        try:
            return await self._send(request, attempt)
        except TimeoutError as error:
            raise Transient(f"no answer within {request.timeout_s:g} s") from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Permanent(request.redact(f"the request cannot be sent: {error}")) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(request.redact(f"no answer: {error or type(error).__name__}")) from None

    def _request(self, firing: Firing) -> Request:
        request = build_request(firing, self._secrets, self._settings, self._contexts)
        check_literal(request.url.host or "", self._settings.deny, self._settings.allow)
        return request

    async def _send(self, request: Request, attempt: int) -> dict[str, JsonValue]:
        async with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers={**request.headers, "Retrain-Attempt": str(attempt)},
            timeout=aiohttp.ClientTimeout(total=request.timeout_s),
            allow_redirects=False,
            ssl=request.tls or True,
        ) as response:
            # Read before judging: an answer that is read gives its connection back, also when it is an error.
            body, truncated = await _read(response, self._settings)
            text = request.redact(body.decode(errors="replace"))
            self._judge(response, request, text)
        result: dict[str, JsonValue] = {"status": response.status, "body": text}
        return result | {"truncated": True} if truncated else result

    def _judge(self, response: aiohttp.ClientResponse, request: Request, text: str) -> None:
        reason = request.redact(response.reason or "")
        retry_after = response.headers.get("Retry-After")
        try:
            judge(response.status, reason, retry_after, request.allow, self._clock.now())
        except RetryAfter as error:
            raise RetryAfter(_quote(error, text), error.after_s) from None
        except Transient as error:
            raise Transient(_quote(error, text)) from None
        except Permanent as error:
            raise Permanent(_quote(error, text)) from None


def _quote(error: Exception, text: str) -> str:
    """The verdict with the first line of the answer: it mostly says what was wrong."""
    first = text.strip().partition("\n")[0][:200]
    return f"{error}: {first}" if first else str(error)


async def _read(response: aiohttp.ClientResponse, settings: HttpSettings) -> tuple[bytes, bool]:
    """The beginning of the body, and whether there was more.

    A long body is read on to the end, up to `read_limit`, so that its connection can be used again; beyond that the
    connection is closed, for an endless body must hold nobody up.
    """
    kept = bytearray()
    total = 0
    async for chunk in response.content.iter_any():
        kept += chunk[: settings.body_limit - len(kept)]
        total += len(chunk)
        if total > settings.read_limit:
            response.close()
            break
    return bytes(kept), total > len(kept)


@asynccontextmanager
async def open_http(tools: Tools) -> AsyncGenerator[Trigger]:
    """Hold the connections of all HTTP triggers while the platform runs."""
    settings = tools.http
    connector = aiohttp.TCPConnector(
        limit=settings.connections,
        limit_per_host=0,
        resolver=GuardedResolver(settings.deny, settings.allow),
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),  # one receiver's cookies are nobody else's
        auto_decompress=False,  # a few bytes could unpack to gigabytes; we ask for none
        trust_env=False,
        headers={"User-Agent": "retrain", "Accept-Encoding": "identity"},
    ) as session:
        yield HttpTrigger(session, tools)
