"""Views of what people come in with, their tokens and sessions, and of what people did."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.access.deed_filter import DeedWish, changes, deed_filter
from retrain.app.access.token_rules import SERVICE_ROLES, Wish
from retrain.app.looking import queries
from retrain.errors import ConfigError
from retrain.web.asking import Cursor, Limit
from retrain.web.page.forms import Fields, read_form
from retrain.web.page.frame import Frame, View, see
from retrain.web.page.words import command
from retrain.web.tokens import Tokens


def add_token_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    tokens = Tokens(frame.services, frame.access)
    _audit(page, frame)
    _forms(page, frame, tokens)

    @page.get("/ui/tokens")
    async def list_tokens(request: Request, every: bool = False, cursor: Cursor = None, limit: Limit = 50) -> Response:
        return await _show(frame, tokens, request, every=every, cursor=cursor, limit=limit)


def _forms(page: FastAPI, frame: Frame, tokens: Tokens) -> None:
    @page.post("/ui/tokens/create")
    async def create(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        made = await tokens.make(frame.who(request), _wish(form))
        # Answered with the token itself: what is shown once is in no address and in no second answer.
        return await _show(frame, tokens, request, made=made)

    @page.post("/ui/tokens/revoke")
    async def revoke(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        await tokens.revoke(frame.who(request), form.need("id"))
        return see("/ui/tokens")

    @page.post("/ui/sessions/end")
    async def end(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        await tokens.end_sessions(frame.who(request), form.get("id", ""))
        return see("/ui/tokens")


async def _show(frame: Frame, tokens: Tokens, request: Request, *, every: bool = False, **more: Any) -> Response:
    who, group = frame.who(request), frame.services.settings.access
    cursor, limit = more.pop("cursor", None), more.pop("limit", 50)
    all_of_them = every or not who.verified
    found: dict[str, Any] = {"items": [], "next": None}
    if who.may("admin") or not all_of_them:
        found = await tokens.listing(who, cursor, limit, every=all_of_them)
    more |= {
        "me": tokens.me(who),
        "every": every,
        "asks": frame.access.wanted,
        "admin": who.may("admin"),
        "own": sorted(who.roles),
        "service_roles": sorted(SERVICE_ROLES),
        "days": group.token_days,
        "most": group.token_most_days,
        "sessions": (await tokens.sessions(who))["items"],
        **found,
    }
    said = command("tokens", "list", *(["--all"] if every else []))
    return frame.show(request, View("tokens.html", "Tokens", said), **more)


def _wish(form: Fields) -> Wish:
    days = form.get("days", "").strip()
    if days and not (days.isascii() and days.isdigit() and len(days) < 6):
        raise ConfigError(f"days: {days!r} is no number of days")
    kind = "service" if form.get("kind") == "service" else "person"
    namespaces = tuple(form.get("namespaces", "").replace(",", " ").split())
    roles = tuple(form.need("roles").replace(",", " ").split())
    return Wish(form.need("label"), roles, namespaces, int(days) if days else None, kind)


def _audit(page: FastAPI, frame: Frame) -> None:
    ask, now = frame.services.ask, frame.services.clock.now

    @page.get("/ui/audit")
    async def deeds(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        subject: str = "",
        actor: str = "",
        action: str = "",
        since: str = "",
        until: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        wish = DeedWish(subject, actor, action, since, until)
        found = await ask(queries.list_deeds, deed_filter(wish, now()), cursor, limit)
        said = command("audit", "list", *(part for name, one in wish.words.items() for part in (f"--{name}", one)))
        view = View("audit.html", "Audit", said, ["promotions"])
        return frame.show(request, view, which=wish, filtered=bool(wish.words), changes=changes, **found)
