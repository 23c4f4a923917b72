"""The `slack` trigger: one message for each firing, by Slack's Web API.

Where it is not upstream's: its own `parameters` work, `thread` and `sender` may be left out, and Slack's "too many" is
waited for. Slack knows no idempotency key: a message whose answer got lost may be posted a second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import anyio
import orjson
from yarl import URL

from retrain.errors import Permanent, RetrainError, Transient
from retrain.events import JsonValue
from triggers.addresses import GuardedResolver, check_literal
from triggers.http_request import read_retry_after
from triggers.port import Firing, Tools, Trigger
from triggers.slack_message import SlackRequest, build_request, judge

THREADS = 10_000
"""Threads that are remembered. One more forgets the one that was not written to for the longest time."""
MAX_ANSWER = 1024 * 1024


@dataclass(eq=False, slots=True)
class _Thread:
    """A thread: `ts` of its first message, empty until that is posted. The lock keeps a second first message out."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    ts: str = ""


class SlackTrigger:
    """Posts messages through one session. Get one from `open_slack`.

    Threads are remembered in memory only: the first message with a key after a restart begins a new thread.
    """

    def __init__(self, session: aiohttp.ClientSession, tools: Tools) -> None:
        self._session = session
        self._tools = tools
        self._url = tools.network.slack_url.rstrip("/") + "/chat.postMessage"
        self._threads: OrderedDict[tuple[str, str, str], _Thread] = OrderedDict()

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Post. The result: `{"channel", "ts"}`, and `{"thread"}` where it stands in one.

        Raises:
            Transient: nobody answered in time, or Slack says "later".
            Permanent: the action is no message, or Slack says no.
        """
        del attempt  # a retry is the same message
        request = build_request(firing, self._tools.secrets)
        try:
            return await self._post_in_thread(request) if request.thread else await self._post(request, {})
        except RetrainError as error:
            error.args = (request.redact(str(error)),)
            raise

    async def _post_in_thread(self, request: SlackRequest) -> JsonValue:
        thread = self._thread(request)
        if not thread.ts:
            async with thread.lock:
                if not thread.ts:
                    result = await self._post(request, {})
                    thread.ts = str(result["ts"])
                    return result
        more: dict[str, JsonValue] = {"thread_ts": thread.ts}
        if request.broadcast:
            more["reply_broadcast"] = True
        return await self._post(request, more) | {"thread": thread.ts}

    def _thread(self, request: SlackRequest) -> _Thread:
        thread = self._threads.setdefault(request.place, _Thread())
        self._threads.move_to_end(request.place)
        if len(self._threads) > THREADS:
            self._threads.popitem(last=False)
        return thread

    async def _post(self, request: SlackRequest, more: dict[str, JsonValue]) -> dict[str, JsonValue]:
        answer_s = self._tools.network.answer_s
        try:
            async with self._session.post(
                self._url,
                data=orjson.dumps({**request.body, **more}),
                headers={
                    "Authorization": f"Bearer {request.token}",
                    "Content-Type": "application/json; charset=utf-8",
                },
                timeout=aiohttp.ClientTimeout(total=answer_s),
                allow_redirects=False,
            ) as response:
                answer = await _read(response)
                again = read_retry_after(response.headers.get("Retry-After"), self._tools.clock.now())
                ts = judge(response.status, again, answer)
        except TimeoutError as error:
            raise Transient(f"slack: no answer within {answer_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"slack: no answer: {error or type(error).__name__}") from None
        channel = answer.get("channel") if isinstance(answer, dict) else None
        return {"channel": channel or request.body["channel"], "ts": ts}


async def _read(response: aiohttp.ClientResponse) -> JsonValue:
    """The answer as JSON; None where it is none. Read before it is judged, so that its connection is given back."""
    kept = bytearray()
    async for chunk in response.content.iter_any():
        kept += chunk
        if len(kept) > MAX_ANSWER:
            response.close()
            return None
    try:
        return orjson.loads(kept)
    except orjson.JSONDecodeError:
        return None


@asynccontextmanager
async def open_slack(tools: Tools) -> AsyncGenerator[Trigger]:
    """Hold the connections to Slack while the platform runs.

    Raises:
        Permanent: the settings name an address that is closed to triggers.
    """
    url = URL(tools.network.slack_url)
    if url.scheme not in {"http", "https"} or not url.host:
        raise Permanent("the setting triggers.slack_url must be http://HOST... or https://HOST...")
    check_literal(url.host, tools.http.deny, tools.http.allow)
    connector = aiohttp.TCPConnector(
        limit=tools.http.connections, limit_per_host=0, resolver=GuardedResolver(tools.http.deny, tools.http.allow)
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "retrain", "Accept-Encoding": "identity"},
    ) as session:
        yield SlackTrigger(session, tools)
