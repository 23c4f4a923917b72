"""Tokens, sessions, and who somebody is."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from retrain.app.access.token_rules import Wish
from retrain.web.shapes.common import Page, Shape, When


class TokenBody(BaseModel):
    """What a new token shall be. `days`: how long it lasts; `namespaces`: where its roles count, if not everywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    label: str = Field(min_length=1, max_length=100)
    roles: list[str] = Field(default=["viewer"], max_length=50)
    namespaces: list[str] = Field(default=[], max_length=50)
    days: int | None = Field(default=None, ge=1, le=3660)
    kind: Literal["person", "service"] = "person"

    def wish(self) -> Wish:
        return Wish(self.label, tuple(self.roles), tuple(self.namespaces), self.days, self.kind)


class Token(Shape):
    """A token, without itself. `counts`: the roles that count now."""

    id: str
    label: str
    owner: str
    kind: Literal["person", "service"]
    roles: list[str]
    counts: list[str]
    state: Literal["active", "expired", "revoked", "powerless"]
    created: When
    expires: When
    used: When | None
    revoked: When | None


class NewToken(Token):
    """A token with itself, this once."""

    token: str


class TokenPage(Page):
    """A page of tokens."""

    items: list[Token]


class TokenEnded(Shape):
    """A token that is revoked, with those that were made with it."""

    id: str
    revoked: list[str]


class Session(Shape):
    """A session of the page."""

    id: str
    origin: str = Field(alias="from")
    agent: str
    began: str
    created: When
    seen: When
    expires: When
    this: bool


class SessionPage(Page):
    """Somebody's sessions."""

    items: list[Session]


class SessionsEnded(Shape):
    """Sessions that are over now."""

    ended: list[str]


class Me(Shape):
    """Who somebody is here. `approves`: their word counts where a person's is asked for."""

    name: str
    verified: bool
    kind: Literal["person", "service", "shared", "local"]
    roles: list[str]
    credential: str
    approves: bool
