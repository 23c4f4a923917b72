"""Objects that come from a Kubernetes API server, as documents: they have no file, and no lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from retrain.manifests.document import Document, Positions, Problem, Spot

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
WHOLE = Spot(1, 1)
DEEPEST = 200
"""Levels of an object that is read."""
TOO_DEEP = Problem(("spec",), "too-deep", f"is nested deeper than {DEEPEST} levels")


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


def too_deep(found: Mapping[str, Any]) -> bool:
    """Whether an object has lists and mappings inside each other beyond all use. An API server takes thousands of
    levels; who reads an object step by step, as we do, cannot."""
    layer: list[Any] = [found]
    for _ in range(DEEPEST):
        layer = [inner for one in layer for inner in _members(one)]
        if not layer:
            return False
    return True


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
