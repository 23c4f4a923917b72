"""What the platform tells of a run: `run.started`, `run.succeeded`, `run.failed`, events that sensors may depend on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipelines.core.engine import Decision
from pipelines.core.nodes import Phase, to_rfc3339
from pipelines.core.resources import used
from retrain.events import OWN_SOURCE, Event
from retrain.store.runs import RunRow

Moment = Literal["started", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class Cause:
    """The firing that asked for a run, and who fired."""

    firing: str
    sensor: str
    trigger: str


def announcement(row: RunRow, decision: Decision, moment: Moment, cause: Cause | None = None) -> Event:
    """The event of one moment of a run. Its id follows from the run, so that telling it twice is telling it once."""
    run = decision.run
    resources = {} if moment == "started" else used(run.nodes.values(), run.started_at)
    counts = {} if moment == "started" else dict(Counter(str(node.phase) for node in run.nodes.values()))
    tale = Tale(str(run.phase), run.message, decision.outputs, run.started_at, run.finished_at, resources, counts)
    return told(row, moment, tale, run.plan.spec, cause)


def failure(row: RunRow, message: str, phase: Phase, now: datetime, cause: Cause | None = None) -> Event:
    """The `run.failed` of a run that the engine could not drive."""
    tale = Tale(str(phase), message, {}, row.started, now, {}, {})
    return told(row, "failed", tale, row.manifest.get("spec") or {}, cause)


@dataclass(frozen=True, slots=True)
class Tale:
    """What there is to tell of a run at one moment, whoever works on it."""

    phase: str
    message: str
    outputs: Mapping[str, str]
    started: datetime | None
    finished: datetime | None
    resources: Mapping[str, float]
    nodes: Mapping[str, int]
    """How many nodes ended in each phase."""


def told(row: RunRow, moment: Moment, tale: Tale, spec: Mapping[str, Any], cause: Cause | None = None) -> Event:
    """The event of one moment of a run: the same id whenever it is told. `spec` is that of its Workflow."""
    # A run that was retried ends again, and that is another event.
    again = f".{row.retries}" if row.retries else ""
    return Event(
        id=f"{row.id}.{moment}{again}",
        source=OWN_SOURCE,
        subject=f"run.{moment}",
        type=f"dev.retrain.run.{moment}",
        time=tale.started if moment == "started" else tale.finished,
        datacontenttype="application/json",
        data={
            "run": {
                "id": row.id,
                "name": row.name,
                "namespace": row.namespace,
                "workflow": row.workflow,
                "labels": dict(row.labels),
            },
            "phase": tale.phase,
            "message": tale.message,
            "outputs": {"parameters": dict(tale.outputs)},
            "arguments": _arguments(spec),
            "startedAt": to_rfc3339(tale.started),
            "finishedAt": to_rfc3339(tale.finished),
            "resources": dict(tale.resources),
            "nodes": dict(tale.nodes),
        },
        extensions={"retraincause": row.id, "retraindepth": row.depth + 1, **_of(cause)},
    )


def _of(cause: Cause | None) -> dict[str, str]:
    """By what sensors find the runs of their own firings."""
    if cause is None:
        return {}
    return {"retrainsensor": cause.sensor, "retraintrigger": cause.trigger, "retrainfiring": cause.firing}


def moment_of(decision: Decision) -> Moment | None:
    """What there is to tell of a run that has ended; None before."""
    if not decision.run.ended:
        return None
    return "succeeded" if decision.phase is Phase.Succeeded else "failed"


def _arguments(spec: Mapping[str, Any]) -> dict[str, Any]:
    parameters = (spec.get("arguments") or {}).get("parameters") or ()
    return {one["name"]: one.get("value") for one in parameters if one.get("value") is not None}
