"""What crosses between the engine and those who act for it: what it asks for, and what happened.

Values only. Everything may be asked for and reported twice: what has been done already changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipelines.core.nodes import NO_INPUTS, NO_OUTPUTS, Artifact, Inputs, Outputs, Phase

TaskKind = Literal["pod", "http", "data", "resource"]


def _nothing() -> Mapping[str, str]:
    return {}


def _no_usage() -> Mapping[str, float]:
    return {}


# --- what is asked for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """One leaf to do. `template` has every variable filled in; `inputs.artifacts` say where they lie and their `path`.

    A pod is a `container`, `script` or `containerSet` template, with its `initContainers`, `sidecars` and `volumes`.
    A daemon reports `Ready` and then runs until it is stopped.
    """

    node_id: str
    node_name: str
    pod_name: str
    template: Mapping[str, Any]
    inputs: Inputs = NO_INPUTS
    deadline_s: float | None = None
    """Seconds from the start of the process until it is stopped and reported Failed; None is no limit."""
    kind: TaskKind = "pod"


@dataclass(frozen=True, slots=True)
class Lock:
    """A mutex (`limit` 1) or a semaphore. `name` is Argo's: `ns/Mutex/deploy`, `ns/ConfigMap/limits/gpu`."""

    name: str
    limit: int = 1


@dataclass(frozen=True, slots=True)
class LockWish:
    """All of `locks` or none, for a node (`holder` is its id) or for the whole run (`holder` is empty).

    Who waits is served by priority, highest first, then by `created`, the workflow's; with the same, first come first.
    """

    holder: str
    locks: tuple[Lock, ...]
    priority: int
    created: datetime


@dataclass(frozen=True, slots=True)
class MemoWish:
    """A node asks whether its outputs are known. `max_age_s` None: however old."""

    node_id: str
    cache: str
    key: str
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Memo:
    """Outputs to remember under a key of a cache; the newest wins."""

    cache: str
    key: str
    node_id: str
    outputs: Mapping[str, Any]
    """Argo's `outputs` of a node."""


# --- what happened --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The process of a node runs. Optional: a result without it is as good."""

    node_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ready:
    """A daemon can be used, at this address."""

    node_id: str
    ip: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """A step says how far it is: `N/M`."""

    node_id: str
    progress: str


@dataclass(frozen=True, slots=True)
class ContainerNews:
    """A container of a containerSet has started (Running) or ended. Its node is `<node name>.<container>`."""

    node_id: str
    container: str
    phase: Phase
    exit_code: int | None = None
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended. `phase` is Succeeded, Failed (the program said no) or Error (it never came to speak, or what it
    should have left is missing). Outputs are kept even where the program failed."""

    node_id: str
    phase: Phase
    exit_code: int | None = None
    result: str | None = None
    parameters: Mapping[str, str | None] = field(default_factory=_nothing)
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    artifacts: tuple[Artifact, ...] = ()
    """The declared output artifacts that were found, each with where it lies now."""
    usage: Mapping[str, float] = field(default_factory=_no_usage)
    """Measured: `cpu` in seconds of processor time, `memory` as the peak in bytes."""


@dataclass(frozen=True, slots=True)
class LockNews:
    """What became of a LockWish: all granted, or one is not free. `status` is Argo's `x/y` of the first that is not."""

    holder: str
    granted: bool
    waiting_for: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class MemoNews:
    """The answer to a MemoWish: the remembered outputs, None if there are none."""

    node_id: str
    outputs: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: `Decision.wake_at` came."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A person asks the run to end: its tasks are stopped. "Stop" lets the exit handler run, "Terminate" does not.

    With a `selector` (Argo's node field selector) only the suspended nodes that it matches fail, with this message.
    """

    strategy: Literal["Stop", "Terminate"] = "Stop"
    message: str = ""
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Suspend:
    """A person asks that nothing more is started. What runs goes on; what follows from its end waits."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The end of a suspension, and of every suspend node that the selector matches (all of them, for none).

    `by` is who said so, for the node's message.
    """

    selector: str = ""
    message: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class SetNodes:
    """A person sets what the suspend nodes that the selector matches shall be: phase, message, `supplied` outputs."""

    selector: str
    phase: Phase | None = None
    message: str = ""
    outputs: Outputs = NO_OUTPUTS


Happening = (
    TaskResult | Started | Ready | Progressed | ContainerNews | LockNews | MemoNews
    | Tick | Stop | Suspend | Resume | SetNodes
)  # fmt: skip
