"""The engine that a Sensor's annotation chooses for the workflows of its firings, written into each of those. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.engines import ENGINE
from retrain.events import JsonValue
from sensors.actions.match import Match

Action = dict[str, JsonValue]
Render = Callable[[Match], Action]

_OBJECTS = ("argoWorkflow", "k8s")
_WORKFLOWS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate")


def for_engine(render: Render, engine: str | None) -> Render:
    """The same actions; their workflows that do not say who is to run them are for `engine`."""
    return render if engine is None else lambda match: _marked(render(match), engine)


def _marked(action: Action, engine: str) -> Action:
    resource: Any = action.get("resource")
    if action.get("kind") not in _OBJECTS or not isinstance(resource, dict):
        return action
    metadata: Any = resource.get("metadata") or {}
    if resource.get("kind", "Workflow") not in _WORKFLOWS or not isinstance(metadata, dict):
        return action
    annotations: Any = metadata.get("annotations") or {}
    if not isinstance(annotations, dict) or ENGINE in annotations:
        return action
    # What was rendered may be shared between firings.
    said = {**metadata, "annotations": {**annotations, ENGINE: engine}}
    return {**action, "resource": {**resource, "metadata": said}}
