"""Who speaks to the API, by their token, and what they need for it.

GET                                       any role
promotions approve|reject                 any role: who is eligible the promotion says
sensors replay                            any role: nothing changes
firings approve|reject                    approver
everything else that changes something    operator
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from retrain.identity import Principal, Right, nobody_known

PRINCIPAL = "retrain.principal"
"""Where the door leaves the person, in the request's scope."""

_RULES: tuple[tuple[re.Pattern[str], Right], ...] = (
    (re.compile(r"/api/v1/promotions/[^/]+/(approve|reject)"), "viewer"),
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

    def __init__(self, token: str | None, users: Iterable[Known] = ()) -> None:
        self._people: Mapping[str, Known] = {one.digest: one for one in users}
        self._shared = _digest(token.encode()) if token else None

    @property
    def wanted(self) -> bool:
        """Whether a token must be shown."""
        return self._shared is not None or bool(self._people)

    def who(self, scope: Any) -> Principal | None:
        """Whose request it is; None: it shows no token that is known, and one is wanted."""
        origin = str((scope.get("client") or ("",))[0])
        if not self.wanted:
            return nobody_known(origin=origin)
        said = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, token = said.partition(b" ")
        # Digests are looked up, not tokens: how long it takes tells nothing about a token.
        digest = _digest(token) if kind == b"Bearer" else ""
        if (known := self._people.get(digest)) is not None:
            return Principal(known.name, known.roles, verified=True, origin=origin)
        return nobody_known(origin=origin) if digest and digest == self._shared else None


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


def _digest(token: bytes) -> str:
    return sha256(token).hexdigest()
