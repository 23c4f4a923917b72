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
from urllib.parse import parse_qs, quote

import structlog

from retrain.app.access.spaces import Spaces
from retrain.errors import Transient
from retrain.identity import SPEAKING, Principal
from retrain.serving import App, Receive, Scope, Send, answer
from retrain.web.access import PRINCIPAL, Access, is_page
from retrain.web.argo_events import is_argo_event
from retrain.web.counted import ROUTE, Counted
from retrain.web.envelope import Envelope
from retrain.web.rights import ANYBODY, Rule, decide, is_entry, rule_of
from retrain.web.watched import watched

log = structlog.get_logger()

REFUSED = "retrain.refused"
"""Where the door leaves why somebody may not: the page says it as a view."""
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
        spaces: Callable[[], Spaces] | None = None,
    ) -> None:
        self._api = api
        self._page = page
        self._intake = intake
        self._argo = argo
        self._hooks = hooks
        self._access = access
        self._loopback = loopback
        self._spaces = spaces
        self._inside = Envelope(self._enter)
        self._counted = Counted(self._pass_on)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._counted(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (hook := self._hooks(scope["path"])) is not None:
            scope[ROUTE] = "webhook"
            await hook(scope, receive, send)
        else:
            await self._inside(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in ANYBODY:
            await self._api(scope, receive, send)
        elif (refusal := await self._let_in(scope)) is None:
            await self._welcome(scope, receive, send)
        elif refusal[0] == 303:
            await _send_to(refusal[1]["location"], send)
        elif self._page is not None and refusal[0] == 403 and PRINCIPAL in scope and is_page(path):
            scope[REFUSED] = refusal[1]["error"]
            await self._page(scope, receive, send)
        else:
            await answer(send, *refusal)

    async def _welcome(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The room that a request is for. Whoever speaks there is known to all that it calls."""
        token = SPEAKING.set(scope.get(PRINCIPAL))
        try:
            room = self._room(scope)
            if self._access.wanted and scope["method"] == "GET" and not is_entry(scope["path"]):
                await watched(room, scope, receive, send, lambda: self._access.who(scope))
            else:
                await room(scope, receive, send)
        finally:
            SPEAKING.reset(token)
        try:
            await self._access.used(scope)
        except Transient as error:
            log.warning("access.use_not_noted", error=str(error))

    def _room(self, scope: Scope) -> App:
        path: str = scope["path"]
        if self._page is not None and is_page(path):
            return self._page
        if path == "/api/v1/events" and scope["method"] == "POST":
            scope[ROUTE] = path
            return self._intake
        if is_argo_event(scope):
            scope[ROUTE] = "/api/v1/events/{namespace}/{discriminator}"
            return self._argo
        return self._api

    async def _let_in(self, scope: Scope) -> tuple[int, dict[str, Any]] | None:
        """Leave the person in the scope; why not, where they may not."""
        path, method = scope["path"], scope["method"]
        if not self._access.wanted and self._loopback:
            refusal = _refuse_strangers(dict(scope["headers"]), method)
            if refusal is not None:
                return refusal
        await self._access.open()
        who = await self._access.who(scope)
        if is_entry(path):
            return None
        if who is None:
            # Not the feed: it would take the login's view for its own and ask for it for ever.
            if is_page(path) and method == "GET" and path != "/ui/live":
                return 303, {"location": _login_for(scope)}
            return 401, {"error": "this platform wants its token: Authorization: Bearer ..."}
        scope[PRINCIPAL] = who
        if path == "/ui/" and not who.may("viewer"):
            return 303, {"location": "/ui/runs"}  # the overview is of everything
        return await self._refuse_unentitled(scope, who)

    async def _refuse_unentitled(self, scope: Scope, who: Principal) -> tuple[int, dict[str, Any]] | None:
        rule, words = rule_of(scope["method"], scope["path"])
        answer = decide(who, rule)
        if answer == "ask":
            space = await self._space(scope, rule, words)
            if who.may(rule.right, space):
                scope[PRINCIPAL] = who.at(space)
                return None
        if answer == "yes":
            return None
        roles, over = ", ".join(sorted(who.roles)) or "none", " for what this is" if answer == "ask" else ""
        asked = f"{scope['method']} {scope['path']}"
        return 403, {"error": f"{asked} needs the role {rule.right}{over}; {who.name} has {roles}"}

    async def _space(self, scope: Scope, rule: Rule, words: Any) -> str | None:
        if rule.thing is None or self._spaces is None:
            return None
        kind, word = rule.thing
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        name = words.get(word) or asked.get(word, [""])[-1]
        return await self._spaces().of(kind, name) if name else None


def _login_for(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return f"/ui/login?back={quote(scope['path'] + (f'?{query}' if query else ''), safe='')}"


async def _send_to(location: str, send: Send) -> None:
    headers = [
        (b"location", location.encode()),
        (b"content-length", b"0"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


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
