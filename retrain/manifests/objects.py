"""Objects that come from a Kubernetes API server, as documents: they have no file, and no lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain.manifests.document import Document, Positions, Spot

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
WHOLE = Spot(1, 1)


def document_of(found: Mapping[str, Any], place: str) -> Document:
    """An object as a document; `place` is what findings name instead of a file.

    What only the server writes and nobody means is left out: `metadata.managedFields`, and the copy of the object that
    kubectl keeps in an annotation.
    """
    metadata = {key: value for key, value in (found.get("metadata") or {}).items() if key != "managedFields"}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    if "annotations" in metadata:
        metadata["annotations"] = annotations
    body = {**found, "metadata": metadata}
    name = metadata.get("name") or metadata.get("generateName") or ""
    return Document(str(found["apiVersion"]), str(found["kind"]), str(name), body, place, 1, Positions(place, WHOLE))
