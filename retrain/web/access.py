"""Who speaks to the API or the page, by what they show.

    Authorization: Bearer    a token that the settings name, or one that somebody has made
    the session's cookie     what the session began with: a token shown at the page's login, or a login at a provider

The cookie opens what its beginning does, but changes nothing through the API: the page's own forms bring a word along
that no other site knows. What each route needs is in `rights`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from retrain import roles
from retrain.app.access.token_text import digest_of, is_token
from retrain.identity import Kind, Principal, nobody_known
from retrain.store.sessions import SessionRow
from retrain.store.tokens import TokenRow
from retrain.web.keys import Keys
from retrain.web.sessions import Sessions

PRINCIPAL = "retrain.principal"
"""Where the door leaves the person, in the request's scope."""
USED = "retrain.used"
"""Where the token or session is that let the request in."""
ACTOR_HEADER = b"x-retrain-actor"
"""What somebody whom nothing tells apart calls themselves; the command line sends it."""
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f<>\u202a-\u202e\u2066-\u2069]{1,120}")


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody with a token of their own. `digest`: SHA-256 of the token, in hex."""

    name: str
    digest: str
    roles: frozenset[str]
    kind: Kind = "person"


class Access:
    """Who may come in. Where nothing tells people apart, whoever reaches the door may do everything (it listens on
    loopback then). `logins`: people may log in at a provider."""

    def __init__(
        self,
        token: str | None,
        users: Iterable[Known] = (),
        sessions: Sessions | None = None,
        keys: Keys | None = None,
        *,
        logins: bool = False,
    ) -> None:
        self.sessions = sessions
        self.keys = keys
        self._people: Mapping[str, Known] = {one.digest: one for one in users}
        self._names: Mapping[str, Known] = {one.name: one for one in self._people.values()}
        self._shared = digest_of(token.encode()) if token else None
        self._logins = logins

    @property
    def wanted(self) -> bool:
        """Whether somebody must show something."""
        return self._shared is not None or self.tells_apart

    @property
    def tells_apart(self) -> bool:
        """Whether people have something of their own to come in with."""
        return bool(self._people) or self._logins

    async def open(self) -> None:
        """Get ready for the first request."""
        if self.sessions is not None:
            await self.sessions.open()

    async def who(self, scope: Any) -> Principal | None:
        """Whose request it is; None: it shows nothing that is known, and something is wanted."""
        origin = str((scope.get("client") or ("",))[0])
        found = await self._shown(scope, origin) if self.wanted else nobody_known(origin=origin)
        return found if found is None or found.verified else replace(found, name=_called(scope["headers"]))

    async def bearer(self, token: bytes, origin: str) -> tuple[Principal, str, TokenRow | None] | None:
        """Who has this token, what a session stands for that begins with it, and what is known of the token itself."""
        digest = digest_of(token)
        # Digests are looked up, not tokens: how long it takes tells nothing about a token.
        if digest in self._people:
            return self._known(self._people[digest], origin), f"user {digest}", None
        if digest == self._shared:
            return self._anybody(origin), f"shared {digest}", None
        if self.keys is None or not is_token(token.decode("latin-1")):
            return None
        row = await self.keys.token(digest)
        who = await self._holder(row, origin)
        return (who, f"token {row.id}", row) if row is not None and who is not None else None

    async def roles_of(self, name: str) -> frozenset[str]:
        """What somebody may do now; nothing, if they are gone."""
        if (known := self._names.get(name)) is not None:
            return known.roles if known.kind == "person" else frozenset()
        person = await self.keys.person(name) if self.keys is not None else None
        return frozenset(person.roles) if person is not None else frozenset()

    def is_named(self, name: str) -> bool:
        """Whether the settings name somebody so: nobody else comes in under that name."""
        return name in self._names

    async def used(self, scope: Any) -> None:
        """Note that what let this request in was used; after its answer."""
        row = scope.get(USED)
        if isinstance(row, TokenRow) and self.keys is not None:
            await self.keys.touch(row)
        elif isinstance(row, SessionRow) and self.sessions is not None:
            await self.sessions.touch(row)

    async def _shown(self, scope: Any, origin: str) -> Principal | None:
        said = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        if said is not None:
            kind, _, token = said.partition(b" ")
            found = await self.bearer(token, origin) if kind == b"Bearer" else None
            scope[USED] = found[2] if found is not None else None
            return found[0] if found is not None else None
        if self.sessions is None or not (scope.get("method") in {"GET", "HEAD"} or is_page(scope.get("path", ""))):
            return None
        scope[USED] = row = await self.sessions.of(scope["headers"])
        return await self._of_session(row, origin) if row is not None else None

    async def _of_session(self, row: SessionRow, origin: str) -> Principal | None:
        kind, _, what = row.stands_for.partition(" ")
        who: Principal | None = None
        if kind == "user" and what in self._people:
            who = self._known(self._people[what], origin)
        elif kind == "shared" and what == self._shared:
            who = self._anybody(origin)
        elif kind == "token" and self.keys is not None:
            who = await self._holder(await self.keys.called(what), origin)
        elif kind == "login" and (given := await self.roles_of(what)) and not self.is_named(what):
            who = Principal(what, given, verified=True, origin=origin)
        if who is None:
            return None
        return replace(who, credential=f"{who.credential}, session {row.id}".removeprefix(", "))

    async def _holder(self, row: TokenRow | None, origin: str) -> Principal | None:
        """Who holds a token that somebody has made: never with more than its owner has now."""
        if row is None:
            return None
        credential = f"token {row.id}"
        if row.kind == "service":
            name = f"service:{row.label}"
            return Principal(name, frozenset(row.roles), True, origin, "service", credential)
        given = roles.meet(row.roles, await self.roles_of(row.owner))
        return Principal(row.owner, given, True, origin, "person", credential) if given else None

    def _known(self, known: Known, origin: str) -> Principal:
        return Principal(known.name, known.roles, True, origin, known.kind)

    def _anybody(self, origin: str) -> Principal:
        """Whoever has the one token. Where people have their own, it is nobody's."""
        return replace(nobody_known(origin=origin), kind="shared" if self.tells_apart else "local")


def is_page(path: str) -> bool:
    """Whether a path is the page's."""
    return path in {"/", "/ui"} or path.startswith("/ui/")


def principal(scope: Any, actor: str = "") -> Principal:
    """The person that the door let in. `actor`: who they say they are; their own token has the last word."""
    found: Principal = scope.get(PRINCIPAL) or Principal("", frozenset())
    return found if found.verified else replace(found, name=actor or found.name)


def _called(headers: Iterable[tuple[bytes, bytes]]) -> str:
    said = next((value for name, value in headers if name == ACTOR_HEADER), b"").decode(errors="replace").strip()
    return said if _NAME.fullmatch(said) else ""
