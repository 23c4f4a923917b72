"""`workflow.*`: the variables that a run has from its beginning, and the labels that it computes.

Source: `setGlobalParameters`, `updateWorkflowMetadata` of Argo's controller; util/strftime.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.core.catalog import Catalog, config_map_value
from pipelines.core.expressions import evaluate_value
from pipelines.core.naming import go_json
from pipelines.core.nodes import to_rfc3339
from pipelines.core.variables import Found, RunVariables
from retrain.errors import ConfigError

SCHEDULED = "workflows.argoproj.io/scheduled-time"
_FORMATS = "BbmAadHIMSYypZzL"
_PARAMETER = ("name", "default", "value", "valueFrom", "globalName", "enum", "description")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a run is."""

    name: str
    namespace: str
    uid: str
    created: datetime


def workflow_values(
    who: Identity, spec: Mapping[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str], catalog: Catalog
) -> dict[str, str]:
    """The variables by name.

    Raises:
        ConfigError: a parameter has no value.
    """
    parameters: Sequence[Mapping[str, Any]] = (spec.get("arguments") or {}).get("parameters") or ()
    written = go_json([parameter_json(one) for one in parameters])
    known = {
        "workflow.name": who.name,
        "workflow.namespace": who.namespace,
        "workflow.uid": who.uid,
        "workflow.mainEntrypoint": str(spec.get("entrypoint") or ""),
        "workflow.serviceAccountName": str(spec.get("serviceAccountName") or ""),
        "workflow.parameters": written,
        "workflow.parameters.json": written,
    }
    known |= _times(who.created) | named_values("labels", labels) | named_values("annotations", annotations)
    if spec.get("priority") is not None:
        known["workflow.priority"] = str(spec["priority"])
    if annotations.get(SCHEDULED) is not None:
        known["workflow.scheduledTime"] = annotations[SCHEDULED]
    for parameter in parameters:
        known[f"workflow.parameters.{parameter['name']}"] = argument_value(parameter, catalog)
    return known


def _times(created: datetime) -> dict[str, str]:
    stamp = "workflow.creationTimestamp"
    known = {stamp: to_rfc3339(created) or "", f"{stamp}.RFC3339": to_rfc3339(created) or ""}
    known |= {f"{stamp}.{char}": created.strftime(f"%{char}") for char in _FORMATS if char != "L"}
    return known | {f"{stamp}.L": f".{created.microsecond // 1000:03d}", f"{stamp}.s": str(int(created.timestamp()))}


def named_values(kind: str, values: Mapping[str, str]) -> dict[str, str]:
    """`workflow.labels` or `workflow.annotations`: one by one, and all as JSON."""
    whole = go_json(values, sort=True)
    known = {f"workflow.{kind}": whole, f"workflow.{kind}.json": whole}
    return known | {f"workflow.{kind}.{key}": value for key, value in values.items()}


def parameter_json(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's fields in the order in which Go writes them."""
    return {key: parameter[key] for key in _PARAMETER if key in parameter}


def argument_value(parameter: Mapping[str, Any], catalog: Catalog) -> str:
    """What a parameter of `spec.arguments` is.

    Raises:
        ConfigError: nothing says.
    """
    if parameter.get("value") is not None:
        return parameter["value"]
    name, source = parameter["name"], parameter.get("valueFrom") or {}
    if source.get("configMapKeyRef"):
        try:
            return config_map_value(source, catalog, _nothing)
        except ConfigError as error:
            raise ConfigError(f"failed to set global parameter {name} from configmap: {error}") from error
    if parameter.get("default") is not None:
        return parameter["default"]
    raise ConfigError(f"spec.arguments.{name}.value or spec.arguments.{name}.valueFrom is required")


def _nothing(_tag: str) -> Found:
    return None


def written_metadata(document: Mapping[str, Any], spec: Mapping[str, Any], kind: str) -> dict[str, str]:
    """`labels` or `annotations`: the document's own, and over them those of `workflowMetadata`."""
    more: Mapping[str, Any] = (spec.get("workflowMetadata") or {}).get(kind) or {}
    return {key: str(value) for key, value in {**(document["metadata"].get(kind) or {}), **more}.items()}


def computed_labels(spec: Mapping[str, Any], known: Mapping[str, str], now: datetime) -> dict[str, str]:
    """`workflowMetadata.labelsFrom`: each an expression over the variables.

    Raises:
        ConfigError: one fails, or gives no label.
    """
    asked: Mapping[str, Any] = (spec.get("workflowMetadata") or {}).get("labelsFrom") or {}
    scope = RunVariables(known, status="Pending", now=now, seed=known["workflow.uid"])
    found: dict[str, str] = {}
    for name, source in asked.items():
        text = str(source.get("expression") or "")
        try:
            value = evaluate_value(text, scope)
        except ConfigError as error:
            raise ConfigError(f'failed to evaluate label "{name}" expression "{text}": {error}') from error
        if not isinstance(value, str):
            kind = type(value).__name__
            raise ConfigError(f'failed to evaluate label "{name}" expression "{text}" evaluted to {kind} '
                              "but must be a string")  # fmt: skip
        found[name] = check_label(name, value)
    return found


def check_label(name: str, value: str) -> str:
    """The value, if Kubernetes would take it for a label.

    Raises:
        ConfigError: it would not.
    """
    if len(value) > 63 or _LABEL.fullmatch(value) is None:
        raise ConfigError(f'invalid label value "{value[:100]}" for label "{name}": it must be at most 63 letters, '
                          "digits, '-', '_' or '.', and begin and end with a letter or digit")  # fmt: skip
    return value
