"""Who may make which token: none that can do more than they, or lasts longer than what they came in with. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from retrain import roles as role
from retrain.errors import ConfigError, Forbidden
from retrain.identity import Principal
from retrain.store.tokens import TokenKind, TokenRow

SERVICE_ROLES = frozenset({"viewer", "operator"})
"""What a program may be: it looks and does, and approves nothing."""
MOST = 100
"""Tokens of one owner that are good at the same time."""
_LABEL = re.compile(r"[^\x00-\x1f\x7f-\x9f<>\u202a-\u202e\u2066-\u2069]{1,100}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants. `namespaces`: where roles that name none count; `days`: None for as long as is usual."""

    label: str
    roles: tuple[str, ...] = ("viewer",)
    namespaces: tuple[str, ...] = ()
    days: int | None = None
    kind: TokenKind = "person"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all: `days` for which a token lasts that says nothing else, and `most` for any."""

    days: int = 90
    most: int = 365


def draw_up(wish: Wish, who: Principal, parent: TokenRow | None, now: datetime, terms: Terms, digest: str) -> TokenRow:
    """The token that somebody gets. `parent`: the token that they have come in with.

    Raises:
        ConfigError: the wish cannot be read.
        Forbidden: they may not have it.
    """
    label, wanted = wish.label.strip(), scopes(wish)
    if _LABEL.fullmatch(label) is None:
        raise ConfigError("label: say in up to 100 letters what the token is for, without < and >")
    if who.kind == "service":
        raise Forbidden("a service makes no tokens; a person does")
    (_for_service if wish.kind == "service" else _for_person)(who, wanted)
    return TokenRow(
        id=f"t-{secrets.token_hex(6)}",
        digest=digest,
        label=label,
        owner=who.name,
        kind=wish.kind,
        roles=wanted,
        created=now,
        expires=_end(wish, parent, now, terms),
        parent=parent.id if parent is not None and wish.kind == "person" else None,
    )


def scopes(wish: Wish) -> tuple[str, ...]:
    """The roles of a wish, with its namespaces.

    Raises:
        ConfigError: one is none.
    """
    if not wish.roles:
        raise ConfigError("roles: name one at least, such as viewer")
    spread = [f"{one}@{space}" for one in wish.roles if "@" not in one for space in wish.namespaces]
    found = [one for one in wish.roles if "@" in one or not wish.namespaces] + spread
    for one in found:
        if role.ROLE.fullmatch(one) is None:
            raise ConfigError(f"roles: {one[:100]!r} is no role; write viewer, operator, ... or ROLE@NAMESPACE")
    return tuple(dict.fromkeys(found))


def may_end(who: Principal, row: TokenRow) -> bool:
    """Whether they may revoke a token: its owner, itself, an admin."""
    own = row.kind == "person" and who.kind == "person" and who.verified and who.name == row.owner
    return own or f"token {row.id}" in who.credential.split(", ") or who.may("admin")


def _for_person(who: Principal, wanted: Iterable[str]) -> None:
    if who.kind != "person" or not who.verified:
        raise Forbidden(
            "a token belongs to a person, and nothing says who this is: come in with a token or a login of your own; "
            "for a program make one of the kind service"
        )
    if over := role.beyond(wanted, who.roles):
        raise Forbidden(f"a token of {who.name} cannot have {', '.join(over)}: {who.name} has {_list(who.roles)}")


def _for_service(who: Principal, wanted: tuple[str, ...]) -> None:
    if strange := sorted(one for one in wanted if role.split(one)[0] not in SERVICE_ROLES):
        may = f"it may be {_list(SERVICE_ROLES)}; approvals need a person"
        raise Forbidden(f"a service cannot have {', '.join(strange)}: {may}")
    admin = [one for one in who.roles if role.split(one)[0] == "admin"]
    if not admin or role.beyond(wanted, admin):
        raise Forbidden(f"a token of the kind service needs the role admin where it counts; this is {_list(who.roles)}")


def _end(wish: Wish, parent: TokenRow | None, now: datetime, terms: Terms) -> datetime:
    days = wish.days if wish.days is not None else terms.days
    if not 1 <= days <= terms.most:
        raise ConfigError(f"days: from 1 to {terms.most} (access.token_most_days), not {days}")
    end = now + timedelta(days=days)
    if parent is None or end <= parent.expires:
        return end
    if wish.days is None:
        return parent.expires
    until = parent.expires.strftime("%Y-%m-%d %H:%M")
    raise Forbidden(f"a token makes none that lasts longer than itself: this one ends {until} UTC")


def _list(roles: Iterable[str]) -> str:
    return ", ".join(sorted(roles)) or "no role"
