"""`http` templates: one request, its answer's body as `outputs.result`.

Beyond upstream: `Idempotency-Key` (the same for the same node, however often it is asked), bounds on the answer's size
and on redirects, no secret header to another server that a redirect leads to, no talk to where clouds keep credentials.

Source: workflow/executor/agent.go of Argo Workflows.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio
from multidict import CIMultiDict
from yarl import URL

from pipelines.agents.addresses import AddressGuard
from pipelines.agents.port import TaskRun
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Phase
from retrain.errors import ConfigError, Refused
from retrain.expressions.exprlang import ExprError, compile_expr

MAX_REDIRECTS = 10
PERSONAL = ("authorization", "cookie", "www-authenticate", "proxy-authorization")
"""Headers that a redirect to another server does not take along, as in Go's client; nor those that a Secret filled."""

References = Mapping[tuple[str, str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`private`: whether templates may talk to addresses that are not of the open internet. `body_limit`: bytes of an
    answer. `timeout_s`: of a whole request where the template says nothing; Argo waits for ever then."""

    private: bool = True
    body_limit: int = 4 * 1024 * 1024
    timeout_s: float = 3600.0
    connections: int = 64


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    headers: CIMultiDict[str]
    body: bytes
    secret: frozenset[str]
    """Names of headers, in lower case, that came of a Secret."""
    verify: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, list[str]]
    body: str


class _Failed(Exception):
    """The request came to nothing; the message is for the node."""


class HttpAgent:
    """Does `http` templates. The session opens with the first of them; `aclose` ends it."""

    def __init__(self, references: References, settings: HttpSettings) -> None:
        self._references = references
        self._settings = settings
        self._guard = AddressGuard(settings.private)
        self._session: aiohttp.ClientSession | None = None

    async def do(self, task: Task, run: TaskRun) -> TaskResult:
        http: Mapping[str, Any] = task.template.get("http") or {}
        answer: _Answer | None = None
        try:
            request = self._request(http, f"{run.run_id}/{task.node_id}")
            with anyio.fail_after(float(http.get("timeoutSeconds") or self._settings.timeout_s)):
                answer = await self._follow(request)
            _judge(http, answer)
        except TimeoutError:
            return _result(task, answer, f"{_what(http)}: no answer within the timeout")
        except (_Failed, ConfigError, Refused) as error:
            return _result(task, answer, str(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _result(task, answer, f"{_what(http)}: {_reason(error)}")
        return _result(task, answer)

    async def aclose(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._settings.connections, resolver=self._guard),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a few bytes could unpack to gigabytes; we ask for none
                trust_env=False,
                headers={"User-Agent": "retrain", "Accept-Encoding": "identity"},
            )
        return self._session

    def _request(self, http: Mapping[str, Any], key: str) -> _Request:
        url = URL(str(http.get("url") or ""))
        headers: CIMultiDict[str] = CIMultiDict()
        secret: set[str] = set()
        for header in http.get("headers") or ():
            name, value = str(header.get("name") or ""), str(header.get("value") or "")
            if ref := (header.get("valueFrom") or {}).get("secretKeyRef"):
                value = self._secret(ref)
                secret.add(name.lower())
            if any(sign in name + value for sign in "\r\n\0"):
                raise _Failed(f"the header {name!r} holds a line break")
            headers.add(name, value)
        headers.setdefault("Idempotency-Key", key)
        body = _body(http)
        return _Request(str(http.get("method") or "GET").upper(), url, headers, body, frozenset(secret),
                        verify=not http.get("insecureSkipVerify"))  # fmt: skip

    def _secret(self, ref: Mapping[str, Any]) -> str:
        name, key = str(ref.get("name")), str(ref.get("key"))
        try:
            values = self._references["Secret", name]
        except KeyError:
            raise _Failed(f'secrets "{name}" not found') from None
        if key not in values:
            raise _Failed(f"secret '{name}' does not have the key '{key}'")
        return values[key].strip("\r\n")

    async def _follow(self, request: _Request) -> _Answer:
        """Send the request, and follow where it is sent on to."""
        for _ in range(MAX_REDIRECTS + 1):
            _check_url(request.url)
            self._guard.check(request.url.host or "")
            async with self._open().request(
                request.method,
                request.url,
                data=request.body or None,
                headers=request.headers,
                timeout=aiohttp.ClientTimeout(total=None),
                allow_redirects=False,
                ssl=request.verify,
            ) as response:
                target = response.headers.get("Location")
                if response.status not in (301, 302, 303, 307, 308) or not target:
                    return await self._read(response)
                request = _redirected(request, response.status, target)
        raise _Failed(f"stopped after {MAX_REDIRECTS} redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> _Answer:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._settings.body_limit:
                response.close()
                raise _Failed(f"the answer is larger than {self._settings.body_limit} bytes")
        headers: dict[str, list[str]] = {}
        for name, value in response.headers.items():
            headers.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
        return _Answer(response.status, headers, body.decode(errors="replace"))


def _body(http: Mapping[str, Any]) -> bytes:
    source = http.get("bodyFrom")
    if source is None:
        return str(http.get("body") or "").encode()
    try:
        return b64decode(str(source.get("bytes") or ""), validate=True)
    except ValueError:
        raise _Failed("bodyFrom.bytes is no base64") from None


def _check_url(url: URL) -> None:
    if url.scheme not in ("http", "https") or not url.host:
        raise _Failed(f"{str(url.with_user(None) if url.user else url)!r} is no http or https URL")


def _redirected(request: _Request, status: int, target: str) -> _Request:
    """The request that follows a redirect, as Go's client makes it."""
    url = request.url.join(URL(target))
    headers = request.headers.copy()
    method, body = request.method, request.body
    if status in (301, 302, 303):
        method, body = "HEAD" if method == "HEAD" else "GET", b""
        for name in ("Content-Type", "Content-Length"):
            headers.popall(name, None)
    if url.origin() != request.url.origin():
        for name in {*PERSONAL, *request.secret, "host"}:
            headers.popall(name, None)
    return _Request(method, url, headers, body, request.secret, request.verify)


def _judge(http: Mapping[str, Any], answer: _Answer) -> None:
    """Say no to an answer that is no success.

    Raises:
        _Failed: in Argo's words.
    """
    condition = str(http.get("successCondition") or "")
    if not condition:
        if not 200 <= answer.status < 300:
            raise _Failed(f"received non-2xx response code: {answer.status}")
        return
    headers: dict[str, list[str]] = {}
    for header in http.get("headers") or ():
        headers.setdefault(str(header.get("name")), []).append(str(header.get("value") or ""))
    body = str(http.get("body") or "")
    request: dict[str, Any] = {
        "method": str(http.get("method") or ""),
        "url": str(http.get("url") or ""),
        "body": body,
        "bodyBytes": list(_body(http)),
        "headers": headers,
    }
    response = {"statusCode": answer.status, "body": answer.body, "headers": dict(answer.headers)}
    try:
        holds = compile_expr(condition).evaluate({"request": request, "response": response})
    except ExprError as error:
        raise _Failed(f"failed to evaluate expression: {error}") from None
    if not isinstance(holds, bool):
        raise _Failed(f"unable to cast expression result '{holds}' to bool")
    if not holds:
        raise _Failed(f"successCondition '{condition}' evaluated false")


def _what(http: Mapping[str, Any]) -> str:
    """The request as messages name it, without a password in its URL."""
    method = str(http.get("method") or "GET").capitalize()
    try:
        url = URL(str(http.get("url") or ""))
        shown = str(url.with_password("***") if url.password else url)
    except ValueError:
        shown = "(not a URL)"
    return f'{method} "{shown}"'


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.InvalidURL):
        return "invalid URL"
    return str(error) or type(error).__name__


def _result(task: Task, answer: _Answer | None, failure: str = "") -> TaskResult:
    phase = Phase.Failed if failure else Phase.Succeeded
    return TaskResult(task.node_id, phase, result=None if answer is None else answer.body, message=failure)
