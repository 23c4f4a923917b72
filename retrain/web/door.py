"""The first thing a request meets: who may come in, and which room it goes to.

    /healthz /readyz /metrics   anybody
    endpoints of event sources  as their sources say (secret, size)
    the page's login            anybody, where there are tokens
    everything else             a token of somebody who may, where there are any (of the page: a session that began with
                                one); on loopback without one: requests that name a loopback host

The last rule keeps a web page that a developer happens to visit from using the API behind their back: by a name that
points at this machine (DNS rebinding), or by sending a form to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from retrain.identity import Principal
from retrain.serving import App, Receive, Scope, Send, answer
from retrain.web.access import PRINCIPAL, Access, is_entry, is_page, needed
from retrain.web.argo_events import is_argo_event

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


class Door:
    """Routes by path: `hooks` first where it has the path, then `intake` for events, then `page` and `api`."""

    def __init__(  # noqa: PLR0913 - a room each
        self,
        *,
        api: App,
        page: App | None = None,
        intake: App,
        argo: App,
        hooks: Callable[[str], App | None],
        access: Access,
        loopback: bool,
    ) -> None:
        self._api = api
        self._page = page
        self._intake = intake
        self._argo = argo
        self._hooks = hooks
        self._access = access
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if (hook := self._hooks(path)) is not None:
            await hook(scope, receive, send)
        elif path in OPEN:
            await self._api(scope, receive, send)
        elif refusal := self._let_in(scope):
            if refusal[0] == 401 and is_page(path) and scope["method"] == "GET":
                await _send_to_login(scope, send)
            else:
                await answer(send, *refusal)
        elif self._page is not None and is_page(path):
            await self._page(scope, receive, send)
        elif path == "/api/v1/events" and scope["method"] == "POST":
            await self._intake(scope, receive, send)
        elif is_argo_event(scope):
            await self._argo(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    def _let_in(self, scope: Scope) -> tuple[int, dict[str, Any]] | None:
        """Leave the person in the scope; why not, where they may not."""
        if not self._access.wanted and self._loopback:
            refusal = _refuse_strangers(dict(scope["headers"]), scope["method"])
            if refusal is not None:
                return refusal
        who = self._access.who(scope)
        if is_entry(scope["path"]):
            return None
        if who is None:
            return 401, {"error": "this platform wants its token: Authorization: Bearer ..."}
        scope[PRINCIPAL] = who
        return _refuse_unentitled(who, scope["method"], scope["path"])


async def _send_to_login(scope: Scope, send: Send) -> None:
    query = scope.get("query_string", b"").decode("latin-1")
    back = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
    headers = [
        (b"location", f"/ui/login?back={back}".encode()),
        (b"content-length", b"0"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _refuse_unentitled(who: Principal, method: str, path: str) -> tuple[int, dict[str, Any]] | None:
    right = needed(method, path)
    if who.may(right):
        return None
    roles = ", ".join(sorted(who.roles)) or "none"
    return 403, {"error": f"{method} {path} needs the role {right}; {who.name} has {roles}"}


def _refuse_strangers(headers: dict[bytes, bytes], method: str) -> tuple[int, dict[str, Any]] | None:
    """What a page of another site could do through the browser of whoever sits at this machine."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if _name(host) not in LOOPBACK:
        return 403, {"error": f"host {host!r} is not this machine; set RETRAIN_SERVER_TOKEN to be reached by name"}
    origin = headers.get(b"origin")
    if origin is not None and method not in {"GET", "HEAD"}:
        scheme, _, where = origin.decode("latin-1").lower().partition("://")
        if scheme not in {"http", "https"} or where != host:
            return 403, {"error": "this request comes from a page of another site"}
    return None


def _name(host: str) -> str:
    """The host without its port."""
    return host if host.endswith("]") else host.rsplit(":", 1)[0]
