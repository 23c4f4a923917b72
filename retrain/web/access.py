"""Who speaks to the API, by their token, and what they need for it.

GET                                       any role
promotions approve|reject|waive           any role: who is eligible the promotion says
sensors replay, the page's logout         any role: nothing changes
firings approve|reject                    approver
everything else that changes something    operator

A browser shows its token once, at the page's login, and then the cookie of its session. That opens what the token does,
but changes nothing through the API: the page's own forms bring a word along that no other site knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from retrain.identity import Principal, Right, nobody_known
from retrain.web.sessions import Sessions

PRINCIPAL = "retrain.principal"
"""Where the door leaves the person, in the request's scope."""

_RULES: tuple[tuple[re.Pattern[str], Right], ...] = (
    (re.compile(r"/api/v1/promotions/[^/]+/(approve|reject|waive)"), "viewer"),
    (re.compile(r"/ui/promotions/(approve|reject)"), "viewer"),
    (re.compile(r"/ui/logout"), "viewer"),
    (re.compile(r"/api/v1/sensors/replay"), "viewer"),
    (re.compile(r"/api/v1/firings/[^/]+/(approve|reject)"), "approver"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody with a token of their own. `digest`: SHA-256 of the token, in hex."""

    name: str
    digest: str
    roles: frozenset[str]


class Access:
    """Who has which token. Without any, whoever reaches the door may do everything (it listens on loopback then)."""

    def __init__(self, token: str | None, users: Iterable[Known] = (), sessions: Sessions | None = None) -> None:
        self.sessions = sessions
        self._people: Mapping[str, Known] = {one.digest: one for one in users}
        self._shared = digest_of(token.encode()) if token else None

    @property
    def wanted(self) -> bool:
        """Whether a token must be shown."""
        return self._shared is not None or bool(self._people)

    def who(self, scope: Any) -> Principal | None:
        """Whose request it is; None: it shows no token that is known, and one is wanted."""
        origin = str((scope.get("client") or ("",))[0])
        if not self.wanted:
            return nobody_known(origin=origin)
        # Digests are looked up, not tokens: how long it takes tells nothing about a token.
        return self.whose(self._shown(scope), origin)

    def whose(self, digest: str, origin: str) -> Principal | None:
        """Whose token has this digest; None: it is nobody's."""
        if (known := self._people.get(digest)) is not None:
            return Principal(known.name, known.roles, verified=True, origin=origin)
        return nobody_known(origin=origin) if digest and digest == self._shared else None

    def _shown(self, scope: Any) -> str:
        """The digest of the token that a request shows, or that its session stands for."""
        said = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        if said is not None:
            kind, _, token = said.partition(b" ")
            return digest_of(token) if kind == b"Bearer" else ""
        reads = scope.get("method") in {"GET", "HEAD"} or is_page(scope.get("path", ""))
        return self.sessions.token(scope["headers"]) if self.sessions is not None and reads else ""


def is_page(path: str) -> bool:
    """Whether a path is the page's."""
    return path in {"/", "/ui"} or path.startswith("/ui/")


def is_entry(path: str) -> bool:
    """Whether a path is what somebody needs to log in at the page."""
    return path == "/ui/login" or path.startswith("/ui/static/")


def needed(method: str, path: str) -> Right:
    """The right that a request needs."""
    if method in {"GET", "HEAD"}:
        return "viewer"
    for pattern, right in _RULES:
        if pattern.fullmatch(path):
            return right
    return "operator"


def principal(scope: Any, actor: str = "") -> Principal:
    """The person that the door let in. `actor`: who they say they are; their own token has the last word."""
    found: Principal = scope.get(PRINCIPAL) or Principal("", frozenset())
    return found if found.verified else replace(found, name=actor)


def digest_of(token: bytes) -> str:
    """SHA-256 of a token, in hex."""
    return sha256(token).hexdigest()
