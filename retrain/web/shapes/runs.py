"""Runs and CronWorkflows."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from retrain.web.shapes.common import Object, Page, Shape, When

Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Error"]


class Metadata(Shape):
    """Of a Workflow. `retrain.dev/` labels say where it came from."""

    name: str
    namespace: str
    uid: str
    creationTimestamp: When
    labels: dict[str, str]


class RunStatus(Shape):
    """Argo's status of a Workflow."""

    phase: Phase
    message: str = ""
    startedAt: When = ""
    finishedAt: When = ""
    progress: str = ""
    outputs: Any = None


class WorkflowStatus(RunStatus):
    """Argo's whole status."""

    nodes: Object = Field(default={}, description="Argo's NodeStatus by id")
    conditions: list[Object] = []
    resourcesDuration: dict[str, float] = {}


class Run(Shape):
    """A run: Argo's Workflow object without its nodes."""

    apiVersion: str
    kind: Literal["Workflow"]
    metadata: Metadata
    spec: Object
    status: RunStatus


class Workflow(Run):
    """A run: Argo's Workflow object with its whole status."""

    status: WorkflowStatus  # pyright: ignore[reportIncompatibleVariableOverride]


class RunPage(Page):
    """Runs, newest first unless sorted."""

    items: list[Run]
    searched: int | None = Field(default=None, description="How many were looked through, where that is bounded")


class Asked(Shape):
    """What was asked of a run."""

    name: str
    asked: str


class RunMade(Asked):
    """A run that was made of another, or of a CronWorkflow. `run`: its id; `of`: the name of that."""

    run: str
    of: str


class Skipped(Shape):
    """A time that became no run."""

    time: When | None
    reason: str


class Cron(Shape):
    """A CronWorkflow."""

    name: str
    namespace: str
    schedules: list[str]
    timezone: str | None
    concurrencyPolicy: str
    suspended: bool
    suspendedBy: str | None
    phase: Literal["Active", "Stopped"]
    next: When | None
    last: When | None
    active: list[str]
    succeeded: int
    failed: int
    message: str | None
    lastSkipped: Skipped | None


class CronPage(Page):
    """CronWorkflows by name."""

    items: list[Cron]


class CronRun(Shape):
    """A run that a CronWorkflow made."""

    name: str
    id: str
    phase: Phase | None
    created: When | None


class CronSeen(Cron):
    """A CronWorkflow with its newest runs."""

    runs: list[CronRun]
