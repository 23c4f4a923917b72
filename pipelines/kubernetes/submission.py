"""A Workflow as it is put into a cluster. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from retrain.errors import Refused
from retrain.kube import path_of

API_VERSION = "argoproj.io/v1alpha1"
MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL = re.compile(r"(?=.{0,63}\Z)([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?", re.DOTALL)
"""What Kubernetes takes as the value of a label."""
_SERVERS = (
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""What only a server writes into `metadata`: a manifest that was read from one is submitted without."""


def to_object(manifest: Mapping[str, Any], name: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The object to create. `labels` are ours, and win over those of the manifest.

    What cannot be a label's value (the id of an event may be any text) becomes an annotation of the same name.
    """
    metadata = {key: value for key, value in _metadata(manifest).items() if key not in _SERVERS}
    known = {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()}
    ours = {MANAGED_BY: "retrain", **labels}
    noted = {key: value for key, value in ours.items() if not LABEL.fullmatch(value)}
    metadata["labels"] = {key: value for key, value in {**known, **ours}.items() if key not in noted}
    if noted:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **noted}
    return {
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {**metadata, "name": name, "namespace": namespace},
        "spec": manifest.get("spec") or {},
    }


def path_to(namespace: str, name: str = "") -> str:
    """Where a Workflow is; without a name, where all of a namespace are."""
    return path_of("argoproj.io", "v1alpha1", "workflows", namespace, name)


def check_ours(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """
    Raises:
        Refused: the object of that name is not the one that was wanted.
    """
    mine, theirs = _metadata(wanted), _metadata(found)
    labels: Mapping[str, Any] = theirs.get("labels") or {}
    differs = [
        key for key, value in mine["labels"].items() if key.startswith("retrain.dev/") and labels.get(key) != value
    ]
    if differs or labels.get(MANAGED_BY) != "retrain":
        where = f"{mine['namespace']}/{mine['name']}"
        raise Refused(f"there is a Workflow {where} already, and it is another one; give this one another name")


def terminated() -> dict[str, Any]:
    """The patch with which `argo terminate` ends a Workflow: at once, and without its exit handlers."""
    return {"spec": {"shutdown": "Terminate"}}


def _metadata(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return manifest.get("metadata") or {}
