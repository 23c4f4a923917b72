"""What would come back to a sensor from the outside: the ends of its firings and runs, as events. For cases and replay.

A firing that starts a workflow runs until somebody says that its run has ended; any other is over at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from pipelines.kubernetes.kinds import kind_of
from retrain.events import OWN_SOURCE, Event, JsonValue
from sensors.actions.render import Action
from sensors.core.addresses import FIRING, SENSOR, TRIGGER
from sensors.core.outcome import Fired

STARTS = frozenset({"submit", "submit-from", "resubmit", "retry", "create"})
"""Operations after which a workflow runs."""
KINDS = frozenset({"argoWorkflow", "k8s"})


def starts_run(action: Action) -> bool:
    """Whether a workflow runs once this has been carried out."""
    if action.get("kind") not in KINDS or action.get("operation") not in STARTS:
        return False
    return action.get("kind") != "k8s" or _is_followed(action)


def _is_followed(action: Action) -> bool:
    """Whether the object that it makes is a run: its end is known, or it says when it has come."""
    resource: Any = action.get("resource")
    if not isinstance(resource, Mapping) or action.get("track") is False:
        return False
    said = bool(action.get("successCondition") or action.get("failureCondition"))
    body = {"apiVersion": "argoproj.io/v1alpha1", **cast("Mapping[str, Any]", resource)}
    return said or kind_of(body) is not None


def run_id(firing: str) -> str:
    """The run that a firing starts."""
    return "r-" + firing.removeprefix("f-")


def done(sensor: str, fired: Fired, now: datetime) -> Event:
    """The firing has been carried out."""
    run = run_id(fired.id) if starts_run(fired.action) else None
    data: dict[str, JsonValue] = {
        "firing": {"id": fired.id, "sensor": sensor, "trigger": fired.trigger, "key": fired.key},
        "kind": fired.action.get("kind"),
        "run": run,
    }
    return _event("firing.done", f"{fired.id}.done.1", (sensor, fired.trigger, fired.id), now, data)


def ended(sensor: str, fired: Fired, now: datetime, phase: str, said: Mapping[str, JsonValue]) -> Event:
    """The run of a firing has ended. `said`: what else its event tells, such as `outputs` and `resources`."""
    moment = "succeeded" if phase == "Succeeded" else "failed"
    run = run_id(fired.id)
    data: dict[str, JsonValue] = {
        "run": {"id": run, "name": run, "workflow": "", "labels": {}},
        "phase": phase,
        "message": "",
        "outputs": {"parameters": {}},
        "arguments": {},
        **said,
    }
    return _event(f"run.{moment}", f"{run}.{moment}", (sensor, fired.trigger, fired.id), now, data)


def approval(sensor: str, trigger: str, firing: str, now: datetime, *, granted: bool) -> Event:
    """A person has decided about a firing that asks for it."""
    word = "granted" if granted else "rejected"
    return _event(f"approval.{word}", f"{firing}.{word}", (sensor, trigger, firing), now, {"firing": firing})


def _event(name: str, event_id: str, whose: tuple[str, str, str], now: datetime, data: JsonValue) -> Event:
    sensor, trigger, firing = whose
    extensions = {SENSOR: sensor, TRIGGER: trigger, FIRING: firing, "retraincause": firing, "retraindepth": 1}
    return Event(
        id=event_id,
        source=OWN_SOURCE,
        subject=name,
        type=f"dev.retrain.{name}",
        time=now,
        datacontenttype="application/json",
        data=data,
        extensions=extensions,
    )
