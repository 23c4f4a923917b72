"""Argo's Workflow: its status is already what every other kind is read into. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.kubernetes.kinds.port import ENDED, Kind, Object, Phase, Reading
from pipelines.kubernetes.reading import offloaded, unpacked
from retrain.errors import Permanent
from retrain.events import JsonValue, parse_time

OVER = frozenset(("Succeeded", "Failed", "Error", "Skipped", "Omitted"))
"""Phases of a step that is done."""


def read(workflow: Object) -> Reading:
    """What a Workflow says of itself. Nodes that lie in Argo's database are named in the message."""
    status = _status(workflow)
    # What was known of nodes that are in the database since is of the past: none are shown rather than those.
    nodes: dict[str, Any] | None = status.get("nodes") or ({} if offloaded(status) else None)
    return Reading(
        phase=_phase(status),
        message=str(status.get("message") or ""),
        started=moment(status.get("startedAt")),
        finished=moment(status.get("finishedAt")),
        outputs=_outputs(status, nodes or {}, workflow),
        nodes=nodes,
        pods=_pods(nodes or {}),
        resources=_resources(status, nodes or {}),
    )


def _status(workflow: Object) -> Mapping[str, Any]:
    """Its status with its nodes; what is packed and cannot be unpacked is said in its message."""
    try:
        return unpacked(workflow)["status"]
    except Permanent as error:
        status: dict[str, Any] = workflow["status"]
        said = str(status.get("message") or "")
        return {**status, "message": f"{said}; {error}" if said else str(error)}


def moment(text: object) -> datetime | None:
    """A time of a status; None where there is none yet, or what stands there is none."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _outputs(status: Mapping[str, Any], nodes: Mapping[str, Any], workflow: Object) -> JsonValue:
    """Its global outputs, which Argo keeps in the status, and those of its entrypoint, which it leaves at the node."""
    root: Mapping[str, Any] = nodes.get(str((workflow.get("metadata") or {}).get("name"))) or {}
    own: Mapping[str, Any] = root.get("outputs") or {}
    found: dict[str, Any] = {**own, **(status.get("outputs") or {})}
    for kind in ("parameters", "artifacts"):
        said = [*(own.get(kind) or ()), *((status.get("outputs") or {}).get(kind) or ())]
        if said:
            found[kind] = list({one["name"]: one for one in said}.values())
    return found or None


def _phase(status: Mapping[str, Any]) -> Phase:
    said = status.get("phase")
    return said if said in ENDED or said == "Running" else "Pending"


def _pods(nodes: Mapping[str, Any]) -> str:
    phases = [node.get("phase") for node in nodes.values() if node.get("type") == "Pod"]
    done = sum(phase in OVER for phase in phases)
    running = phases.count("Running")
    return f"{len(phases) - done - running}/{running}/{done}" if nodes else ""


def _resources(status: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, float]:
    """What the controller has summed up at the end; before that, or where it was cut off, the sum of the pods."""
    if said := status.get("resourcesDuration"):
        return {str(name): float(seconds) for name, seconds in said.items()}
    total: dict[str, float] = {}
    for node in nodes.values():
        if node.get("type") == "Pod":
            for name, seconds in (node.get("resourcesDuration") or {}).items():
                total[str(name)] = total.get(str(name), 0.0) + float(seconds)
    return total


KIND = Kind("argoproj.io", "v1alpha1", "Workflow", "workflows", read)
