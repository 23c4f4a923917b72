"""From a rendered `argoWorkflow` action to the Workflow to run. Pure: the same firing gives the same Workflow.

Upstream hands the action to the `argo` command, whose flags may stand in `args`. What acts on workflows that are there
is in `triggers.workflow_wish`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from pipelines import argo_flags
from pipelines.engines import ENGINE
from retrain.errors import Permanent
from retrain.events import JsonValue
from triggers import workflow_wish
from triggers.port import Firing

FIELDS = frozenset({"kind", "operation", "resource", "args", "retryStrategy", "policy", "created"})
SUBMITS = ("submit", "submit-from")
OPERATIONS = (*SUBMITS, *workflow_wish.OPERATIONS)
REFERENCES = ("WorkflowTemplate", "ClusterWorkflowTemplate")

LABEL = "retrain.dev/"
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes generated names of: no vowels, so no words."""
SUFFIX = 5
MAX_GENERATED = 63 - SUFFIX

_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Submission:
    """A Workflow with its final name and labels, and the id of the run that it becomes."""

    run_id: str
    manifest: dict[str, JsonValue]
    labels: dict[str, str]


def build_submission(firing: Firing) -> Submission:
    """What an `argoWorkflow` firing asks to run.

    Raises:
        Permanent: the operation, the resource or a flag is not one that can be run here.
    """
    operation = read_operation(firing)
    resource = firing.action.get("resource")
    if not isinstance(resource, Mapping):
        raise Permanent("argoWorkflow has no resource; write the Workflow inline under source.resource")
    manifest = _workflow(cast("Mapping[str, JsonValue]", resource), operation == "submit-from")
    _apply_flags(manifest, operation, firing.action.get("args") or [])
    return finished(manifest, firing)


def finished(manifest: dict[str, JsonValue], firing: Firing) -> Submission:
    """A Workflow with the name and the labels that its firing gives it. Changes the manifest.

    Raises:
        Permanent: its metadata is none.
    """
    labels = labels_from(firing)
    metadata = manifest["metadata"] = _mapping(manifest.get("metadata"), "metadata")
    metadata["labels"] = {**_mapping(metadata.get("labels"), "metadata.labels"), **labels}
    metadata["name"] = _name(metadata, firing.id)
    return Submission(run_id_of(firing.id), manifest, labels)


def read_operation(firing: Firing) -> str:
    """The operation of an `argoWorkflow` firing; nothing said means `submit`.

    Raises:
        Permanent: there is no such operation, or the action has a field that is none of this kind's.
    """
    if unknown := sorted(set(firing.action) - FIELDS):
        raise Permanent(f"argoWorkflow.{unknown[0]} is not supported by this trigger; take it out of the sensor")
    operation = firing.action.get("operation") or "submit"
    if operation not in OPERATIONS:
        raise Permanent(f"argoWorkflow operation {operation!r} is unknown; there are {', '.join(OPERATIONS)}")
    return str(operation)


def run_id_of(firing_id: str) -> str:
    """The id of the run that a firing starts: the same digits."""
    return f"r-{firing_id.removeprefix('f-')}"


def generated_name(prefix: str, firing_id: str) -> str:
    """`generateName` with five characters that depend on the firing only, within Kubernetes' 63."""
    number = int.from_bytes(sha256(firing_id.encode()).digest()[:8], "big")
    suffix = ""
    for _ in range(SUFFIX):
        number, digit = divmod(number, len(ALPHABET))
        suffix += ALPHABET[digit]
    return prefix[:MAX_GENERATED] + suffix


def label_value(text: str) -> str:
    """The text as Kubernetes takes it for a label's value: itself where that is possible."""
    return _NOT_IN_LABEL.sub("-", text)[:63].strip("-._")


def _workflow(resource: Mapping[str, JsonValue], submit_from: bool) -> dict[str, JsonValue]:
    # The firing's action stays as it was recorded, and its objects may be shared between firings.
    body: dict[str, Any] = copy.deepcopy(dict(resource))
    kind = body.get("kind") or "Workflow"
    body["metadata"] = _mapping(body.get("metadata"), "metadata")
    body["spec"] = _mapping(body.get("spec"), "spec")
    if kind in REFERENCES:
        return _from_template(body, kind)
    if kind != "Workflow":
        raise Permanent(f"argoWorkflow cannot submit a {kind}; it takes a Workflow or {' or '.join(REFERENCES)}")
    if submit_from:
        raise Permanent(f"argoWorkflow operation 'submit-from' needs a {' or '.join(REFERENCES)}, not a Workflow")
    body["kind"] = kind
    body.setdefault("apiVersion", "argoproj.io/v1alpha1")
    return body


def _from_template(body: dict[str, Any], kind: str) -> dict[str, JsonValue]:
    """A Workflow that refers to the template by name, with the arguments that the sensor's parameters set."""
    name = body["metadata"].get("name")
    if not name:
        raise Permanent(f"argoWorkflow submits from a {kind}, but its metadata.name is missing")
    reference: dict[str, JsonValue] = {"name": name}
    if kind == "ClusterWorkflowTemplate":
        reference["clusterScope"] = True
    spec: dict[str, JsonValue] = {"workflowTemplateRef": reference}
    if arguments := body["spec"].get("arguments"):
        spec["arguments"] = arguments
    metadata: dict[str, JsonValue] = {"generateName": f"{name}-"}
    if namespace := body["metadata"].get("namespace"):
        metadata["namespace"] = namespace
    if engine := _mapping(body["metadata"].get("annotations"), "metadata.annotations").get(ENGINE):
        metadata["annotations"] = {ENGINE: engine}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


def _name(metadata: Mapping[str, Any], firing_id: str) -> str:
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if name:
        return str(name)
    # Upstream refuses a Workflow without either; here the run needs a name and the firing can give one.
    return generated_name(str(prefix or "workflow-"), firing_id)


def labels_from(firing: Firing) -> dict[str, str]:
    """Where a run comes from, as labels."""
    labels = {
        LABEL + "sensor": label_value(firing.sensor),
        LABEL + "trigger": label_value(firing.trigger),
        LABEL + "firing": label_value(firing.id),
    }
    if firing.events:
        labels[LABEL + "event"] = label_value(firing.events[0])
    return labels


# ---- the flags of `argo submit` ----


def _apply_flags(manifest: dict[str, Any], operation: str, args: JsonValue) -> None:
    metadata, spec = manifest["metadata"], manifest["spec"]
    for said in argo_flags.read_flags(operation, args):
        match said.flag:
            case "parameter":
                _set_parameter(spec, *argo_flags.parameter(said.value))
            case "name":
                metadata["name"] = said.value
            case "generate-name":
                metadata.pop("name", None)
                metadata["generateName"] = said.value
            case "entrypoint":
                spec["entrypoint"] = said.value
            case "serviceaccount":
                spec["serviceAccountName"] = said.value
            case "priority":
                spec["priority"] = argo_flags.whole_number("--priority", said.value)
            case "labels" | "annotations":
                written = _mapping(metadata.get(said.flag), f"metadata.{said.flag}")
                metadata[said.flag] = {**written, **argo_flags.pairs(said.flag, said.value)}
            case _:
                raise Permanent(f"argoWorkflow.args: --{said.flag} is not supported with {operation}")


def _set_parameter(spec: dict[str, Any], name: str, value: str) -> None:
    arguments = spec.setdefault("arguments", {})
    parameters: list[dict[str, JsonValue]] = arguments.setdefault("parameters", [])
    for parameter in parameters:
        if parameter.get("name") == name:
            parameter["value"] = value
            return
    parameters.append({"name": name, "value": value})


def _mapping(value: JsonValue, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Permanent(f"argoWorkflow resource: {where} must be an object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)
