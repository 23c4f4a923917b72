"""`TrainJob` of Kubeflow Trainer (trainer.kubeflow.org/v1alpha1).

Its status has no start: it counts as begun when one of its jobs is active. The metrics that the trainer reports (a
feature gate of Trainer) become outputs.

Source: pkg/apis/trainer/v1alpha1/trainjob_types.go of kubeflow/trainer, 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.kubernetes.kinds.asked import Amounts, of_container, used
from pipelines.kubernetes.kinds.controls import by_removal, by_suspend
from pipelines.kubernetes.kinds.port import NOTHING, Kind, Object, Reading
from pipelines.kubernetes.kinds.status import (
    SUSPENDED,
    Part,
    count,
    holding,
    items,
    mapping,
    metadata_of,
    parameters,
    phase_of_pods,
    spec_of,
    status_of,
    time_of,
    with_nodes,
    word,
)

TRAINER = "node"
"""The job of a TrainJob that trains."""


def read(found: Object) -> Reading:
    """What a TrainJob says, with its jobs as parts."""
    reading = _whole(found)
    asked = used(_asked(found), reading)
    # All but the trainer's own resources stand in its runtime, which nobody reads here.
    parts = [_part(one, asked if one.get("name") == TRAINER else NOTHING) for one in _jobs(found)]
    return with_nodes(found, replace(reading, resources=asked), parts)


def _asked(found: Object) -> Amounts:
    trainer = mapping(spec_of(found).get("trainer"))
    return of_container(trainer.get("resourcesPerNode"), count(trainer.get("numNodes")) or 1)


def _whole(found: Object) -> Reading:
    holds, outputs = holding(found), _outputs(found)
    made = time_of(metadata_of(found).get("creationTimestamp"))
    if over := holds.get("Failed"):
        return Reading("Failed", over.text, made, over.at, outputs)
    if done := holds.get("Complete"):
        return Reading("Succeeded", "", made, done.at, outputs)
    if "Suspended" in holds or spec_of(found).get("suspend") is True:
        return Reading("Pending", SUSPENDED, outputs=outputs)
    begun = any(count(one.get(state)) for one in _jobs(found) for state in ("ready", "active", "succeeded", "failed"))
    return Reading("Running", _progress(found), made, outputs=outputs) if begun else Reading("Pending")


def _progress(found: Object) -> str:
    percent = mapping(status_of(found).get("trainerStatus")).get("progressPercentage")
    return f"{percent} % done" if isinstance(percent, int) else ""


def _outputs(found: Object) -> Any:
    metrics = items(mapping(status_of(found).get("trainerStatus")).get("metrics"))
    return parameters((word(one.get("name")), word(one.get("value"))) for one in metrics)


def _jobs(found: Object) -> list[Mapping[str, Any]]:
    return [one for one in items(status_of(found).get("jobsStatus")) if word(one.get("name"))]


def _part(job: Mapping[str, Any], asked: Amounts) -> Part:
    active, succeeded, failed = (count(job.get(state)) for state in ("active", "succeeded", "failed"))
    return Part(word(job.get("name")), phase_of_pods(active, succeeded, failed), used=asked)


def pods_of(found: Object) -> str:
    return f"jobset.sigs.k8s.io/jobset-name={metadata_of(found).get('name')}"


KIND = Kind(
    "trainer.kubeflow.org",
    "v1alpha1",
    "TrainJob",
    "trainjobs",
    read,
    pods_of,
    {**by_removal(), **by_suspend()},
)
