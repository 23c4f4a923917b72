"""The steps of a canary, as users write them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from pydantic import Field

from deploy.shape import Shape
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.duration import Duration


class Step(Shape):
    """How much of the traffic the new model gets, in percent, and for how long before the next step."""

    weight: int = Field(ge=1, le=100)
    for_: Duration = Field(default=timedelta(), alias="for")


def facts(canary: Sequence[Step], step: int) -> dict[str, JsonValue]:
    """What templates know as `step`. Where there is no canary, everything is one last step."""
    weight = canary[step].weight if step < len(canary) else 100
    return {"weight": weight, "number": step + 1, "last": is_last(canary, step)}


def is_last(canary: Sequence[Step], step: int) -> bool:
    """Whether nothing follows."""
    return step >= len(canary) - 1


def shown(canary: Sequence[Step], step: int) -> dict[str, JsonValue] | None:
    """A step as records have it; None where there is no canary."""
    if not canary:
        return None
    return {"number": step + 1, "of": len(canary), "weight": canary[min(step, len(canary) - 1)].weight}


def check(canary: Sequence[Step], here: tuple[str | int, ...]) -> Iterator[Problem]:
    """Weights that do not rise, or do not end with all of the traffic."""
    for index, (one, following) in enumerate(pairwise(canary), 1):
        if following.weight <= one.weight:
            message = f"{following.weight} comes after {one.weight}: the weights of a canary rise from step to step"
            yield Problem((*here, "canary", index, "weight"), "canary-falls", message)
    if canary and canary[-1].weight != 100:
        message = f"the last step has {canary[-1].weight}: a canary ends with weight: 100"
        yield Problem((*here, "canary", len(canary) - 1, "weight"), "canary-ends-early", message)
    if canary and canary[-1].for_:
        message = "the last step has no end of its own; `soak` says how long the model is there before it goes on"
        yield Problem((*here, "canary", len(canary) - 1, "for"), "canary-last-for", message)
