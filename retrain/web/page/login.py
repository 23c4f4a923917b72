"""Logging in with a token, and out again."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.errors import Refused
from retrain.web.access import digest_of
from retrain.web.page.forms import read_fields, read_form
from retrain.web.page.frame import Frame, View, see
from retrain.web.sessions import COOKIE, LASTS


def add_login(page: FastAPI, frame: Frame) -> None:
    """Add its routes. The door lets anybody come to them."""

    @page.get("/ui/login")
    async def ask(request: Request, back: str = "/ui/") -> Response:
        if not frame.access.wanted:
            return see("/ui/")
        return frame.show(request, View("login.html", "Log in"), back=safe(back), wrong="")

    @page.post("/ui/login")
    async def take(request: Request) -> Response:
        form, origin = await read_fields(request), _origin(request)
        frame.sessions.count_try(origin)
        digest, back = digest_of(form.need("token").encode()), safe(form.get("back", ""))
        if not frame.access.wanted or frame.access.whose(digest, origin) is None:
            wrong = "Nobody here has this token."
            return frame.show(request, View("login.html", "Log in", status=403), back=back, wrong=wrong)
        return _with_cookie(request, see(back), frame.sessions.begin(digest), int(LASTS.total_seconds()))

    @page.post("/ui/logout")
    async def leave(request: Request) -> Response:
        await read_form(frame.sessions, request)
        frame.sessions.end(request.scope["headers"])
        return _with_cookie(request, see("/ui/login"), "", 0)


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


def _with_cookie(request: Request, answer: Response, value: str, seconds: int) -> Response:
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=secure)
    return answer
