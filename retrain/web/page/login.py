"""Logging in with a token, and out again."""

from __future__ import annotations

from typing import Literal, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.errors import Refused
from retrain.identity import Principal
from retrain.store import audit
from retrain.store.audit import Deed
from retrain.web.page.forms import read_fields, read_form
from retrain.web.page.frame import Frame, View, see
from retrain.web.sessions import Visit

Answer = TypeVar("Answer", bound=Response)


def add_login(page: FastAPI, frame: Frame) -> None:
    """Add its routes. The door lets anybody come to them."""

    @page.get("/ui/login")
    async def ask(request: Request, back: str = "/ui/") -> Response:
        if not frame.access.wanted:
            return see("/ui/")
        return _show(frame, request, safe(back))

    @page.post("/ui/login")
    async def take(request: Request) -> Response:
        form, origin = await read_fields(request), _origin(request)
        frame.sessions.count_try(origin)
        token, back = form.need("token").strip(), safe(form.get("back", ""))
        found = await frame.access.bearer(token.encode(), origin) if frame.access.wanted else None
        if found is None:
            await record_login(frame, Principal("", frozenset(), origin=origin), "refused")
            return _show(frame, request, back, "Nobody here has this token.", status=403)
        cookie = await begin_session(frame, request, found[0], found[1])
        return with_cookie(frame, request, see(back), cookie)

    @page.post("/ui/logout")
    async def leave(request: Request) -> Response:
        await read_form(frame.sessions, request)
        if await frame.sessions.leave(request.scope["headers"]) is not None:
            await record_login(frame, frame.who(request), "out")
        return with_cookie(frame, request, see("/ui/login"), "", ends=True)


def _show(frame: Frame, request: Request, back: str, wrong: str = "", status: int = 200) -> Response:
    group = frame.services.settings.access
    more = {"provider": group.oidc.name if group.oidc else "", "hours": f"{group.session_hours:g}"}
    return frame.show(request, View("login.html", "Log in", status=status), back=back, wrong=wrong, **more)


def safe(back: str) -> str:
    """Where to go on: a view of this page, whatever a link says."""
    fine = back.startswith("/ui/") and "\\" not in back and back.isprintable() and not back.startswith("/ui/log")
    return back if fine else "/ui/"


def _origin(request: Request) -> str:
    """The address that somebody logs in from.

    Raises:
        Refused: a page of another site sends them here.
    """
    said, host = request.headers.get("origin"), request.headers.get("host", "")
    if said is not None and said.partition("://")[2].lower() != host.lower():
        raise Refused("this login comes from a page of another site")
    return request.client.host if request.client else ""


async def begin_session(frame: Frame, request: Request, who: Principal, stands_for: str) -> str:
    """Open a session for somebody, on record; its cookie. One that the browser had already ends."""
    agent = request.headers.get("user-agent", "")
    visit = Visit(who.name, stands_for, origin=who.origin, agent=agent if agent.isprintable() else "")
    cookie = await frame.sessions.begin(visit, frame.sessions.value(request.scope["headers"]))
    await record_login(frame, who, "in")
    return cookie


async def record_login(frame: Frame, who: Principal, verb: Literal["in", "out", "refused"], why: str = "") -> None:
    """Put a login, a log-out or a refused login on record."""
    services = frame.services
    deed = Deed(services.clock.now(), who.name, who.verified, f"login.{verb}", who.name, reason=why, origin=who.place)
    await services.store.write(lambda c: audit.record(c, deed))


def with_cookie(frame: Frame, request: Request, answer: Answer, value: str, *, ends: bool = False) -> Answer:
    """The answer with the session's cookie, which no script reads and no other site's page sends along."""
    name, seconds = frame.sessions.cookie, 0 if ends else int(frame.sessions.lasts.total_seconds())
    secure = request.url.scheme == "https" or name.startswith("__Host-")
    answer.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)
    return answer
