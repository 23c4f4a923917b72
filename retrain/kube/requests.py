"""One request to a Kubernetes API server, and its answer: JSON, or an error of refusals.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import anyio
import orjson

from retrain.errors import NotFound, Transient
from retrain.kube.connection import Connection
from retrain.kube.depth import cut
from retrain.kube.refusals import Busy, Denied, KindMissing, Unreachable, refusal

if TYPE_CHECKING:
    from aiohttp import ClientResponse

TIMEOUT_S = 60.0
SILENT_S = 300
"""Seconds without a sign of life (the server sends one every minute or so) after which a watch counts as dead."""
MAX_ANSWER = 256 * 1024 * 1024
START_S, START_TRIES = 1.0, 3
"""Seconds between looks at a server that refuses even to say whether it is ready, and how many such looks."""
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """`body` is sent as JSON of the media type `kind`. `total_s`: seconds for all of it; None: as long as it flows."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None
    kind: str = JSON
    total_s: float | None = TIMEOUT_S


async def call(server: Connection, request: Request, *, many: bool = False) -> dict[str, Any]:
    """Ask, and read the whole answer, an object; a list of `many` objects by `read_one_of_many`."""
    async with answered(server, request) as answer:
        raw = await _whole(answer)
        return read_one_of_many(raw) if many else read_object(raw)


@asynccontextmanager
async def answered(server: Connection, request: Request) -> AsyncGenerator[ClientResponse]:
    """Ask; what comes is a 2xx whose body is yet to be read.

    A server that has just started forbids rightful callers everything and knows no kind but its own, until it has read
    its rules and definitions. So such a refusal counts only where a server that says it is ready repeats it.
    """
    async with AsyncExitStack() as stack:
        try:
            answer = await stack.enter_async_context(_asked(server, request))
        except (Denied, KindMissing) as refused:
            await _has_started(server, refused)
            answer = await stack.enter_async_context(_asked(server, request))
        yield answer


async def _has_started(server: Connection, refused: Exception) -> None:
    """
    Raises:
        Busy: the server says that it is not ready, so its refusal says nothing.
    """
    for _ in range(START_TRIES):
        try:
            async with _asked(server, Request("GET", "/readyz", {})):
                return
        except NotFound:  # what answers is no API server itself, and forwards the rest
            return
        except Denied:  # the rules are not read, or forbid this, too
            await anyio.sleep(START_S)
        except Busy as error:
            raise Busy(f"{refused} (and it is not ready)", error.after_s) from error


@asynccontextmanager
async def _asked(server: Connection, request: Request) -> AsyncGenerator[ClientResponse]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=request.total_s, sock_connect=TIMEOUT_S, sock_read=SILENT_S)
    headers = {"Accept": JSON}
    if token := await server.authorization():
        headers["Authorization"] = token
    if request.body is not None:
        headers["Content-Type"] = request.kind
    body = None if request.body is None else orjson.dumps(request.body)
    asked = f"{request.method} {server.host}{request.path}"
    try:
        async with server.session.request(
            request.method,
            f"{server.host}{request.path}",
            params=request.query,
            headers=headers,
            data=body,
            timeout=timeout,
            allow_redirects=False,
            server_hostname=server.server_name,
        ) as answer:
            if not 200 <= answer.status < 300:
                said = await answer.content.read(64 * 1024)
                raise refusal(asked, answer.status, said, answer.headers.get("Retry-After", ""))
            yield answer
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"{server.host} cannot be reached: {str(error) or type(error).__name__}") from error


async def call_text(server: Connection, request: Request) -> str:
    """Ask, and read the whole answer, a text such as a log."""
    async with answered(server, request) as answer:
        return (await _whole(answer)).decode(errors="replace")


async def _whole(answer: ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            raise Transient(f"the API server's answer has more than {MAX_ANSWER} bytes")
    return bytes(body)


def read_object(raw: bytes) -> dict[str, Any]:
    """Raises Transient where it is no object: a proxy may stand between."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Transient("the API server sends something else than JSON") from error
    if not isinstance(body, dict):
        raise Transient("the API server sends something else than an object")
    return cast("dict[str, Any]", body)


def read_one_of_many(raw: bytes) -> dict[str, Any]:
    """As `read_object`, for lists and watches: what is nested beyond reading is cut, and hides no other object."""
    try:
        return read_object(raw)
    except Transient:
        return read_object(cut(raw))
