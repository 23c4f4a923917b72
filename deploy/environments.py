"""The environments of a Promotion in order, each with its terms: what must be so before a model goes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from deploy.edits.spec import Edit
from deploy.forges.spec import PullRequestSpec
from deploy.freeze import Freeze, is_endless
from deploy.gates import spec as gate_specs
from deploy.registry.spec import Mark
from deploy.rollout import spec as check_specs
from deploy.rollout.rules import OnFailure
from deploy.rollout.steps import Step
from deploy.shape import Shape
from retrain.manifests import Problem
from retrain.manifests.advice import nearest
from retrain.manifests.duration import Duration

NAME = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"
"""Names of promotions and environments: they are parts of paths and trailers, hence the narrow alphabet."""
ROLE = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"

EnvironmentName = Annotated[str, Field(pattern=NAME)]
RoleName = Annotated[str, Field(pattern=ROLE)]


class Approvals(Shape):
    """How many people must say yes. `notBy: author`: nobody approves what they have started or proposed themselves."""

    required: int = Field(default=1, ge=1, le=20)
    roles: tuple[RoleName, ...] = Field(default=("approver", "admin"), min_length=1)
    expires: Duration = timedelta(hours=24)
    notBy: Literal["author", "nobody"] = "author"


class Waivers(Shape):
    """Who may let a promotion go on although a gate said no, how long that holds, and which gates. Never an author."""

    roles: tuple[RoleName, ...] = Field(default=("admin",), min_length=1)
    expires: Duration = timedelta(hours=24)
    gates: tuple[str, ...] | None = Field(default=None, min_length=1)


class Limit(Shape):
    """At most so many promotions in so much time; more wait."""

    promotions: int = Field(default=1, ge=1, le=1000)
    per: Duration


class Terms(Shape):
    """What is changed in an environment, and under which conditions.

    `verify`: whether the cluster follows, asked for `verifyWithin` (15 minutes) after the commit.
    `pullRequest`: it is proposed on a forge, and not pushed. `canary`: the change comes in steps, each a commit of its
    own. `onFailure`: what is done where `verify` says no.
    """

    edits: tuple[Edit, ...] = Field(default=(), max_length=100)
    gates: tuple[gate_specs.Gate, ...] = ()
    approvals: Approvals | None = None
    freeze: tuple[Freeze, ...] = Field(default=(), max_length=100)
    limit: Limit | None = None
    verify: tuple[check_specs.Check, ...] = Field(default=(), max_length=50)
    verifyWithin: check_specs.Within | None = None
    pullRequest: PullRequestSpec | None = None
    canary: tuple[Step, ...] = Field(default=(), max_length=20)
    onFailure: OnFailure = "rollback"
    mark: Mark | None = None
    waivers: Waivers | None = None


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


After = Annotated[
    tuple[EnvironmentName, ...],
    BeforeValidator(_names),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": NAME},
                {"type": "array", "items": {"type": "string", "pattern": NAME}},
            ]
        }
    ),
]


class Environment(Terms):
    """One environment. `soak`: how long a model is there before it goes on. `after`: those it must have been through
    first; left out: the one written before."""

    name: EnvironmentName
    soak: Duration | None = None
    after: After | None = None


def order(environments: Sequence[Environment]) -> dict[str, tuple[str, ...]]:
    """Each environment's name, with those that come before it."""
    found: dict[str, tuple[str, ...]] = {}
    for index, one in enumerate(environments):
        usual = (environments[index - 1].name,) if index else ()
        found[one.name] = usual if one.after is None else one.after
    return found


def check(environments: Sequence[Environment]) -> Iterator[Problem]:
    """What pydantic cannot see: names that clash, environments that nothing leads to, freezes that never end."""
    seen: set[str] = set()
    names = [one.name for one in environments]
    for index, one in enumerate(environments):
        here = ("spec", "environments", index)
        if one.name in seen:
            yield Problem((*here, "name"), "duplicate-name", f"two environments are named {one.name!r}")
        seen.add(one.name)
        yield from _check_after(one, names, here)
        yield from check_freezes(one.freeze, here)
    before = order(environments)
    if len(seen) == len(names) and all(set(before[name]) <= seen - {name} for name in seen):
        yield from _check_order(environments)


def check_freezes(freezes: Sequence[Freeze], here: tuple[str | int, ...]) -> Iterator[Problem]:
    for index, one in enumerate(freezes):
        if is_endless(one):
            message = "its stretches follow each other without a gap: nothing would ever be promoted"
            yield Problem((*here, "freeze", index), "endless-freeze", message)


def _check_after(one: Environment, names: Sequence[str], here: tuple[str | int, ...]) -> Iterator[Problem]:
    for number, name in enumerate(one.after or ()):
        where = (*here, "after", number) if len(one.after or ()) > 1 else (*here, "after")
        if name == one.name:
            yield Problem(where, "environment-cycle", f"{name!r} cannot come after itself")
        elif name not in names:
            near = nearest(name, list(names))
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(names)}"
            yield Problem(where, "unknown-environment", f"no environment is named {name!r}; {hint}")


def _check_order(environments: Sequence[Environment]) -> Iterator[Problem]:
    before = order(environments)
    stuck = _in_a_circle(before)
    for index, one in enumerate(environments):
        where = ("spec", "environments", index, "after")
        if one.name in stuck:
            circle = ", ".join(sorted(stuck))
            yield Problem(where, "environment-cycle", f"{circle} wait for each other: a candidate could enter nowhere")
            return
    roots = [index for index, one in enumerate(environments) if not before[one.name]]
    for index in roots[1:]:
        first = environments[roots[0]].name
        message = f"candidates enter at {first!r}, and nothing leads here; name the environment that comes before"
        yield Problem(("spec", "environments", index, "after"), "unreachable-environment", message)


def _in_a_circle(before: Mapping[str, Sequence[str]]) -> set[str]:
    """The environments that can never be reached: those in a circle, and those behind it."""
    reached: set[str] = set()
    while ready := {name for name, names in before.items() if name not in reached and set(names) <= reached}:
        reached |= ready
    return set(before) - reached


def terms_of(environment: Environment) -> dict[str, Any]:
    """An environment's terms by field, as the short form has them."""
    return {name: getattr(environment, name) for name in Terms.model_fields}
