"""What every kind of check has: what users write, what it is asked about, and what it finds.

A kind is a module (or any object) with `Spec`, a pydantic model with `name` and `kind`, `async ask(spec, subject,
memory, tools)`, which asks the world and gives JSON, and `judge(spec, subject, answer, memory, now)`, which is pure.
Kinds that say whether the cluster follows the commit have `FOLLOWS = True`: the others begin when those have passed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field

from deploy.rollout.tools import SecretKey, Tools
from deploy.rollout.verdict import Said
from deploy.shape import Shape
from retrain.errors import ConfigError, NotFound, Refused
from retrain.events import JsonValue
from retrain.manifests.duration import Duration, spell

Memory = Mapping[str, JsonValue]
"""What a check remembers from one look to the next, and over restarts."""

_CANDIDATE = re.compile(r"\{\{\s*candidate\.")
SHORTEST, RAREST = timedelta(milliseconds=100), timedelta(hours=1)
Every = Annotated[Duration, Field(ge=SHORTEST, le=RAREST)]
SKEW = timedelta(seconds=5)
"""What clocks of other machines may be behind, and what a fast agent may be ahead of our own note of the push."""


class CheckSpec(Shape):
    """What users write of every check. `every`: the pause between two looks."""

    name: str = Field(min_length=1, max_length=63)
    kind: Any
    every: Every = timedelta(seconds=5)


class ObjectSpec(CheckSpec):
    """A check of a Kubernetes object. `kubeconfig`: a Secret's key that holds one; left out: the platform's own.

    `for`: how long it must stay good without a break. `degradedFor`: how long it must be bad before that counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kubeconfig: SecretKey | None = None
    for_: Duration | None = Field(default=None, alias="for")
    degradedFor: Duration = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Subject:
    """The commit that is verified. `since`: when it was in the branch.

    `values`: the texts that it wrote into manifests. `facts`: what templates know, as those of edits do. `nobody`: it
    is a rollback to what was there before the first promotion, and there is no candidate to ask for.
    """

    promotion: str
    name: str
    environment: str
    action: str
    commit: str
    since: datetime
    values: tuple[str, ...] = ()
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    nobody: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at a check came to. `over`: no further look changes it."""

    verdict: Said
    reason: str
    figures: Mapping[str, JsonValue] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)
    over: bool = False


class Kind(Protocol):
    """One kind of check."""

    @property
    def Spec(self) -> type[BaseModel]: ...

    @property
    def ask(self) -> Any:
        """`async ask(spec, subject, memory, tools) -> JsonValue`."""
        ...

    @property
    def judge(self) -> Any:
        """`judge(spec, subject, answer, memory, now) -> Finding`. Pure; raises nothing."""
        ...


def names_candidate(template: str) -> bool:
    """Whether templates in a text name the candidate."""
    return _CANDIDATE.search(template) is not None


def steady(spec: ObjectSpec, found: Finding, memory: Memory, now: datetime) -> Finding:
    """The finding with time taken into account: what is bad must be so for `degradedFor`, what is good for `for`.

    Remembers since when in `bad` and `good`. A `pending` in between ends neither the one nor the other unless the
    finding's memory says so (`{"bad": None}`).
    """
    kept: dict[str, JsonValue] = {**memory, **found.memory}
    if found.verdict == "fail" and not found.over:
        return _lasting(replace(found, memory=kept | {"good": None}), "bad", spec.degradedFor, now)
    if found.verdict == "pass":
        kept["bad"] = None
        if spec.for_ is None:
            return replace(found, memory=kept)
        return _lasting(replace(found, memory=kept), "good", spec.for_, now)
    return replace(found, memory=kept | {"good": None})


def _lasting(found: Finding, which: str, length: timedelta, now: datetime) -> Finding:
    since = moment(found.memory.get(which)) or now
    kept = {**found.memory, which: since.isoformat()}
    if now - since >= length:
        return replace(found, memory=kept)
    reason = f"{found.reason}; it must be so for {spell(length)}"
    return replace(found, verdict="pending", reason=reason, memory=kept)


def moment(value: object) -> datetime | None:
    """A time as JSON has it; None where it is none."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def part(value: object, *names: str) -> Mapping[str, Any]:
    """The object at a path of names; empty where there is none."""
    for name in names:
        value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, Mapping) else None
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def text(value: object, name: str) -> str:
    """A member of an object that is a text; "" where it is none."""
    found = part(value).get(name)
    return found if isinstance(found, str) else ""


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [part(one) for one in cast("list[object]", value)] if isinstance(value, list) else []


def words(value: object, most: int = 300) -> str:
    """What another program says, on one line."""
    return " ".join(str(value or "").split())[:most]


async def poke(tools: Tools, kubeconfig: SecretKey | None, path: str, annotation: Mapping[str, str]) -> JsonValue:
    """Ask an agent by an annotation to look now; None if it was told, else why not: it comes by itself, later.

    Raises:
        Transient: the server is away.
    """
    cluster = await tools.cluster(kubeconfig)
    try:
        await cluster.patch(path, {"metadata": {"annotations": dict(annotation)}}, "merge")
    except (ConfigError, Refused, NotFound) as error:
        return words(error)
    return None
