"""`Job` of batch/v1: Kubernetes' own.

A pod that fails is tried again up to `backoffLimit`; the Job runs meanwhile. Suspending one takes its pods and its
start away.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/ (v1.33).
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.kubernetes.kinds.asked import Amounts, of_pods, used
from pipelines.kubernetes.kinds.controls import by_deadline, by_suspend
from pipelines.kubernetes.kinds.port import Kind, Object, Reading
from pipelines.kubernetes.kinds.status import (
    SUSPENDED,
    count,
    counted,
    holding,
    metadata_of,
    spec_of,
    status_of,
    time_of,
    with_nodes,
)


def read(found: Object) -> Reading:
    """What a Job says."""
    reading = _whole(found)
    return with_nodes(found, replace(reading, resources=used(_asked(found), reading)))


def _whole(found: Object) -> Reading:
    status, holds = status_of(found), holding(found)
    active, ready = count(status.get("active")), count(status.get("ready"))
    succeeded, failed = count(status.get("succeeded")), count(status.get("failed"))
    pods = counted(active - ready, min(active, ready), succeeded + failed)
    started = time_of(status.get("startTime"))
    if done := holds.get("Complete"):
        return Reading("Succeeded", "", started, time_of(status.get("completionTime")) or done.at, pods=pods)
    if over := holds.get("Failed"):
        return Reading("Failed", over.text, started, over.at, pods=pods)
    if "Suspended" in holds or spec_of(found).get("suspend") is True:
        return Reading("Pending", SUSPENDED, pods=pods)
    message = f"{failed} of its pods failed" if failed else ""
    return Reading("Running" if started else "Pending", message, started, pods=pods)


def _asked(found: Object) -> Amounts:
    spec = spec_of(found)
    at_once, in_all = count(spec.get("parallelism")) or 1, count(spec.get("completions"))
    return of_pods(spec.get("template"), min(at_once, in_all) if in_all else at_once)


def pods_of(found: Object) -> str:
    return f"batch.kubernetes.io/job-name={metadata_of(found).get('name')}"


KIND = Kind(
    "batch",
    "v1",
    "Job",
    "jobs",
    read,
    pods_of,
    {**by_deadline(), **by_suspend()},
)
