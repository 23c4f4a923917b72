"""Who does something: a person by name, what they may do, and how it is known that it is them."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

from retrain import roles as role
from retrain.roles import RIGHTS, Right

__all__ = ["ACTOR", "RIGHTS", "SPEAKING", "Kind", "Principal", "Right", "nobody_known"]

ACTOR = "retrainactor"
"""The attribute of an event that names who has sent it, by their token."""

Kind = Literal["person", "service", "shared", "local"]
"""`person`: by a token or a login of their own. `service`: a program with a token of its own. `shared`: whoever holds
the one token where people have their own. `local`: whoever there is where nobody is told apart."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody. `name` is "" where nobody has said who it is; `verified`: a token of their own said so.

    `roles` are such as `operator`, or `operator@team-a` for that namespace only. `origin` is the network address they
    speak from, `credential` what let them in (`token t-12ab`, `session s-34cd`), and "" for what the settings name.
    """

    name: str
    roles: frozenset[str]
    verified: bool = False
    origin: str = ""
    kind: Kind = "person"
    credential: str = ""

    def may(self, right: Right, namespace: str | None = None) -> bool:
        """Whether they have this right over what is in the namespace; without one, over what is in none.

        Whoever has any role may look; admin may all.
        """
        return role.may(self.roles, right, namespace)

    def at(self, namespace: str | None) -> Principal:
        """The same person with the roles that count in this namespace, as roles that count everywhere."""
        return replace(self, roles=role.at(self.roles, namespace))

    @property
    def narrow(self) -> bool:
        """Whether one of their roles is for a namespace only."""
        return any("@" in one for one in self.roles)

    @property
    def sees(self) -> frozenset[str] | None:
        """The namespaces they may look into; None: everything."""
        return role.namespaces(self.roles, "viewer")

    @property
    def decides(self) -> bool:
        """Whether their word counts where a person's is asked for: an approval is nobody's whom several may be."""
        return self.kind in {"person", "local"}

    @property
    def place(self) -> str:
        """Where they speak from, for the record."""
        return f"{self.origin} ({self.credential})" if self.credential else self.origin


def nobody_known(name: str = "", origin: str = "") -> Principal:
    """Whoever sits at this machine, or holds the one token: may do everything, and is who they say they are."""
    return Principal(name, frozenset(RIGHTS), verified=False, origin=origin, kind="local")


SPEAKING: ContextVar[Principal | None] = ContextVar("speaking", default=None)
"""Whom the door has let in with the request that is being answered; None: it is the platform's own doing."""
