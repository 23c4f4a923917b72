"""The kinds of Kubeflow's training operator (kubeflow.org/v1), which share one status: `PyTorchJob` and its siblings.

`Restarting` holds while a replica that failed is made anew. Suspending one takes its pods and its start away.

Source: pkg/apis/kubeflow.org/v1/common_types.go of kubeflow/training-operator v1.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.kubernetes.kinds.asked import Amounts, of_pods, together, used
from pipelines.kubernetes.kinds.controls import Controls, by_deadline, by_suspend
from pipelines.kubernetes.kinds.port import Kind, Object, Reading
from pipelines.kubernetes.kinds.status import (
    SUSPENDED,
    Part,
    count,
    counted,
    holding,
    mapping,
    metadata_of,
    phase_of_pods,
    spec_of,
    status_of,
    time_of,
    with_nodes,
)

NAMES = {
    "PyTorchJob": "pytorchjobs",
    "TFJob": "tfjobs",
    "MPIJob": "mpijobs",
    "XGBoostJob": "xgboostjobs",
    "PaddleJob": "paddlejobs",
    "JAXJob": "jaxjobs",
}


def read(found: Object) -> Reading:
    """What a training job says, with its replicas as parts."""
    reading, replicas = _whole(found), _replicas(found)
    reading = replace(reading, resources=together(used(one.asked, reading) for one in replicas))
    return with_nodes(found, reading, [one.part(reading) for one in replicas])


def _whole(found: Object) -> Reading:
    status, holds = status_of(found), holding(found)
    started, pods = time_of(status.get("startTime")), _pods(found)
    if over := holds.get("Failed"):
        return Reading("Failed", over.text, started, time_of(status.get("completionTime")) or over.at, pods=pods)
    if done := holds.get("Succeeded"):
        return Reading("Succeeded", "", started, time_of(status.get("completionTime")) or done.at, pods=pods)
    if "Suspended" in holds or mapping(spec_of(found).get("runPolicy")).get("suspend") is True:
        return Reading("Pending", SUSPENDED, pods=pods)
    if again := holds.get("Restarting"):
        return Reading("Running", f"restarting: {again.text}", started or again.at, pods=pods)
    if runs := holds.get("Running"):
        return Reading("Running", "", started or runs.at, pods=pods)
    return Reading("Pending", "", started, pods=pods)


@dataclass(frozen=True, slots=True)
class _Replicas:
    """Pods of one type: how many are wanted, run and have ended."""

    name: str
    wanted: int
    active: int
    succeeded: int
    failed: int
    asked: Amounts

    def part(self, reading: Reading) -> Part:
        phase = phase_of_pods(self.active, self.succeeded, self.failed)
        there = f"{self.active + self.succeeded}/{self.wanted} pods"
        return Part(self.name, phase, there, used(self.asked, reading))


def _replicas(found: Object) -> list[_Replicas]:
    wanted = next((mapping(body) for key, body in spec_of(found).items() if key.endswith("ReplicaSpecs")), {})
    states = mapping(status_of(found).get("replicaStatuses"))
    return [_of_type(name, mapping(wanted.get(name)), mapping(states.get(name))) for name in {**wanted, **states}]


def _of_type(name: str, spec: Mapping[str, Any], state: Mapping[str, Any]) -> _Replicas:
    active, succeeded, failed = (count(state.get(word)) for word in ("active", "succeeded", "failed"))
    wanted = count(spec.get("replicas")) or 1
    return _Replicas(name, wanted, active, succeeded, failed, of_pods(spec.get("template"), wanted))


def _pods(found: Object) -> str:
    replicas = _replicas(found)
    active, ended = sum(one.active for one in replicas), sum(one.succeeded + one.failed for one in replicas)
    return counted(sum(one.wanted for one in replicas) - active - ended, active, ended)


def pods_of(found: Object) -> str:
    return f"training.kubeflow.org/job-name={metadata_of(found).get('name')}"


def _kind(kind: str, plural: str) -> Kind:
    controls: Controls = {**by_deadline("runPolicy"), **by_suspend("runPolicy")}
    return Kind("kubeflow.org", "v1", kind, plural, read, pods_of, controls)


ALL = tuple(_kind(kind, plural) for kind, plural in NAMES.items())
