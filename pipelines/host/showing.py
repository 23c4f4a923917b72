"""A run of the store as the Workflow object that Argo's tools know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.host.labels import labels_of
from retrain.store.runs import RunRow


def workflow_object(row: RunRow, nodes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The object with its status, with nodes where they are given (as `runs.load_nodes` gives them).

    Of a run on a cluster it is the object there, as it was last seen; one that is no Workflow has Argo's words over its
    own status.
    """
    if row.object is not None:
        return _seen(row, row.object, nodes)
    manifest = row.manifest
    status: dict[str, Any] = {
        "phase": row.phase,
        "message": row.message or None,
        "startedAt": _stamp(row.started),
        "finishedAt": _stamp(row.finished),
        "outputs": row.outputs,
        "nodes": nodes,
    }
    metadata: dict[str, Any] = {
        **(manifest.get("metadata") or {}),
        "name": row.name,
        "namespace": row.namespace,
        "uid": row.id,
        "creationTimestamp": _stamp(row.created),
        "labels": labels_of(row),
    }
    spec: dict[str, Any] = dict(manifest.get("spec") or {})
    if row.control == "suspend":
        spec["suspend"] = True
    if row.control in {"stop", "terminate"}:
        spec["shutdown"] = row.control.capitalize()
    return {
        "apiVersion": manifest.get("apiVersion", "argoproj.io/v1alpha1"),
        "kind": "Workflow",
        "metadata": metadata,
        "spec": spec,
        "status": {name: value for name, value in status.items() if value is not None},
    }


def _seen(row: RunRow, found: Mapping[str, Any], nodes: Mapping[str, Any] | None) -> dict[str, Any]:
    status: dict[str, Any] = dict(found.get("status") or {})
    if row.engine != "argo" or "gone" in found:
        status |= {"phase": row.phase, "startedAt": _stamp(row.started), "finishedAt": _stamp(row.finished)}
        status |= {"message": row.message or None, "outputs": row.outputs}
    if nodes:
        status["nodes"] = nodes
    elif status.get("offloadNodeStatusVersion"):
        status["message"] = row.message or None  # which says why there are none
    status.setdefault("phase", row.phase)  # the controller has not seen it yet
    return {
        "apiVersion": row.manifest.get("apiVersion", "argoproj.io/v1alpha1"),
        "kind": row.manifest.get("kind", "Workflow"),
        "metadata": found.get("metadata") or {},
        "spec": found.get("spec") or row.manifest.get("spec") or {},
        "status": {name: value for name, value in status.items() if value is not None},
    }


def _stamp(time: datetime | None) -> str | None:
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
