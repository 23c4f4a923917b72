"""What the platform tells of a tracked firing: `firing.done`, `firing.failed`, `firing.redriven`.

Whoever counts what is on its way (a `concurrency` limit, a budget) lives on these. A firing whose act made a run that
is still to end says so: then the run's own end is what counts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from retrain.events import OWN_SOURCE, Event, JsonValue

Moment = Literal["done", "failed", "redriven"]


@dataclass(frozen=True, slots=True)
class Tale:
    """Which firing it is about, and how it stands. `times`: how many dead letters there are about it."""

    id: str
    sensor: str
    trigger: str
    key: str
    kind: str
    depth: int
    attempts: int
    result: JsonValue = None
    error: str | None = None
    times: int = 0


def announcement(tale: Tale, moment: Moment, now: datetime, open_runs: Collection[str] = ()) -> Event:
    """The event of one moment of a firing. Its id follows from the firing, so that telling it twice is telling it once.

    `open_runs`: runs that are still to end; the firing's own, if it has one, is named only if it is among them.
    """
    run = run_of(tale.result)
    # From the second death on it says which: attempts begin at one again when a firing is redriven.
    again = f".{tale.times}" if tale.times > 1 else ""
    data: dict[str, JsonValue] = {
        "firing": {"id": tale.id, "sensor": tale.sensor, "trigger": tale.trigger, "key": tale.key},
        "kind": tale.kind,
        "run": run if run in open_runs else None,
        "attempts": tale.attempts,
    }
    if moment == "done":
        data["result"] = tale.result
    if moment == "failed":
        data["error"] = tale.error
    return Event(
        id=f"{tale.id}.{moment}.{tale.attempts}{again}",
        source=OWN_SOURCE,
        subject=f"firing.{moment}",
        type=f"dev.retrain.firing.{moment}",
        time=now,
        datacontenttype="application/json",
        data=data,
        extensions={
            "retraincause": tale.id,
            "retraindepth": tale.depth + 1,
            "retrainsensor": tale.sensor,
            "retraintrigger": tale.trigger,
            "retrainfiring": tale.id,
        },
    )


def run_of(result: JsonValue) -> str | None:
    """The id of the run that an act has made, as its result says."""
    run = result.get("run") if isinstance(result, dict) else None
    return run if isinstance(run, str) else None
