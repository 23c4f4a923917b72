"""A workflow that is not valid, as the object that Argo's controller makes of it: Failed, with no nodes.

For scripts that read `retrain run -o json`: the exit status is 2 as for all wrong input, and stderr has every error
with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from retrain.errors import ConfigError

if TYPE_CHECKING:
    from retrain.app.projects.project import Project
    from retrain.manifests import Document, Finding

_SHAPE = frozenset({"wrong-type", "wrong-value", "missing-field"})
_UNKNOWN = re.compile(r"unknown field '([^']*)'")


class InvalidWorkflows(ConfigError):
    """Nothing was run, for there are errors; `workflows` are the objects of the workflows that have them."""

    def __init__(self, workflows: Sequence[dict[str, Any]]) -> None:
        super().__init__("nothing was run: see the errors above")
        self.workflows = workflows


def invalid(project: Project, paths: Sequence[str]) -> InvalidWorkflows:
    """What to raise for a project with errors."""
    return InvalidWorkflows(list(_objects(project, paths)))


def _objects(project: Project, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    from retrain.manifests import read_paths

    first: dict[tuple[str, str], Finding] = {}
    for finding in project.errors:
        if finding.kind == "Workflow":
            first.setdefault((finding.file, finding.name), finding)
    for document in read_paths([path for path in paths if not path.endswith(".py")]).documents:
        finding = first.get((document.file, document.name))
        if document.kind == "Workflow" and finding is not None:
            yield _object(document, _message(finding))


def _object(document: Document, message: str) -> dict[str, Any]:
    from pipelines.local.foreground import named

    metadata = _mapping(document.body.get("metadata"))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {"workflows.argoproj.io/phase": "Failed", "workflows.argoproj.io/completed": "true"}
    return {
        **document.body,
        "metadata": {
            **{key: value for key, value in metadata.items() if key != "generateName"},
            "name": named({"metadata": metadata}, None),
            "namespace": document.namespace or "default",
            "uid": f"r-{uuid4().hex[:20]}",
            "creationTimestamp": now,
            "labels": {**_mapping(metadata.get("labels")), **labels},
        },
        "status": {"phase": "Failed", "message": message, "startedAt": now, "finishedAt": now},
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _message(finding: Finding) -> str:
    """In the controller's words: what its decoder says of a document's shape, what its validation says of the rest."""
    if unknown := _UNKNOWN.match(finding.message):
        return f'cannot unmarshall spec: json: unknown field "{unknown[1]}"'
    if finding.code in _SHAPE:
        return f"cannot unmarshall spec: {finding.path}: {finding.message}"
    return f"invalid spec: {finding.message}"
