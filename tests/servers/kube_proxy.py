"""A proxy in front of an API server that misbehaves as servers and networks do: it understands what is asked.

It speaks TLS with a certificate of the server's own authority, so clients trust it as they do the server. What befalls
a request is said by `Spoil`s and drawn from a seed. Watches are told apart from other requests. `seen` counts what was
asked, `done` what was spoiled.
"""

from __future__ import annotations

import random
import re
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import aiohttp
import anyio
import orjson
from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

How = Literal["refuse", "lose", "answer", "delay", "expire", "echo", "end"]
TIME, FORM = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "%Y-%m-%dT%H:%M:%SZ"
HOPS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})
EXPIRED = orjson.dumps(
    {
        "type": "ERROR",
        "object": {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "reason": "Expired",
            "code": 410,
            "message": "too old resource version: 1 (2)",
        },
    }
)


@dataclass(frozen=True, slots=True)
class Spoil:
    """What befalls a `share` of the requests of these verbs whose path holds `part`.

    `refuse`: the connection is reset before the server hears of it. `lose`: the server does it, and the connection is
    reset instead of the answer. `answer`: `status` (429, 500, 503 ...), with `Retry-After` where `after_s` says so; the
    server hears nothing. `delay`: `after_s` seconds before it is passed on. For watches: `expire` answers 410 in
    the stream, `echo` says each event twice, and then two bookmarks, `end` is 200 and nothing more.

    Verbs are those of Kubernetes: get, list, watch, create, update, patch, delete.
    """

    how: How
    verbs: frozenset[str]
    share: float = 1.0
    status: int = 503
    after_s: float = 0.0
    part: str = "/workflows"


@dataclass
class KubeProxy:
    """A running proxy. `spoils` may be changed at any time."""

    target: KubeApi
    port: int = 0
    spoils: tuple[Spoil, ...] = ()
    skew: timedelta = timedelta()
    """By how much the server's clock seems to be ahead: every time that it tells is shifted."""
    seen: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    _watches: dict[int, web.BaseRequest] = field(default_factory=dict)
    portal: BlockingPortal | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> str:
        """The administrator's, by way of the proxy."""
        return self.target.kubeconfig(server=f"https://{self.address}")

    def cut_watches(self) -> None:
        """Reset all watches that run. From any thread."""
        assert self.portal is not None
        self.portal.call(self._cut)

    def _cut(self) -> None:
        for request in list(self._watches.values()):
            self.done["cut"] += 1
            _reset(request)

    async def cut_every(self, seconds: float) -> None:
        """Reset all watches again and again."""
        while True:
            await anyio.sleep(seconds)
            self._cut()

    @contextmanager
    def cutting(self, seconds: float) -> Generator[None]:
        """Watches live no longer than this while the block lasts. From any thread."""
        assert self.portal is not None
        task = self.portal.start_task_soon(self.cut_every, seconds)
        try:
            yield
        finally:
            task.cancel()

    async def handle(self, session: aiohttp.ClientSession, request: web.BaseRequest) -> web.StreamResponse:
        """One request, to its end."""
        verb = _verb(request)
        self.seen.update((verb, f"{verb} {request.path.rpartition('/')[2]}"))
        body = await request.read()
        spoils = [one for one in self.spoils if self._befalls(one, verb, request.path)]
        for spoil in spoils:
            self.done[spoil.how] += 1
            match spoil.how:
                case "refuse":
                    return _reset(request)
                case "answer":
                    return _refusal(spoil)
                case "delay":
                    await anyio.sleep(spoil.after_s)
                case "lose" | "expire" | "echo" | "end":
                    pass
        hows: set[How] = {one.how for one in spoils}
        try:
            async with session.request(
                request.method, request.raw_path, headers=_passed(request.headers), data=body or None
            ) as answer:
                if verb == "watch":
                    return await self._stream(request, answer, hows)
                said = self._shifted(await answer.read())
                if "lose" in hows:
                    return _reset(request)
                return web.Response(status=answer.status, body=said, headers=_passed(answer.headers))
        except (aiohttp.ClientError, OSError):
            self.done["away"] += 1
            return _reset(request)

    async def _stream(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, hows: set[How]
    ) -> web.StreamResponse:
        out = web.StreamResponse(status=answer.status, headers=_passed(answer.headers))
        await out.prepare(request)
        if hows & {"expire", "end"}:
            await out.write(EXPIRED + b"\n" if "expire" in hows else b"")
            return out
        self._watches[id(request)] = request
        try:
            async for line in answer.content:
                said = self._shifted(line)
                await out.write(said + _bookmark(said) if "echo" in hows else said)
        except (ConnectionError, aiohttp.ClientError):
            return _reset(request)
        finally:
            del self._watches[id(request)]
        return out

    def _shifted(self, said: bytes) -> bytes:
        if not self.skew:
            return said
        return TIME.sub(
            lambda found: (datetime.fromisoformat(found[0].decode()) + self.skew).strftime(FORM).encode(), said
        )

    def _befalls(self, spoil: Spoil, verb: str, path: str) -> bool:
        return verb in spoil.verbs and spoil.part in path and self.dice.random() < spoil.share


@asynccontextmanager
async def kube_proxy(target: KubeApi) -> AsyncGenerator[KubeProxy]:
    """A proxy in front of an API server, for as long as the block lasts."""
    made = KubeProxy(target)
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(ssl=target.context(), limit=0)
        session = aiohttp.ClientSession(
            f"https://{target.address}",
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            read_bufsize=2**24,
        )
        await stack.enter_async_context(session)

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await made.handle(session, request)

        runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        made.port = free_port()
        await web.TCPSite(runner, "127.0.0.1", made.port, ssl_context=_certificate(target)).start()
        yield made


@contextmanager
def proxied(target: KubeApi) -> Generator[KubeProxy]:
    """The same for what is not async: the proxy lives in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(kube_proxy(target)) as made:
        made.portal = portal
        yield made


def spoil(how: How, *verbs: str, **more: float | str) -> Spoil:
    """A `Spoil` in one line."""
    return Spoil(how, frozenset(verbs), **more)  # type: ignore[arg-type]


def _certificate(target: KubeApi) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*target.authority.sign().write(Path(folder), "proxy"))
    return context


def _verb(request: web.BaseRequest) -> str:
    if request.method == "GET":
        if request.query.get("watch") in {"true", "1"}:
            return "watch"
        if request.query.get("limit") == "1":
            return "look"  # to what version the server has come
        return "list" if "limit" in request.query or "resourceVersion" in request.query else "get"
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "other")


def _bookmark(line: bytes) -> bytes:
    """An event again, and two bookmarks of where it is."""
    found = orjson.loads(line)["object"]
    body = {"apiVersion": found.get("apiVersion"), "kind": found.get("kind"), "metadata": {}}
    body["metadata"]["resourceVersion"] = found.get("metadata", {}).get("resourceVersion")
    return line + 2 * (orjson.dumps({"type": "BOOKMARK", "object": body}) + b"\n")


def _passed(headers: object) -> dict[str, str]:
    items: Callable[[], object] = headers.items  # type: ignore[attr-defined]
    return {name: value for name, value in items() if name.lower() not in HOPS}  # type: ignore[attr-defined]


def _refusal(spoil: Spoil) -> web.Response:
    reason = {429: "TooManyRequests", 503: "ServiceUnavailable"}.get(spoil.status, "InternalError")
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": spoil.status}
    headers = {"Retry-After": str(max(1, round(spoil.after_s)))} if spoil.after_s else {}
    return web.json_response(body | {"message": "spoiled by the test's proxy"}, status=spoil.status, headers=headers)


def _reset(request: web.BaseRequest) -> web.Response:
    """End the connection without a goodbye."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # nobody hears it
