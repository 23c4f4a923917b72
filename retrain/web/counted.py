"""Counts requests and says them in the log: by the route as the code has it, never by the path that was asked for."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from retrain.log import get_logger
from retrain.serving import App, Receive, Scope, Send
from retrain.telemetry import meters

ROUTE = "retrain.route"
"""In the scope: the template of a route that no framework has found."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
WATCHED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for all day by machines: no line in the log while they answer well."""

log = get_logger()


class Counted:
    """An application, and what is counted of it. A hot path stands on it: what it adds are microseconds."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, feed, started = 0, "", perf_counter()

        async def note(message: Any) -> None:
            nonlocal status, feed
            if message["type"] == "http.response.start":
                status = message["status"]
                if _is_feed(message):
                    feed = "page" if scope["path"].startswith("/ui") else "api"
                    meters.LISTENERS.add(feed)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if feed:
                meters.LISTENERS.add(feed, by=-1)
            _note(scope, status or 499, None if feed else perf_counter() - started)


def _is_feed(start: Any) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in start["headers"])


def route_of(scope: Scope) -> str:
    """The route's template; `none` where nothing has such a path."""
    found = scope.get(ROUTE) or getattr(scope.get("route"), "path", None)
    return str(found) if found else "none"


def room_of(route: str) -> str:
    """Which room answers a route."""
    if route == "webhook":
        return route
    if route in WATCHED:
        return "health"
    return "page" if route.startswith("/ui") else "api" if route.startswith("/api") else "other"


def _note(scope: Scope, status: int, seconds: float | None) -> None:
    """499: the client has gone before there was an answer."""
    method, route = scope["method"], route_of(scope)
    method = method if method in METHODS else "other"
    meters.HTTP_REQUESTS.add(method, route, f"{status // 100}xx")
    if seconds is not None:
        meters.HTTP_SECONDS.observe(seconds, room_of(route))
    if route == "webhook" or (route in WATCHED and status < 400):
        return  # endpoints of sources have an access log of their own
    said = (
        log.warning if status >= 500 and route not in WATCHED else log.info if _is_news(method, status) else log.debug
    )
    ms = None if seconds is None else round(seconds * 1000, 1)
    said("http.request", method=method, route=route, status=status, ms=ms, request_id=scope.get("retrain.request_id"))


def _is_news(method: str, status: int) -> bool:
    return method not in {"GET", "HEAD", "OPTIONS"} or status in {401, 403}
