"""What the platform tells of a run: `run.started`, `run.succeeded`, `run.failed`, events that sensors may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipelines.engine import Decision
from pipelines.nodes import Phase, to_rfc3339
from retrain.events import Event
from retrain.store.runs import RunRow

SOURCE = "retrain"

Moment = Literal["started", "succeeded", "failed"]


def announcement(row: RunRow, decision: Decision, moment: Moment) -> Event:
    """The event of one moment of a run. Its id follows from the run, so that telling it twice is telling it once."""
    run = decision.run
    tale = _Tale(str(run.phase), run.message, decision.outputs, run.started_at, run.finished_at)
    return _event(row, moment, tale, run.plan.spec)


def failure(row: RunRow, message: str, phase: Phase, now: datetime) -> Event:
    """The `run.failed` of a run that the engine could not drive."""
    return _event(row, "failed", _Tale(str(phase), message, {}, row.started, now), row.manifest.get("spec") or {})


@dataclass(frozen=True, slots=True)
class _Tale:
    phase: str
    message: str
    outputs: Mapping[str, str]
    started: datetime | None
    finished: datetime | None


def _event(row: RunRow, moment: Moment, tale: _Tale, spec: Mapping[str, Any]) -> Event:
    return Event(
        id=f"{row.id}.{moment}",
        source=SOURCE,
        subject=f"run.{moment}",
        type=f"dev.retrain.run.{moment}",
        time=tale.started if moment == "started" else tale.finished,
        datacontenttype="application/json",
        data={
            "run": {"id": row.id, "name": row.name, "workflow": row.workflow, "labels": dict(row.labels)},
            "phase": tale.phase,
            "message": tale.message,
            "outputs": {"parameters": dict(tale.outputs)},
            "arguments": _arguments(spec),
            "startedAt": to_rfc3339(tale.started),
            "finishedAt": to_rfc3339(tale.finished),
        },
        extensions={"retraincause": row.id, "retraindepth": row.depth + 1},
    )


def moment_of(decision: Decision) -> Moment | None:
    """What there is to tell of a run that has ended; None before."""
    if not decision.run.ended:
        return None
    return "succeeded" if decision.phase is Phase.Succeeded else "failed"


def _arguments(spec: Mapping[str, Any]) -> dict[str, Any]:
    parameters = (spec.get("arguments") or {}).get("parameters") or ()
    return {one["name"]: one.get("value") for one in parameters if one.get("value") is not None}
