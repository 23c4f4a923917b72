"""What a run is made of: nodes, the tasks that an executor starts, and what it reports back.

Values only. `Node.to_argo()` is one entry of `status.nodes` of Argo's Workflow object, and `Node.from_argo()` reads it
back, so that what is saved of a run is what Argo's own tools understand.

Source: https://argo-workflows.readthedocs.io/en/latest/fields/#nodestatus
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

NodeType = Literal["Pod", "Steps", "StepGroup", "DAG", "TaskGroup", "Retry", "Skipped", "Suspend"]


class Phase(StrEnum):
    """Of a node. A workflow has the first, second, third, fifth or sixth of these, and "Error"."""

    Pending = "Pending"
    Running = "Running"
    Succeeded = "Succeeded"
    Skipped = "Skipped"
    Failed = "Failed"
    Error = "Error"
    Omitted = "Omitted"

    @property
    def fulfilled(self) -> bool:
        """Nothing more will happen to the node."""
        return self not in (Phase.Pending, Phase.Running)

    @property
    def completed(self) -> bool:
        """The node ran and ended; a node that was skipped or omitted never ran."""
        return self in (Phase.Succeeded, Phase.Failed, Phase.Error)

    @property
    def bad(self) -> bool:
        return self in (Phase.Failed, Phase.Error)


def _no_parameters() -> Mapping[str, str]:
    return {}


def _no_resources() -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a node gave: parameters, the tail of its stdout, its exit code (as text, as Argo has it)."""

    parameters: Mapping[str, str] = field(default_factory=_no_parameters)
    result: str | None = None
    exit_code: str | None = None

    def to_argo(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.parameters:
            out["parameters"] = [{"name": name, "value": value} for name, value in self.parameters.items()]
        if self.result is not None:
            out["result"] = self.result
        if self.exit_code is not None:
            out["exitCode"] = self.exit_code
        return out

    @classmethod
    def from_argo(cls, data: Mapping[str, Any] | None) -> Outputs:
        data = data or {}
        parameters = {p["name"]: str(p.get("value", "")) for p in data.get("parameters") or ()}
        return cls(parameters, data.get("result"), data.get("exitCode"))

    def __bool__(self) -> bool:
        return bool(self.parameters) or self.result is not None or self.exit_code is not None


NO_OUTPUTS = Outputs()


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of `status.nodes`. `children` are execution edges: who was created because this node was there."""

    id: str
    name: str
    display_name: str
    type: NodeType
    phase: Phase
    template_name: str = ""
    template_scope: str = ""
    template_ref: Mapping[str, Any] | None = None
    message: str = ""
    boundary_id: str = ""
    children: tuple[str, ...] = ()
    outbound_nodes: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=_no_parameters)
    outputs: Outputs = NO_OUTPUTS
    retried: bool = False
    hooked: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    resources: Mapping[str, float] = field(default_factory=_no_resources)
    """Of a step that has ended: resource -> seconds, see `pipelines.core.resources`."""

    def to_argo(self) -> dict[str, Any]:
        """Empty parts are left out, as Go's `omitempty` does."""
        flag = {key: True for key, on in (("hooked", self.hooked), ("retried", self.retried)) if on}
        inputs = {"parameters": [{"name": k, "value": v} for k, v in self.inputs.items()]} if self.inputs else {}
        parts: dict[str, Any] = {
            "displayName": self.display_name,
            "templateName": self.template_name,
            "templateScope": self.template_scope,
            "templateRef": dict(self.template_ref or {}),
            "boundaryID": self.boundary_id,
            "message": self.message,
            "startedAt": to_rfc3339(self.started_at),
            "finishedAt": to_rfc3339(self.finished_at),
            "inputs": inputs,
            "outputs": self.outputs.to_argo(),
            "children": list(self.children),
            "outboundNodes": list(self.outbound_nodes),
            "nodeFlag": flag,
            "resourcesDuration": dict(self.resources),
        }
        kept = {key: value for key, value in parts.items() if value}
        return {"id": self.id, "name": self.name, "type": self.type, "phase": str(self.phase), **kept}

    @classmethod
    def from_argo(cls, data: Mapping[str, Any]) -> Node:
        flag: Mapping[str, Any] = data.get("nodeFlag") or {}
        inputs: Mapping[str, Any] = data.get("inputs") or {}
        return cls(
            id=data["id"],
            name=data["name"],
            display_name=data.get("displayName", ""),
            type=data["type"],
            phase=Phase(data["phase"]),
            template_name=data.get("templateName", ""),
            template_scope=data.get("templateScope", ""),
            template_ref=data.get("templateRef"),
            message=data.get("message", ""),
            boundary_id=data.get("boundaryID", ""),
            children=tuple(data.get("children") or ()),
            outbound_nodes=tuple(data.get("outboundNodes") or ()),
            inputs={p["name"]: str(p.get("value", "")) for p in inputs.get("parameters") or ()},
            outputs=Outputs.from_argo(data.get("outputs")),
            retried=bool(flag.get("retried")),
            hooked=bool(flag.get("hooked")),
            started_at=from_rfc3339(data.get("startedAt")),
            finished_at=from_rfc3339(data.get("finishedAt")),
            resources=data.get("resourcesDuration") or {},
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One process to start. `template` is a container or script template with every variable filled in."""

    node_id: str
    node_name: str
    pod_name: str
    template: Mapping[str, Any]
    inputs: Mapping[str, str]
    deadline_s: float | None = None
    """Seconds from the start of the process until it is stopped and reported Failed; None is no limit."""


@dataclass(frozen=True, slots=True)
class Started:
    """The process of a node runs. Optional: a result without it is as good."""

    node_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended. `phase` is Succeeded, Failed (the program said no) or Error (it never came to speak, or what it
    should have left is missing). Outputs are kept even where the program failed."""

    node_id: str
    phase: Phase
    exit_code: int | None = None
    result: str | None = None
    parameters: Mapping[str, str] = field(default_factory=_no_parameters)
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: `Decision.wake_at` came."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A person asks the run to end: its tasks are stopped. "Stop" lets the exit handler run, "Terminate" does not."""

    strategy: Literal["Stop", "Terminate"] = "Stop"


@dataclass(frozen=True, slots=True)
class Suspend:
    """A person asks that nothing more is started. What runs goes on; what follows from its end waits."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The end of a suspension."""


Happening = TaskResult | Started | Tick | Stop | Suspend | Resume


def to_rfc3339(time: datetime | None) -> str | None:
    """Whole seconds and Z, as Kubernetes writes times."""
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_rfc3339(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
