"""A Workflow on a cluster that is tried again: its object as `argo retry` leaves it, and the pods that go. Pure.

Which nodes stay is decided as for local runs (`pipelines.core.reset`); what the controller keeps in a node beyond what
that knows stays with it.

Source: `FormulateRetryWorkflow`, `createNewRetryWorkflow`, `resetNode` of Argo's workflow/util.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.core.naming import pod_name
from pipelines.core.nodes import Node, Phase, to_rfc3339
from pipelines.core.reset import Saved, kept_after_reset
from pipelines.host.control import RetryOptions, chooser, with_known_parameters
from pipelines.host.labels import ARCHIVING_LABEL, COMPLETED_LABEL, PHASE_LABEL
from pipelines.kubernetes.patching import Object

POD_NAMES = "workflows.argoproj.io/pod-name-format"
"""The annotation by which the controller says how it names pods: `v1` by the node's id, `v2` with its template."""
OF_AN_ENDED_LIFE = ("message", "outputs", "outboundNodes", "daemoned", "podIP", "hostNodeName", "resourcesDuration",
                    "startedAt", "finishedAt")  # fmt: skip
"""What a node that runs again no longer says."""


@dataclass(frozen=True, slots=True)
class Retried:
    """`pods`: names of those that have to be gone before the controller sees the Workflow again."""

    workflow: Object
    pods: tuple[str, ...]


def retried(workflow: Object, options: RetryOptions, now: datetime) -> Retried:
    """The Workflow opened again: what succeeded stays, what failed and what came after it runs again.

    Raises:
        Refused: it is open; or it succeeded, and nothing says which of its steps are to run again.
        ConfigError: the node selector cannot be read, or a parameter is none of the workflow's.
    """
    name = str(workflow["metadata"]["name"])
    choose = chooser(name, str((workflow.get("status") or {}).get("phase") or "Pending"), options)
    opened = _opened(with_known_parameters(workflow, options.parameters), options.parameters, now)
    bodies: Mapping[str, Object] = (workflow["status"]).get("nodes") or {}
    nodes = {key: Node.from_argo(body) for key, body in bodies.items()}
    edges = {key: list(body.get("children") or ()) for key, body in bodies.items()}
    kept = kept_after_reset(nodes, edges, name, choose, reexpand=bool(options.parameters))
    left = {key: renewed(bodies[key], nodes[key], key, kept, now) for key in kept.nodes}
    begun_anew = [key for key, node in nodes.items() if kept.nodes.get(key) != node]
    pods = [pod_of(workflow, bodies[key]) for key in begun_anew if nodes[key].type == "Pod"]
    return Retried({**opened, "status": {**opened["status"], "nodes": left}}, tuple(dict.fromkeys(pods)))


def renewed(body: Object, before: Node, key: str, kept: Saved, now: datetime) -> Object:
    """A node's body in the next life of its run. `key`: what `kept` calls it."""
    node, children = kept.nodes[key], kept.edges.get(key, ())
    gone = ("children", *(OF_AN_ENDED_LIFE if node != before else ()))
    said: Object = {name: value for name, value in body.items() if name not in gone}
    if "outboundNodes" in said:
        said["outboundNodes"] = [one for one in body["outboundNodes"] if one in kept.nodes]
    if node != before:
        said |= {"phase": str(node.phase), **({"message": node.message} if node.message else {})}
        said |= {"startedAt": to_rfc3339(now)} if node.phase is Phase.Running else {}
    return {**said, "children": list(children)} if children else said


def pod_of(workflow: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """The name of a node's pod."""
    annotations: Mapping[str, Any] = workflow["metadata"].get("annotations") or {}
    if annotations.get(POD_NAMES) == "v1":
        return str(node["id"])
    reference: Mapping[str, Any] = node.get("templateRef") or {}
    template = reference.get("template") or node.get("templateName") or ""
    return pod_name(str(workflow["metadata"]["name"]), str(node["name"]), str(template))


# --- the object -------------------------------------------------------------------------------------------------------


def _opened(workflow: Object, parameters: Mapping[str, str], now: datetime) -> Object:
    """Without what says that it is over."""
    metadata: Object = workflow["metadata"]
    old: Mapping[str, str] = metadata.get("labels") or {}
    labels = {key: said for key, said in old.items() if key not in (COMPLETED_LABEL, ARCHIVING_LABEL)}
    status: Object = {key: said for key, said in workflow["status"].items() if key not in ("message", "finishedAt")}
    status |= {"phase": "Running", "startedAt": to_rfc3339(now), "conditions": _conditions(status)}
    if "persistentVolumeClaims" in status:
        status["persistentVolumeClaims"] = []
    if stored := status.get("storedWorkflowTemplateSpec"):
        status["storedWorkflowTemplateSpec"] = _of_the_next_life(stored, parameters)
    return {
        **workflow,
        "metadata": {**metadata, "labels": {**labels, PHASE_LABEL: "Running"}},
        "spec": _of_the_next_life(workflow["spec"], {}),
        "status": status,
    }


def _of_the_next_life(spec: Object, parameters: Mapping[str, str]) -> Object:
    """Not asked to end, and without the deadline by which older controllers were told to end it."""
    left = {key: said for key, said in spec.items() if key != "shutdown"}
    if left.get("activeDeadlineSeconds") == 0:
        del left["activeDeadlineSeconds"]
    # The controller takes the arguments from here once it has merged a template into the spec.
    return with_known_parameters({"spec": left}, parameters)["spec"] if parameters else left


def _conditions(status: Object) -> list[Object]:
    rest = [one for one in status.get("conditions") or () if one.get("type") != "Completed"]
    return [*rest, {"type": "Completed", "status": "False"}]
