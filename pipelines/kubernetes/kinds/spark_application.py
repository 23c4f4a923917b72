"""`SparkApplication` of Kubeflow's Spark operator (sparkoperator.k8s.io/v1beta2).

`FAILING` and `SUBMISSION_FAILED` are not ends: the operator looks at the `restartPolicy` first, and then writes
`FAILED` or tries again. A change of its spec begins it anew, so only `suspend` is changed here.

Source: api/v1beta2/sparkapplication_types.go and the controller of kubeflow/spark-operator, 2026-08.
"""

from __future__ import annotations

from pipelines.kubernetes.kinds.controls import by_removal, by_suspend
from pipelines.kubernetes.kinds.port import Kind, Object, Phase, Reading
from pipelines.kubernetes.kinds.status import (
    SUSPENDED,
    Part,
    mapping,
    metadata_of,
    status_of,
    time_of,
    with_nodes,
    word,
)
from pipelines.kubernetes.kinds.steps import Steps, ended_at, held, joined, step_of

STATES: Steps = {
    "": ("Pending", ""),
    "SUBMITTED": ("Pending", "its driver starts"),
    "RUNNING": ("Running", ""),
    "SUCCEEDING": ("Running", ""),
    "FAILING": ("Running", "has failed and may be tried again"),
    "SUBMISSION_FAILED": ("Pending", "could not be submitted and may be tried again"),
    "PENDING_RERUN": ("Running", "is tried again"),
    "INVALIDATING": ("Running", "was changed and begins anew"),
    "SUSPENDING": ("Pending", SUSPENDED),
    "SUSPENDED": ("Pending", SUSPENDED),
    "RESUMING": ("Pending", "is resumed"),
    "UNKNOWN": ("Running", "the operator does not know its state"),
    "COMPLETED": ("Succeeded", ""),
    "FAILED": ("Failed", ""),
}
PODS: dict[str, Phase] = {
    "PENDING": "Pending",
    "RUNNING": "Running",
    "COMPLETED": "Succeeded",
    "FAILED": "Failed",
    "UNKNOWN": "Pending",
}


def read(found: Object) -> Reading:
    """What a SparkApplication says, with its executors as parts."""
    executors = mapping(status_of(found).get("executorState"))
    parts = [Part(name, PODS.get(word(state), "Pending")) for name, state in executors.items()]
    return with_nodes(found, _whole(found), parts)


def _whole(found: Object) -> Reading:
    status = status_of(found)
    said = mapping(status.get("applicationState"))
    state = word(said.get("state"))
    phase, message = step_of(STATES, state)
    message = joined(held(found, state, message), word(said.get("errorMessage")))
    started = time_of(status.get("lastSubmissionAttemptTime"))
    return Reading(phase, message, started, ended_at(phase, status.get("terminationTime")))


def pods_of(found: Object) -> str:
    return f"sparkoperator.k8s.io/app-name={metadata_of(found).get('name')}"


KIND = Kind(
    "sparkoperator.k8s.io",
    "v1beta2",
    "SparkApplication",
    "sparkapplications",
    read,
    pods_of,
    {**by_removal(), **by_suspend()},
)
