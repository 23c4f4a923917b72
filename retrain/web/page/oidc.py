"""Logging in at a provider: out to it with a challenge, and back with a code.

What was begun is in a cookie that we have signed, so it is bound to the browser, and nothing is kept for whoever never
comes back. The session's cookie is for this site only; a browser does not send it where the way began at another one,
so the way back ends in a view of ours, which leads on.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from retrain.errors import Forbidden, NotFound, Refused
from retrain.identity import Principal
from retrain.store import people
from retrain.store.people import Person
from retrain.web.oidc_claims import Login, roles_of
from retrain.web.oidc_provider import Begun, Provider
from retrain.web.page.frame import Frame, View, see
from retrain.web.page.login import begin_session, record_login, safe, with_cookie

LASTS = timedelta(minutes=10)
"""How long somebody may take to log in."""


@dataclass(frozen=True, slots=True)
class Way:
    """A login on its way. `back`: the view that it is for."""

    begun: Begun
    back: str
    until: datetime


def add_provider_login(page: FastAPI, frame: Frame, provider: Provider | None) -> None:
    """Add its routes. The door lets anybody come to them."""

    @page.get("/ui/login/begin")
    async def begin(request: Request, back: str = "/ui/") -> Response:
        there = _there(provider)
        frame.sessions.count_try(_address(request))
        begun = Begun(*(secrets.token_urlsafe(48) for _ in range(3)))
        way = Way(begun, safe(back), frame.services.clock.now() + LASTS)
        answer = see(await there.address(begun, challenge(begun.verifier)))
        return _keep(frame, request, answer, seal(frame, way))

    @page.get("/ui/login/callback")
    async def come_back(
        request: Request, state: str = "", code: str = "", error: str = "", iss: str | None = None
    ) -> Response:
        there, way = _there(provider), _way(frame, request, state)
        try:
            _check_yes(there, error, code)
            who = await _admit(frame, there, await there.login(code, iss, way.begun), _address(request))
        except Forbidden as refusal:
            await record_login(frame, Principal("", frozenset(), origin=_address(request)), "refused", str(refusal))
            raise
        cookie = await begin_session(frame, request, who, f"login {who.name}")
        answer = frame.show(request, View("arrived.html", "Logged in"), back=way.back)
        return _keep(frame, request, with_cookie(frame, request, answer, cookie), "")


def _check_yes(provider: Provider, error: str, code: str) -> None:
    if error or not code:
        raise Forbidden(f"{provider.settings.name} says no: {error[:100] or 'it gave no code'}")


async def _admit(frame: Frame, provider: Provider, login: Login, origin: str) -> Principal:
    """Who comes in, with the roles that their groups give.

    Raises:
        Forbidden: they give none, or the name is somebody else's.
    """
    settings = provider.settings
    given = roles_of(login, settings.roles, settings.everybody)
    if frame.access.is_named(login.name):
        raise Forbidden(f"{login.name} is somebody whom the settings name (access.users); use that token")
    now = frame.services.clock.now()

    def work(connection: Connection) -> None:
        known = people.get(connection, login.name)
        if known is not None and (known.issuer, known.subject) != (settings.issuer, login.subject):
            raise Forbidden(f"{login.name} is the name of somebody else who has logged in here before")
        people.save(connection, Person(login.name, settings.issuer, login.subject, given, now))

    await frame.services.store.write(work)
    if frame.access.keys is not None:
        frame.access.keys.forget(login.name)
    if not given:
        raise Forbidden(f"{login.name} is in no group that may do anything here (access.oidc.roles)")
    return Principal(login.name, frozenset(given), verified=True, origin=origin)


def challenge(verifier: str) -> str:
    """What the provider is told of a verifier: RFC 7636, S256."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def seal(frame: Frame, way: Way) -> str:
    """A login on its way as a cookie."""
    begun = way.begun
    said = [begun.state, begun.nonce, begun.verifier, way.back, way.until.timestamp()]
    text = urlsafe_b64encode(orjson.dumps(said)).decode()
    return f"{text}.{frame.sessions.sign(text)}"


def unseal(frame: Frame, cookie: str) -> Way | None:
    """The login that a cookie stands for; None: it is not ours, or over."""
    text, _, sign = cookie.partition(".")
    if not compare_digest(frame.sessions.sign(text).encode(), sign.encode(errors="replace")):
        return None
    state, nonce, verifier, back, until = orjson.loads(urlsafe_b64decode(text))
    now = frame.services.clock.now()
    way = Way(Begun(state, nonce, verifier), safe(back), datetime.fromtimestamp(until, now.tzinfo))
    return way if now < way.until else None


def _way(frame: Frame, request: Request, state: str) -> Way:
    way = unseal(frame, _cookie(frame, request))
    if way is None or not compare_digest(way.begun.state.encode(), state.encode(errors="replace")):
        raise Refused("this login was not begun in this browser, or too long ago; begin again at /ui/login")
    return way


def _there(provider: Provider | None) -> Provider:
    if provider is None:
        raise NotFound("nobody logs in at a provider here (access.oidc); use a token")
    return provider


def _name(frame: Frame) -> str:
    return frame.sessions.cookie.replace("session", "login")


def _keep(frame: Frame, request: Request, answer: Response, value: str) -> Response:
    # Lax: the way back begins at the provider, and needs it.
    name = _name(frame)
    secure = request.url.scheme == "https" or name.startswith("__Host-")
    age = int(LASTS.total_seconds()) if value else 0
    answer.set_cookie(name, value, max_age=age, path="/", httponly=True, samesite="lax", secure=secure)
    return answer


def _cookie(frame: Frame, request: Request) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(_name(frame))
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
