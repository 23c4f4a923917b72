"""Tokens that people make: what is known of each but the token itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update

from retrain.store.rows import Page, page
from retrain.store.tables import tokens

TokenKind = Literal["person", "service"]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token. `roles` are its scopes; `used` is known to the minute; `parent` is the token that has made it."""

    id: str
    digest: str
    label: str
    owner: str
    kind: TokenKind
    roles: tuple[str, ...]
    created: datetime
    expires: datetime
    used: datetime | None = None
    revoked: datetime | None = None
    parent: str | None = None

    def good(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked is None and now < self.expires


def add(connection: Connection, row: TokenRow) -> None:
    """Keep a new one."""
    values = {name: getattr(row, name) for name in TokenRow.__dataclass_fields__}
    connection.execute(insert(tokens).values({**values, "roles": list(row.roles)}))


def by_digest(connection: Connection, digest: str) -> TokenRow | None:
    """The token with this digest, whether it is still good or not."""
    row = connection.execute(select(tokens).where(tokens.c.digest == digest)).first()
    return _row(row) if row else None


def get(connection: Connection, token_id: str) -> TokenRow | None:
    """One by its id."""
    row = connection.execute(select(tokens).where(tokens.c.id == token_id)).first()
    return _row(row) if row else None


def revoke(connection: Connection, token_id: str, now: datetime) -> list[TokenRow]:
    """End a token and those that were made with it; all that were good until now."""
    found: list[TokenRow] = []
    waiting = [token_id]
    while waiting:
        query = select(tokens).where(or_(tokens.c.id.in_(waiting), tokens.c.parent.in_(waiting)))
        rows = [_row(one) for one in connection.execute(query)]
        known = {one.id for one in found}
        new = [one for one in rows if one.id not in known]
        found += new
        waiting = [one.id for one in new if one.id not in waiting]
    good = [one for one in found if one.good(now)]
    ids = [one.id for one in good]
    connection.execute(update(tokens).where(tokens.c.id.in_(ids), tokens.c.revoked.is_(None)).values(revoked=now))
    return good


def touch(connection: Connection, token_id: str, now: datetime) -> None:
    """It was used."""
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(used=now))


def listing(
    connection: Connection, *, owner: str | None = None, cursor: str | None = None, limit: int = 50
) -> Page[TokenRow]:
    """Tokens, newest first; only one person's where `owner` is given."""
    query = select(tokens)
    if owner is not None:
        query = query.where(tokens.c.owner == owner, tokens.c.kind == "person")
    rows, following = page(connection, query, (tokens.c.created, tokens.c.id), cursor, limit)
    return Page([_row(row) for row in rows], following)


def good_of(connection: Connection, owner: str, now: datetime) -> int:
    """How many tokens of somebody open something."""
    fits = and_(tokens.c.owner == owner, tokens.c.revoked.is_(None), tokens.c.expires > now)
    return len(connection.execute(select(tokens.c.id).where(fits)).all())


def forget(connection: Connection, before: datetime) -> int:
    """Drop those that ended before; how many."""
    return connection.execute(delete(tokens).where(tokens.c.expires < before)).rowcount


def _row(row: Row[Any]) -> TokenRow:
    values: dict[str, Any] = {name: getattr(row, name) for name in TokenRow.__dataclass_fields__}
    values["roles"] = tuple(values["roles"])
    return TokenRow(**values)
