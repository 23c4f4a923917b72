"""`RayJob` of KubeRay (ray.io/v1).

`jobDeploymentStatus` tells how far the operator is, `jobStatus` what Ray says of the program. `Complete` is also said
of a program that was stopped. While it is `Retrying` a new cluster is made.

Source: ray-operator/apis/ray/v1/rayjob_types.go and rayjob_controller.go of ray-project/kuberay, 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.kubernetes.kinds.asked import Amounts, of_pods, together, used
from pipelines.kubernetes.kinds.controls import by_deadline, by_suspend
from pipelines.kubernetes.kinds.port import Kind, Object, Phase, Reading
from pipelines.kubernetes.kinds.status import (
    SUSPENDED,
    count,
    items,
    mapping,
    metadata_of,
    spec_of,
    status_of,
    time_of,
    with_nodes,
    word,
)
from pipelines.kubernetes.kinds.steps import Steps, held, joined, step_of

STEPS: Steps = {
    "": ("Pending", ""),
    "Initializing": ("Pending", "its Ray cluster starts"),
    "Waiting": ("Running", "waits for its job to be submitted"),
    "Running": ("Running", ""),
    "Retrying": ("Running", "is tried again"),
    "Suspending": ("Pending", SUSPENDED),
    "Suspended": ("Pending", SUSPENDED),
}
ENDS: dict[str, Phase] = {"Complete": "Succeeded", "Failed": "Failed", "ValidationFailed": "Error"}
BAD = ("FAILED", "STOPPED")


def read(found: Object) -> Reading:
    """What a RayJob says."""
    reading = _whole(found)
    return with_nodes(found, replace(reading, resources=used(_asked(found), reading)))


def _asked(found: Object) -> Amounts:
    cluster = mapping(spec_of(found).get("rayClusterSpec"))
    head = of_pods(mapping(cluster.get("headGroupSpec")).get("template"), 1)
    groups = items(cluster.get("workerGroupSpecs"))
    return together([head, *(of_pods(one.get("template"), _workers(one)) for one in groups)])


def _workers(group: Mapping[str, Any]) -> int:
    return count(group.get("replicas")) * (count(group.get("numOfHosts")) or 1)


def _whole(found: Object) -> Reading:
    status = status_of(found)
    step, job = word(status.get("jobDeploymentStatus")), word(status.get("jobStatus"))
    ray = mapping(status.get("rayJobInfo"))
    started = time_of(ray.get("startTime")) or time_of(status.get("startTime"))
    if (end := ENDS.get(step)) is None:
        phase, message = step_of(STEPS, step)
        return Reading(phase, held(found, step, message), started)
    finished = time_of(status.get("endTime")) or time_of(ray.get("endTime"))
    if end == "Succeeded" and job in BAD:
        end = "Failed"
    return Reading(end, "" if end == "Succeeded" else _reason(found, job), started, finished)


def _reason(found: Object, job: str) -> str:
    status = status_of(found)
    return joined(word(status.get("reason")), word(status.get("message"))) or f"Ray says {job}"


def pods_of(found: Object) -> str:
    cluster = word(status_of(found).get("rayClusterName"))
    return f"ray.io/cluster={cluster}" if cluster else f"batch.kubernetes.io/job-name={metadata_of(found).get('name')}"


KIND = Kind(
    "ray.io",
    "v1",
    "RayJob",
    "rayjobs",
    read,
    pods_of,
    {**by_deadline(), **by_suspend()},
)
