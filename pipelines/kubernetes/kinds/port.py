"""What every kind of object that is followed as a run has: what its status says, and what may be asked of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from retrain.events import JsonValue

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Error"]
ENDED: frozenset[Phase] = frozenset(("Succeeded", "Failed", "Error"))
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reading:
    """What an object says of itself, in Argo's words.

    `outputs`: as Argo has them, `{"parameters": [{"name", "value"}], ...}`; None without any.
    `nodes`: node id -> Argo's node object, each with its `children` where it has some; None where the status says
    nothing about them (what is known of them stays).
    `pods`: how many are pending, running and completed, as `1/2/3`; empty where it does not say.
    `resources`: Argo's `resourcesDuration`: name of a resource -> seconds of its base amount.
    """

    phase: Phase
    message: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    outputs: JsonValue = None
    nodes: Mapping[str, Mapping[str, Any]] | None = None
    pods: str = ""
    resources: Mapping[str, float] = field(default_factory=lambda: NOTHING)

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.phase in ENDED


Object = Mapping[str, Any]
Read = Callable[[Object], Reading]
Verb = Literal["stop", "terminate", "suspend", "resume"]


@dataclass(frozen=True, slots=True)
class Merge:
    """Change the object by a JSON merge patch."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the object, and what it owns with it."""


@dataclass(frozen=True, slots=True)
class Order:
    """Create another object, by which the kind's controller is told."""

    body: Mapping[str, Any]


Change = Merge | Remove | Order
Control = Callable[[Object], Change]


def no_pods(_found: Object) -> str:
    """Nothing is known of the object's pods."""
    return ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is followed. `version` and `plural` are those that its reader was written for; where the objects of
    a row are, discovery says (`Cluster.resource`).

    `pods`: the label selector of an object's pods. `controls`: how each verb is done to an object; what is missing the
    kind cannot do. Deleting is always possible.
    """

    group: str
    version: str
    kind: str
    plural: str
    read: Read
    pods: Callable[[Object], str] = no_pods
    controls: Mapping[Verb, Control] = field(default_factory=dict[Verb, Control])

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version
