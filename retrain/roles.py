"""Roles: `operator` everywhere, `operator@team-a` for what is in that namespace. Pure.

admin       all that the others may
operator    does things
approver    answers what waits for a person
viewer      looks; whoever has any role may
others      mean something to the approvals that ask for them, and let look
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

Right = Literal["viewer", "operator", "approver", "admin"]
RIGHTS: tuple[str, ...] = get_args(Right)
DEFAULT = "default"
"""The namespace of what names none."""

_WORD = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
ROLE = re.compile(rf"{_WORD}(?:@[a-z0-9](?:[-a-z0-9]{{0,61}}[a-z0-9])?)?")
"""How a role is written: its name, and perhaps `@` and a namespace."""


def split(role: str) -> tuple[str, str | None]:
    """A role's name and its namespace; None: everywhere."""
    name, at, namespace = role.partition("@")
    return name, namespace if at else None


def gives(role: str, right: Right, namespace: str | None) -> bool:
    """Whether one role gives a right over a thing of this namespace; None: over what has none."""
    name, where = split(role)
    return (where is None or where == namespace) and (name in {right, "admin"} or right == "viewer")


def may(roles: Iterable[str], right: Right, namespace: str | None = None) -> bool:
    """Whether one of the roles gives the right there."""
    return any(gives(role, right, namespace) for role in roles)


def at(roles: Iterable[str], namespace: str | None) -> frozenset[str]:
    """The roles that count for what is in this namespace, without its name."""
    return frozenset(name for name, where in map(split, roles) if where in {None, namespace})


def namespaces(roles: Iterable[str], right: Right) -> frozenset[str] | None:
    """The namespaces in which they have this right; None: everywhere."""
    given = [where for name, where in map(split, roles) if gives(name, right, None)]
    return None if None in given else frozenset(one for one in given if one is not None)


def meet(some: Iterable[str], others: Iterable[str]) -> frozenset[str]:
    """What both give: never more than either of them."""
    mine = list(others)
    found = {one for first in some for second in mine if (one := _both(first, second)) is not None}
    return frozenset(one for one in found if "@" not in one or split(one)[0] not in found)


def beyond(wanted: Iterable[str], own: Iterable[str]) -> list[str]:
    """Those of the wanted roles that give more than the roles that somebody has."""
    mine = list(own)
    return sorted(role for role in wanted if not any(_covers(one, role) for one in mine))


def _covers(one: str, other: str) -> bool:
    (name, where), (wanted, there) = split(one), split(other)
    # An admin is not whatever else an approval may ask for: such a role has to be one's own.
    fits = name == wanted or wanted == "viewer" or (name == "admin" and wanted in RIGHTS)
    return fits and where in {None, there}


def _both(one: str, other: str) -> str | None:
    (name, where), (second, there) = split(one), split(other)
    if where is not None and there is not None and where != there:
        return None
    narrow = where if where is not None else there
    role = _lesser(name, second)
    return role if narrow is None else f"{role}@{narrow}"


def _lesser(name: str, second: str) -> str:
    if name == second:
        return name
    if "admin" in {name, second}:
        other = second if name == "admin" else name
        return other if other in RIGHTS else "viewer"
    return "viewer"
