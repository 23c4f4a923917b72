"""Who does something: a person by name, what they may do, and how it is known that it is them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Right = Literal["viewer", "operator", "approver", "admin"]
"""What the API knows: `viewer` looks, `operator` does, `approver` approves and rejects promotions, `admin` all of it.
Other roles mean something to the approvals that ask for them."""

RIGHTS: tuple[str, ...] = get_args(Right)


ACTOR = "retrainactor"
"""The attribute of an event that names who has sent it, by their token."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody. `name` is "" where nobody has said who it is; `verified`: a token of their own said so.

    `origin` is the network address they speak from.
    """

    name: str
    roles: frozenset[str]
    verified: bool = False
    origin: str = ""

    def may(self, right: Right) -> bool:
        """Whether they have this right, or are admin. Whoever has any role may look."""
        return right in self.roles or "admin" in self.roles or (right == "viewer" and bool(self.roles))


def nobody_known(name: str = "", origin: str = "") -> Principal:
    """Whoever sits at this machine, or holds the one token: may do everything, and is who they say they are."""
    return Principal(name, frozenset(RIGHTS), verified=False, origin=origin)
