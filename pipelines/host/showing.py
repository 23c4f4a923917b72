"""A run of the store as the Workflow object that Argo's tools know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.host.labels import labels_of
from retrain.store.runs import RunRow


def workflow_object(row: RunRow, nodes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The object with its status, with nodes where they are given (as `runs.load_nodes` gives them)."""
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


def _stamp(time: datetime | None) -> str | None:
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
