"""From a rendered `argoWorkflow` action to the Workflow to run. Pure: the same firing gives the same Workflow.

Upstream hands the action to the `argo` command, whose flags may stand in `args`; the flags that say what to run are
understood here, the others are refused by name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from retrain.errors import Permanent
from retrain.events import JsonValue
from triggers.port import Firing

FIELDS = frozenset({"kind", "operation", "resource", "args", "retryStrategy"})
OPERATIONS = ("submit", "submit-from")
NOT_BUILT = frozenset({"suspend", "resubmit", "retry", "resume", "terminate", "stop"})
"""Operations of upstream that act on a workflow that runs; `retrain runs` does these."""
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
    action = firing.action
    if unknown := sorted(set(action) - FIELDS):
        raise Permanent(f"argoWorkflow.{unknown[0]} is not supported by this trigger; take it out of the sensor")
    check_operation(action.get("operation"))
    resource = action.get("resource")
    if not isinstance(resource, Mapping):
        raise Permanent("argoWorkflow has no resource; write the Workflow inline under source.resource")
    manifest = _workflow(cast("Mapping[str, JsonValue]", resource), action.get("operation") == "submit-from")
    _apply_flags(manifest, action.get("args") or [])
    labels = _labels(firing)
    metadata = cast("dict[str, Any]", manifest["metadata"])
    metadata["labels"] = {**_mapping(metadata.get("labels"), "metadata.labels"), **labels}
    metadata["name"] = _name(metadata, firing.id)
    return Submission(run_id_of(firing.id), manifest, labels)


def check_operation(operation: JsonValue) -> None:
    """Refuse what is not built; nothing said means `submit`.

    Raises:
        Permanent: with the name of the operation.
    """
    if operation in NOT_BUILT:
        raise Permanent(f"argoWorkflow operation {operation!r} is not built yet; `retrain runs {operation}` does it")
    if operation and operation not in OPERATIONS:
        raise Permanent(f"argoWorkflow operation {operation!r} is unknown; there are {', '.join(OPERATIONS)}")


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
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


def _name(metadata: Mapping[str, Any], firing_id: str) -> str:
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if name:
        return str(name)
    # Upstream refuses a Workflow without either; here the run needs a name and the firing can give one.
    return generated_name(str(prefix or "workflow-"), firing_id)


def _labels(firing: Firing) -> dict[str, str]:
    labels = {
        LABEL + "sensor": label_value(firing.sensor),
        LABEL + "trigger": label_value(firing.trigger),
        LABEL + "firing": label_value(firing.id),
    }
    if firing.events:
        labels[LABEL + "event"] = label_value(firing.events[0])
    return labels


# ---- the flags of `argo submit` ----


def _apply_flags(manifest: dict[str, JsonValue], args: JsonValue) -> None:
    for flag, value in _flags(args):
        _FLAGS[flag](manifest, value)


def check_args(args: JsonValue) -> None:
    """Refuse flags that are not understood.

    Raises:
        Permanent: with the name of the flag.
    """
    for _ in _flags(args):
        pass


def _flags(args: JsonValue) -> Iterable[tuple[str, str]]:
    if not isinstance(args, Sequence) or isinstance(args, str) or not all(isinstance(arg, str) for arg in args):
        raise Permanent("argoWorkflow.args must be a list of texts such as -p and name=value")
    waiting = iter(cast("Sequence[str]", args))
    for arg in waiting:
        name, equals, value = arg.partition("=") if arg.startswith("--") else (arg[:2], arg[2:], arg[2:])
        flag = _LONG.get(name)
        if flag is None:
            raise Permanent(f"argoWorkflow.args: {name!r} is not supported; there are {', '.join(sorted(_LONG))}")
        if not equals:
            value = next(waiting, None)
            if value is None:
                raise Permanent(f"argoWorkflow.args: {name!r} needs a value")
        yield flag, value


def _set_parameter(manifest: dict[str, Any], text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Permanent(f"argoWorkflow.args: a parameter is name=value, not {text!r}")
    arguments = manifest["spec"].setdefault("arguments", {})
    parameters: list[dict[str, JsonValue]] = arguments.setdefault("parameters", [])
    for parameter in parameters:
        if parameter.get("name") == name:
            parameter["value"] = value
            return
    parameters.append({"name": name, "value": value})


def _set_name(manifest: dict[str, Any], text: str) -> None:
    manifest["metadata"]["name"] = text


def _set_prefix(manifest: dict[str, Any], text: str) -> None:
    manifest["metadata"].pop("name", None)
    manifest["metadata"]["generateName"] = text


def _set_entrypoint(manifest: dict[str, Any], text: str) -> None:
    manifest["spec"]["entrypoint"] = text


def _set_account(manifest: dict[str, Any], text: str) -> None:
    manifest["spec"]["serviceAccountName"] = text


def _set_labels(manifest: dict[str, Any], text: str) -> None:
    labels = manifest["metadata"].setdefault("labels", {})
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if not equals:
            raise Permanent(f"argoWorkflow.args: labels are name=value,..., not {text!r}")
        labels[name] = value


_LONG = {
    "-p": "parameter",
    "--parameter": "parameter",
    "--name": "name",
    "--generate-name": "generate-name",
    "--entrypoint": "entrypoint",
    "--serviceaccount": "serviceaccount",
    "-l": "labels",
    "--labels": "labels",
}
_FLAGS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "parameter": _set_parameter,
    "name": _set_name,
    "generate-name": _set_prefix,
    "entrypoint": _set_entrypoint,
    "serviceaccount": _set_account,
    "labels": _set_labels,
}


def _mapping(value: JsonValue, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Permanent(f"argoWorkflow resource: {where} must be an object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)
