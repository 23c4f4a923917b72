"""What a run is made of: nodes, with what went in and what came out.

Values only. `Node.to_argo()` is one entry of `status.nodes` of Argo's Workflow object, and `Node.from_argo()` reads it
back, so that what is saved of a run is what Argo's own tools understand.

Source: https://argo-workflows.readthedocs.io/en/latest/fields/#nodestatus
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

NodeType = Literal[
    "Pod", "Container", "Steps", "StepGroup", "DAG", "TaskGroup", "Retry", "Skipped", "Suspend", "HTTP", "Plugin"
]

Artifact = Mapping[str, Any]
"""Argo's Artifact as JSON: `name`, `path`, where it lies (`s3`, `raw`, `http`, ...), `archive`, `mode`, ... A bare
`s3: {key}` lies in the default repository."""


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
class Inputs:
    """What went into a node: parameters by name, and artifacts as they lie."""

    parameters: Mapping[str, str] = field(default_factory=_no_parameters)
    artifacts: tuple[Artifact, ...] = ()

    def to_argo(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.parameters:
            out["parameters"] = [{"name": name, "value": value} for name, value in self.parameters.items()]
        if self.artifacts:
            out["artifacts"] = [dict(artifact) for artifact in self.artifacts]
        return out

    @classmethod
    def from_argo(cls, data: Mapping[str, Any] | None) -> Inputs:
        data = data or {}
        parameters = {p["name"]: str(p.get("value", "")) for p in data.get("parameters") or ()}
        return cls(parameters, tuple(data.get("artifacts") or ()))

    def __bool__(self) -> bool:
        return bool(self.parameters) or bool(self.artifacts)


NO_INPUTS = Inputs()


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a node gave: parameters, artifacts as they lie, the tail of its stdout, its exit code (text, as in Argo).

    A parameter that is None is declared and has no value: the step failed before it wrote it.
    """

    parameters: Mapping[str, str | None] = field(default_factory=_no_parameters)
    result: str | None = None
    exit_code: str | None = None
    artifacts: tuple[Artifact, ...] = ()

    def to_argo(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if self.parameters:
            out["parameters"] = [
                {"name": name} if value is None else {"name": name, "value": value}
                for name, value in self.parameters.items()
            ]
        if self.artifacts:
            out["artifacts"] = [dict(artifact) for artifact in self.artifacts]
        if self.result is not None:
            out["result"] = self.result
        if self.exit_code is not None:
            out["exitCode"] = self.exit_code
        return out

    @classmethod
    def from_argo(cls, data: Mapping[str, Any] | None) -> Outputs:
        data = data or {}
        parameters = {
            p["name"]: None if p.get("value") is None else str(p["value"]) for p in data.get("parameters") or ()
        }
        return cls(parameters, data.get("result"), data.get("exitCode"), tuple(data.get("artifacts") or ()))

    def __bool__(self) -> bool:
        return bool(self.parameters or self.artifacts) or self.result is not None or self.exit_code is not None


NO_OUTPUTS = Outputs()


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of `status.nodes`. Its `children` (who was created because this node was there) live in the run."""

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
    outbound_nodes: tuple[str, ...] = ()
    inputs: Inputs = NO_INPUTS
    outputs: Outputs = NO_OUTPUTS
    retried: bool = False
    hooked: bool = False
    daemoned: bool = False
    """A daemon that is ready: those who wait for it go on, though it runs."""
    pod_ip: str = ""
    progress: str = ""
    """`N/M`, as the step itself says."""
    memoized: Mapping[str, Any] | None = None
    """Argo's `memoizationStatus`: `hit`, `key`, `cacheName`."""
    locks: Mapping[str, Any] | None = None
    """Argo's `synchronizationStatus`."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    resources: Mapping[str, float] = field(default_factory=_no_resources)
    """Of a step that has ended: resource -> seconds, see `pipelines.core.resources`."""
    usage: Mapping[str, float] = field(default_factory=_no_resources)
    """Measured of a step that has ended: `cpu` in seconds of processor time, `memory` as the peak in bytes."""

    def to_argo(self, children: Sequence[str] = ()) -> dict[str, Any]:
        """With the ids of its `children` in order. Empty parts are left out, as Go's `omitempty` does."""
        flag = {key: True for key, on in (("hooked", self.hooked), ("retried", self.retried)) if on}
        parts: dict[str, Any] = {
            "displayName": self.display_name,
            "templateName": self.template_name,
            "templateScope": self.template_scope,
            "templateRef": dict(self.template_ref or {}),
            "boundaryID": self.boundary_id,
            "message": self.message,
            "startedAt": to_rfc3339(self.started_at),
            "finishedAt": to_rfc3339(self.finished_at),
            "inputs": self.inputs.to_argo(),
            "outputs": self.outputs.to_argo(),
            "children": list(children),
            "outboundNodes": list(self.outbound_nodes),
            "nodeFlag": flag,
            "resourcesDuration": dict(self.resources),
            "usage": dict(self.usage),
            "daemoned": self.daemoned,
            "podIP": self.pod_ip,
            "progress": self.progress,
            "memoizationStatus": dict(self.memoized or {}),
            "synchronizationStatus": dict(self.locks or {}),
        }
        kept = {key: value for key, value in parts.items() if value}
        return {"id": self.id, "name": self.name, "type": self.type, "phase": str(self.phase), **kept}

    @classmethod
    def from_argo(cls, data: Mapping[str, Any]) -> Node:
        flag: Mapping[str, Any] = data.get("nodeFlag") or {}
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
            outbound_nodes=tuple(data.get("outboundNodes") or ()),
            inputs=Inputs.from_argo(data.get("inputs")),
            outputs=Outputs.from_argo(data.get("outputs")),
            retried=bool(flag.get("retried")),
            hooked=bool(flag.get("hooked")),
            started_at=from_rfc3339(data.get("startedAt")),
            finished_at=from_rfc3339(data.get("finishedAt")),
            resources=data.get("resourcesDuration") or {},
            usage=data.get("usage") or {},
            daemoned=bool(data.get("daemoned")),
            pod_ip=data.get("podIP", ""),
            progress=data.get("progress", ""),
            memoized=data.get("memoizationStatus"),
            locks=data.get("synchronizationStatus"),
        )


def to_rfc3339(time: datetime | None) -> str | None:
    """Whole seconds and Z, as Kubernetes writes times."""
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_rfc3339(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
