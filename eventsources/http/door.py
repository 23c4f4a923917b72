"""The HTTP side of what is called: one raw ASGI application for each port. The hot path, so no framework.

It routes by path and method, bounds what comes in, and answers. What becomes of a request is its endpoint's business:
`take` returns only after the bus has what came, so a 2xx means that it is safe. Requests do not wait for each other.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eventsources.http.access import AccessLog
from eventsources.http.answers import TEXT, Refusal, Reply
from eventsources.http.paths import Template
from eventsources.http.reading import Gone, read_whole
from eventsources.http.request import Request
from retrain.errors import ConfigError
from retrain.serving import Headers, Receive, Scope, Send, answer_bytes
from retrain.telemetry import meters

NOWHERE = "no endpoint"
BODILESS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route and what becomes of its requests.

    `owner` is `EventSource/event`. `limit`: bytes of a body at most. `admit` looks at the headers before the body is
    read, and raises Refusal. `take` answers, or raises Refusal.
    """

    owner: str
    method: str
    path: str
    limit: int
    take: Callable[[Request], Awaitable[Reply]]
    admit: Callable[[Headers], None] | None = None
    kind: str = "webhook"


class WebhookApp:
    """Endpoints by path and method. `add` and `remove` while it serves; other paths are 404."""

    def __init__(self) -> None:
        self._plain: dict[str, dict[str, Endpoint]] = {}
        self._templates: dict[str, Template] = {}
        self._access = AccessLog(time.monotonic)

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
        started = time.monotonic()
        where, kind, size, reason = NOWHERE, "", 0, ""
        try:
            endpoint = self._find(scope)
            if isinstance(endpoint, Endpoint):
                where, kind = endpoint.owner, endpoint.kind
                request = await _request(endpoint, scope, receive)
                size = len(request.body)
                reply = await endpoint.take(request)
            else:
                reply = endpoint
        except Refusal as refusal:
            reply, reason = refusal.reply(), refusal.text
            if kind:
                meters.EVENTS_REFUSED.add(where, kind)
        except Gone:
            return
        self._access.note(where, reply.status, started, size=size, reason=reason)
        await answer_bytes(send, reply.status, reply.content, reply.content_type, reply.headers)

    def _find(self, scope: Scope) -> Endpoint | Reply:
        path: str = scope["path"]
        methods = self._methods(path)
        if methods is None:
            if path == "/health":
                return Reply(200, b"OK", TEXT)
            raise Refusal(404, f"no webhook has the path {path[:200]!r}")
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            allowed = ", ".join(sorted(methods))
            raise Refusal(405, f"this path takes {allowed}", (b"allow", allowed.encode()))
        return endpoint

    def _methods(self, path: str) -> dict[str, Endpoint] | None:
        methods = self._plain.get(path)
        if methods is None and self._templates:
            found = next((text for text, template in self._templates.items() if template.matches(path)), None)
            methods = self._plain[found] if found is not None else None
        return methods


async def _request(endpoint: Endpoint, scope: Scope, receive: Receive) -> Request:
    """The whole request, once it may come in and is all there."""
    raw = scope["headers"]
    if endpoint.admit is not None:
        endpoint.admit(raw)
    body = b"" if endpoint.method in BODILESS else await read_whole(raw, receive, endpoint.limit)
    return Request(scope["method"], scope["path"], scope["query_string"], raw, body)
