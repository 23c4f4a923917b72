"""The HTTP side of webhooks: one raw ASGI application for each port. The hot path, so no framework.

A request is answered 2xx only after the bus has its event. Requests do not wait for each other.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import orjson
import structlog

from eventsources.http.paths import Template
from eventsources.http.request import body_of, body_of_query, event_id, header_of
from retrain.clock import Clock
from retrain.errors import ConfigError, Permanent, RetrainError, Transient
from retrain.events import Event, JsonValue
from retrain.serving import Headers, Receive, Scope, Send, TooLarge, answer_bytes, read_body

log = structlog.get_logger()

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
PATIENCE_S = 30.0
"""Seconds in which a body must come. A client that drips bytes holds its connection no longer."""

CLOSE = (b"connection", b"close")
RETRY_AFTER_S = b"1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route and what becomes of its requests.

    `owner` is `EventSource/event`; `source` and `subject` go into the event; `scope` stands before ids of clients.
    `token`: gives the bearer token to compare with, None where no one need show one; raises if the secret is not there.
    `plain`: answer as Argo Events does, 200 and `success`.
    """

    owner: str
    source: str
    subject: str
    method: str
    path: str
    limit: int
    emit: Callable[[Event], Awaitable[None]]
    accepted: Callable[[], None]
    failed: Callable[[], None]
    clock: Clock
    scope: str = ""
    token: Callable[[], str] | None = None
    plain: bool = False
    metadata: dict[str, str] = field(default_factory=dict[str, str])


class _Answer(Exception):
    """A request that ends here, with this status and explanation."""

    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        self.status = status
        self.text = text
        self.headers = headers


class _Gone(Exception):
    """The client went away before its request was whole."""


class WebhookApp:
    """Endpoints by path and method. `add` and `remove` while it serves; other paths are 404."""

    def __init__(self) -> None:
        self._plain: dict[str, dict[str, Endpoint]] = {}
        self._templates: dict[str, Template] = {}

    def __len__(self) -> int:
        return sum(map(len, self._plain.values()))

    def add(self, endpoint: Endpoint) -> None:
        """Serve an endpoint from now on.

        Raises:
            ConfigError: its path and method are another's.
        """
        methods = self._plain.setdefault(endpoint.path, {})
        if (other := methods.get(endpoint.method)) is not None:
            raise ConfigError(f"{endpoint.method} {endpoint.path} on this port is taken by {other.owner}")
        methods[endpoint.method] = endpoint
        template = Template(endpoint.path)
        if not template.plain:
            self._templates[endpoint.path] = template

    def remove(self, endpoint: Endpoint) -> None:
        """Serve it no longer; requests in hand are finished."""
        methods = self._plain.get(endpoint.path, {})
        if methods.get(endpoint.method) is endpoint:
            del methods[endpoint.method]
        if not methods:
            self._plain.pop(endpoint.path, None)
            self._templates.pop(endpoint.path, None)

    def handles(self, path: str) -> bool:
        """Whether an endpoint has this path: for a server that mounts the application beside other things."""
        return self._methods(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"webhooks speak HTTP, not {scope['type']}")
        try:
            status, content, content_type = await self._serve(scope, receive)
            headers: Headers = ()
        except _Answer as answer:
            status, content_type, headers = answer.status, JSON, answer.headers
            content = orjson.dumps({"error": answer.text})
        except _Gone:
            return
        await answer_bytes(send, status, content, content_type, headers)

    async def _serve(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        methods = self._methods(scope["path"])
        if methods is None:
            if scope["path"] == "/health":
                return 200, b"OK", TEXT
            raise _Answer(404, f"no webhook has the path {scope['path'][:200]!r}")
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            allowed = ", ".join(sorted(methods))
            raise _Answer(405, f"this path takes {allowed}", (b"allow", allowed.encode()))
        event = await _event(endpoint, scope, receive)
        await _emit(endpoint, event)
        if endpoint.plain:
            return 200, b"success", TEXT
        return 202, orjson.dumps({"id": event.id}), JSON

    def _methods(self, path: str) -> dict[str, Endpoint] | None:
        methods = self._plain.get(path)
        if methods is None and self._templates:
            found = next((text for text, template in self._templates.items() if template.matches(path)), None)
            methods = self._plain[found] if found is not None else None
        return methods


async def _event(endpoint: Endpoint, scope: Scope, receive: Receive) -> Event:
    raw = scope["headers"]
    if endpoint.token is not None:
        _authorize(endpoint.token, raw)
    header = header_of(raw)
    try:
        if endpoint.method == "GET":
            body = body_of_query(scope["query_string"])
        else:
            content_type = header.get("Content-Type", ("",))[0]
            body = body_of(content_type, await _read(receive, raw, endpoint.limit))
    except ConfigError as error:
        raise _Answer(400, str(error)) from error
    data: dict[str, JsonValue] = {"header": header, "body": body}
    if endpoint.metadata:
        data["metadata"] = endpoint.metadata
    return Event(
        id=event_id(header, endpoint.scope),
        source=endpoint.source,
        type="webhook",
        subject=endpoint.subject,
        time=endpoint.clock.now(),
        data=data,
        datacontenttype="application/json",
    )


def _authorize(token: Callable[[], str], raw: list[tuple[bytes, bytes]]) -> None:
    try:
        secret = token()
    except RetrainError as error:
        log.warning("webhook.secret_missing", error=str(error))
        secret = ""
    if not secret:
        raise _Answer(503, "the endpoint's secret is not there yet", (b"retry-after", RETRY_AFTER_S))
    wanted = b"Bearer " + secret.encode()
    given = [value for name, value in raw if name == b"authorization"]
    if len(given) != 1 or not hmac.compare_digest(given[0], wanted):
        raise _Answer(401, "a valid bearer token is required", (b"www-authenticate", b"Bearer"), CLOSE)


async def _read(receive: Receive, headers: Headers, limit: int) -> bytes:
    try:
        with anyio.move_on_after(PATIENCE_S) as patience:
            body = await read_body(headers, receive, limit)
            if body is None:
                raise _Gone
            return body
    except TooLarge as error:
        raise _Answer(413, str(error), CLOSE) from None
    assert patience.cancelled_caught
    raise _Answer(408, "the body did not come in time", CLOSE)


async def _emit(endpoint: Endpoint, event: Event) -> None:
    try:
        await endpoint.emit(event)
    except Permanent as error:
        endpoint.failed()
        raise _Answer(422, str(error)) from error
    except Transient as error:
        endpoint.failed()
        log.warning("webhook.not_accepted", endpoint=endpoint.owner, error=str(error))
        retry = (b"retry-after", RETRY_AFTER_S)
        raise _Answer(503, "the event could not be made safe; send it again", retry) from error
    endpoint.accepted()
