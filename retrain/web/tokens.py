"""Tokens and sessions as people ask for them, from the API, the page and the command line. All on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from retrain import roles
from retrain.app.access.token_rules import MOST, Terms, Wish, draw_up, may_end
from retrain.app.access.token_text import digest_of, new_token
from retrain.app.looking.queries import stamp
from retrain.app.services import Services
from retrain.errors import Forbidden, NotFound, Refused
from retrain.identity import Principal
from retrain.store import audit, tokens
from retrain.store.audit import Deed
from retrain.store.sessions import SessionRow
from retrain.store.tokens import TokenRow
from retrain.web.access import Access
from retrain.web.keys import Keys
from retrain.web.sessions import Sessions

Json = dict[str, Any]
KEPT = timedelta(days=90)
"""How long a token is listed after its end."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What people may do to what they come in with."""

    services: Services
    access: Access

    async def listing(self, who: Principal, cursor: str | None = None, limit: int = 50, *, every: bool = False) -> Json:
        """Somebody's tokens, newest first; `every`: all there are, for an admin."""
        owner = None if every or not who.verified else who.name
        if owner is None and not who.may("admin"):
            raise Forbidden("the tokens of others are for an admin to see")
        page = await self.services.store.read(lambda c: tokens.listing(c, owner=owner, cursor=cursor, limit=limit))
        return {"items": [await self._shown(one) for one in page.items], "next": page.next}

    async def make(self, who: Principal, wish: Wish) -> Json:
        """A new token, with its `token`, which is shown this once.

        Raises:
            ConfigError, Forbidden: see `token_rules.draw_up`.
            Refused: nothing asks for tokens here, or somebody has too many.
        """
        if not self.access.wanted:
            raise Refused(
                "this platform asks nobody for a token, so there is none to make: "
                "set access.users, access.oidc or RETRAIN_SERVER_TOKEN first"
            )
        group, now, text = self.services.settings.access, self.services.clock.now(), new_token()
        parent = await self._parent(who)
        terms = Terms(group.token_days, group.token_most_days)
        row = draw_up(wish, who, parent, now, terms, digest_of(text.encode()))

        def work(connection: Connection) -> None:
            tokens.forget(connection, now - KEPT)
            if tokens.good_of(connection, row.owner, now) >= MOST:
                raise Refused(f"{row.owner or 'the shared token'} has {MOST} tokens; revoke one first")
            tokens.add(connection, row)
            audit.record(connection, self._deed(who, "tokens.create", row.id, after=_record(row)))

        await self.services.store.write(work)
        return {**await self._shown(row), "token": text}

    async def revoke(self, who: Principal, token_id: str) -> Json:
        """End a token, those that were made with it, and the sessions that began with one of them.

        Raises:
            NotFound: they have no such token.
        """
        row = await self.services.store.read(lambda c: tokens.get(c, token_id))
        if row is None or not may_end(who, row):
            raise NotFound(f"{token_id}: no such token of yours; `retrain tokens list` shows the ids")
        now = self.services.clock.now()

        def work(connection: Connection) -> list[TokenRow]:
            ended = tokens.revoke(connection, token_id, now)
            for one in ended:
                deed = self._deed(who, "tokens.revoke", one.id, before=_record(one), after={"revoked": stamp(now)})
                audit.record(connection, deed)
            return ended

        ended = await self.services.store.write(work)
        for one in ended:
            self._keys.forget(one.digest, one.id)
        await self._sessions.end_of([f"token {one.id}" for one in ended])
        return {"id": token_id, "revoked": [one.id for one in ended]}

    async def sessions(self, who: Principal) -> Json:
        """Their own sessions, last seen first."""
        rows = await self._sessions.listing(who.name) if who.verified else []
        return {"items": [_session(one, who) for one in rows], "next": None}

    async def end_sessions(self, who: Principal, session_id: str = "") -> Json:
        """End one of their sessions, or all.

        Raises:
            NotFound: they have no such session.
        """
        ended = await self._sessions.end(who.name, session_id) if who.verified else []
        if session_id and not ended:
            raise NotFound(f"{session_id}: no such session of yours")
        if ended:
            after = {"ended": [one.id for one in ended]}
            deed = self._deed(who, "sessions.end", session_id or who.name, after=after)
            await self.services.store.write(lambda c: audit.record(c, deed))
        return {"ended": [one.id for one in ended]}

    def me(self, who: Principal) -> Json:
        """Who somebody is here, and what they may."""
        return {
            "name": who.name,
            "verified": who.verified,
            "kind": who.kind,
            "roles": sorted(who.roles),
            "credential": who.credential,
            "approves": who.decides,
        }

    @property
    def _sessions(self) -> Sessions:
        if self.access.sessions is None:
            raise NotFound("there are no sessions here")
        return self.access.sessions

    @property
    def _keys(self) -> Keys:
        if self.access.keys is None:
            raise NotFound("there are no tokens here")
        return self.access.keys

    async def _parent(self, who: Principal) -> TokenRow | None:
        """The token that somebody has come in with, by itself or by a session that began with it."""
        kind, _, name = who.credential.partition(", ")[0].partition(" ")
        return await self._keys.called(name) if kind == "token" else None

    async def _shown(self, row: TokenRow) -> Json:
        now = self.services.clock.now()
        person = row.kind == "person"
        counts = roles.meet(row.roles, await self.access.roles_of(row.owner)) if person else frozenset(row.roles)
        state = "revoked" if row.revoked else "expired" if now >= row.expires else "active" if counts else "powerless"
        return {
            "id": row.id,
            "label": row.label,
            "owner": row.owner,
            "kind": row.kind,
            "roles": list(row.roles),
            "counts": sorted(counts) if state == "active" else [],
            "state": state,
            "created": stamp(row.created),
            "expires": stamp(row.expires),
            "used": stamp(row.used),
            "revoked": stamp(row.revoked),
        }

    def _deed(self, who: Principal, action: str, subject: str, before: Any = None, after: Any = None) -> Deed:
        now = self.services.clock.now()
        return Deed(now, who.name, who.verified, action, subject, before, after, origin=who.place)


def _record(row: TokenRow) -> Json:
    """What the record says of a token."""
    known = {"label": row.label, "owner": row.owner, "kind": row.kind, "roles": list(row.roles)}
    return {**known, "expires": stamp(row.expires)}


def _session(row: SessionRow, who: Principal) -> Json:
    return {
        "id": row.id,
        "from": row.origin,
        "agent": row.agent,
        "began": row.stands_for.partition(" ")[0],
        "created": stamp(row.created),
        "seen": stamp(row.seen),
        "expires": stamp(row.expires),
        "this": f"session {row.id}" in who.credential,
    }
