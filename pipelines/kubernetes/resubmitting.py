"""A Workflow on a cluster that is run once more under another name and begins with what the old one has done. Pure.

The controller takes the nodes of a new object as it finds them: those that succeeded stay as they are, those around a
gap run. What succeeded stays Succeeded, as for local runs, where `argo resubmit --memoized` makes Skipped of it.

Source: `FormulateResubmitWorkflow` of Argo's workflow/util.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pipelines.core.naming import node_id
from pipelines.core.nodes import Node
from pipelines.core.reset import resubmitted
from pipelines.kubernetes.patching import Object
from pipelines.kubernetes.reading import has_ended
from pipelines.kubernetes.retrying import renewed
from retrain.errors import Refused

STATUS = ("storedTemplates", "storedWorkflowTemplateSpec")
"""What the old one knew of templates: its nodes were made by these."""


def memoized_status(workflow: Object, name: str, now: datetime, *, reexpand: bool = False) -> Object:
    """The `status` with which a Workflow `name` begins. `reexpand`: it has other parameters, so loops are made anew.

    Raises:
        Refused: the old one is not over.
    """
    metadata, status = workflow["metadata"], workflow.get("status") or {}
    old = str(metadata["name"])
    if not has_ended(workflow):
        phase = status.get("phase") or "Pending"
        raise Refused(f"{old} is {phase}; what it has done can be taken over once it is over")
    bodies: Mapping[str, Object] = status.get("nodes") or {}
    before = {node_id(name, _renamed(body["name"], old, name)): body for body in bodies.values()}
    nodes = {key: Node.from_argo(body) for key, body in bodies.items()}
    edges = {key: list(body.get("children") or ()) for key, body in bodies.items()}
    kept = resubmitted(nodes, edges, old, name, reexpand=reexpand)
    begun = {
        key: {
            **renewed(before[key], Node.from_argo(before[key]), key, kept, now),
            **_identity(node),
        }
        for key, node in kept.nodes.items()
    }
    known = {one: status[one] for one in STATUS if status.get(one)}
    return {**known, "nodes": begun, "conditions": [{"type": "Completed", "status": "False"}]}


def _identity(node: Node) -> Object:
    """Who a node is, under the new name."""
    said = {
        "id": node.id,
        "name": node.name,
        "displayName": node.display_name,
        "boundaryID": node.boundary_id,
        "templateScope": node.template_scope,
        "message": node.message,
    }
    return {key: value for key, value in said.items() if value}


def _renamed(text: str, old: str, new: str) -> str:
    return new + text.removeprefix(old) if text.startswith(old) else text
