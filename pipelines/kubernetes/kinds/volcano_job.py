"""`Job` of Volcano (batch.volcano.sh/v1alpha1): a batch whose pods are scheduled together.

`Aborted` is no end: such a job waits to be resumed, as Volcano's own `vcctl job suspend` leaves it. It is told what to
do by `Command` objects.

Source: pkg/apis/batch/v1alpha1/job.go and pkg/apis/bus/v1alpha1 of volcano-sh/apis, 2026-06.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.kubernetes.kinds.asked import Amounts, of_pods, together, used
from pipelines.kubernetes.kinds.port import NOTHING, Change, Control, Kind, Object, Order, Phase, Reading
from pipelines.kubernetes.kinds.status import (
    SUSPENDED,
    Part,
    count,
    counted,
    items,
    mapping,
    metadata_of,
    phase_of_pods,
    spec_of,
    status_of,
    time_of,
    with_nodes,
    word,
)
from pipelines.kubernetes.kinds.steps import Steps, ended_at, joined, step_of

STATES: Steps = {
    "": ("Pending", ""),
    "Pending": ("Pending", ""),
    "Running": ("Running", ""),
    "Restarting": ("Running", "is tried again"),
    "Completing": ("Running", "completes"),
    "Aborting": ("Pending", SUSPENDED),
    "Aborted": ("Pending", SUSPENDED),
    "Terminating": ("Running", "terminates"),
    "Completed": ("Succeeded", ""),
    "Terminated": ("Failed", "terminated"),
    "Failed": ("Failed", ""),
}


def read(found: Object) -> Reading:
    """What a job of Volcano says, with its tasks as parts."""
    reading = _whole(found)
    asked = {name: used(amounts, reading) for name, amounts in _asked(found).items()}
    tasks = mapping(status_of(found).get("taskStatusCount"))
    parts = [Part(name, _task(body), used=asked.get(name, NOTHING)) for name, body in tasks.items()]
    return with_nodes(found, replace(reading, resources=together(asked.values())), parts)


def _asked(found: Object) -> dict[str, Amounts]:
    tasks = items(spec_of(found).get("tasks"))
    return {word(one.get("name")): of_pods(one.get("template"), count(one.get("replicas")) or 1) for one in tasks}


def _task(body: Any) -> Phase:
    pods = mapping(mapping(body).get("phase"))
    return phase_of_pods(count(pods.get("Running")), count(pods.get("Succeeded")), count(pods.get("Failed")))


def _whole(found: Object) -> Reading:
    status = status_of(found)
    state = mapping(status.get("state"))
    phase, message = step_of(STATES, word(state.get("phase")))
    why = joined(message, word(state.get("reason")), word(state.get("message")))
    finished = ended_at(phase, state.get("lastTransitionTime"))
    return Reading(phase, "" if phase == "Succeeded" else why, _began(status), finished, pods=_pods(status))


def _began(status: Mapping[str, Any]) -> Any:
    """When it first ran, as its conditions tell."""
    return next(
        (
            time_of(one.get("lastTransitionTime"))
            for one in items(status.get("conditions"))
            if one.get("status") == "Running"
        ),
        None,
    )


def _pods(status: Mapping[str, Any]) -> str:
    pending, running, terminating, unknown, succeeded, failed = (
        count(status.get(key)) for key in ("pending", "running", "terminating", "unknown", "succeeded", "failed")
    )
    return counted(pending + unknown, running + terminating, succeeded + failed)


def _command(action: str) -> Control:
    def control(found: Object) -> Change:
        metadata = metadata_of(found)
        target = {
            "apiVersion": "batch.volcano.sh/v1alpha1",
            "kind": "Job",
            "name": metadata.get("name"),
            "uid": metadata.get("uid"),
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return Order(
            {
                "apiVersion": "bus.volcano.sh/v1alpha1",
                "kind": "Command",
                "metadata": {
                    "generateName": f"{metadata.get('name')}-{action.lower()}-",
                    "namespace": metadata.get("namespace"),
                    "ownerReferences": [target],
                },
                "action": action,
                "target": target,
            }
        )

    return control


def pods_of(found: Object) -> str:
    return f"volcano.sh/job-name={metadata_of(found).get('name')}"


KIND = Kind(
    "batch.volcano.sh",
    "v1alpha1",
    "Job",
    "jobs",
    read,
    pods_of,
    {
        "stop": _command("TerminateJob"),
        "terminate": _command("TerminateJob"),
        "suspend": _command("AbortJob"),
        "resume": _command("ResumeJob"),
    },
)
