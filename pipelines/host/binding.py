"""What a WorkflowEventBinding makes of an event: a Workflow, or nothing. Pure.

The expressions know `namespace`, `discriminator`, `metadata` (the request's `x-` headers, lower-case, each a list) and
`payload`. The run's name follows from the event, unless the binding computes one: an event that comes twice is one run.

Source: server/event/dispatch/operation.go of Argo Workflows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.expressions.exprlang import Expr, compile_expr
from retrain.store.runs import Engine

BINDING_LABEL = "workflows.argoproj.io/workflow-event-binding"


@dataclass(frozen=True, slots=True)
class Binding:
    """A WorkflowEventBinding, compiled. `parameters` maps names to the expression that gives the value. With no
    `namespace` it takes events of all: a project is one namespace, whatever it is called."""

    name: str
    namespace: str
    selector: Expr
    submit: Mapping[str, Any] | None
    parameters: Mapping[str, Expr]
    own_name: Expr | None = None
    labels: Mapping[str, Expr] | None = None
    annotations: Mapping[str, Expr] | None = None
    engine: Engine = "local"
    """Who is to work on its runs where they do not say."""


def compile_binding(document: Mapping[str, Any]) -> Binding:
    """
    `document` is a normalized WorkflowEventBinding.

    Raises:
        ConfigError: an expression cannot be read.
    """
    spec, metadata = document["spec"], document["metadata"]
    submit: Mapping[str, Any] | None = spec.get("submit")
    given: Mapping[str, Any] = (submit or {}).get("metadata") or {}
    parameters: list[Mapping[str, Any]] = ((submit or {}).get("arguments") or {}).get("parameters") or []
    sources = {str(one["name"]): (one.get("valueFrom") or {}).get("event") for one in parameters}
    return Binding(
        name=str(metadata["name"]),
        namespace=str(metadata.get("namespace") or ""),
        selector=compile_expr(str(spec["event"].get("selector") or "")),
        submit=submit,
        parameters={name: compile_expr(str(text)) for name, text in sources.items() if text},
        own_name=compile_expr(str(given["name"])) if given.get("name") else None,
        labels=_all(given.get("labels")),
        annotations=_all(given.get("annotations")),
    )


def _all(texts: Mapping[str, Any] | None) -> dict[str, Expr]:
    return {str(name): compile_expr(str(text)) for name, text in (texts or {}).items()}


def workflow_of(binding: Binding, event: Mapping[str, JsonValue], key: str) -> dict[str, Any] | None:
    """The Workflow that a binding submits for an event whose identity is `key`; None: it does not want the event.

    Raises:
        ConfigError: an expression fails on this event, or gives something that is no text where one must be.
    """
    wants = binding.selector.evaluate(event)
    if not isinstance(wants, bool):
        raise ConfigError(f"event.selector must give true or false, not {json.dumps(wants)}")
    if not wants or binding.submit is None:
        return None
    ref: Mapping[str, Any] = binding.submit["workflowTemplateRef"]
    name = f"{ref['name']}-{run_id(binding, key)[2:10]}"
    if binding.own_name is not None:
        name = _text("metadata.name", binding.own_name, event)
    labels = {each: _text(f"label {each}", expr, event) for each, expr in (binding.labels or {}).items()}
    metadata: dict[str, Any] = {"name": name, "labels": {**labels, BINDING_LABEL: binding.name}}
    if binding.namespace:
        metadata["namespace"] = binding.namespace
    if binding.annotations:
        metadata["annotations"] = {each: _text(each, expr, event) for each, expr in binding.annotations.items()}
    spec: dict[str, Any] = {"workflowTemplateRef": dict(ref)}
    if arguments := _arguments(binding, event):
        spec["arguments"] = arguments
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


def run_id(binding: Binding, key: str) -> str:
    """The id of the run that a binding makes of an event."""
    return "r-" + sha256(f"{binding.namespace}/{binding.name}@{key}".encode()).hexdigest()[:20]


def _arguments(binding: Binding, event: Mapping[str, JsonValue]) -> dict[str, Any]:
    given: Mapping[str, Any] = (binding.submit or {}).get("arguments") or {}
    parameters: list[dict[str, Any]] = []
    for one in given.get("parameters") or ():
        expr = binding.parameters.get(str(one["name"]))
        plain = {key: value for key, value in one.items() if key != "valueFrom"}
        parameters.append({**plain, "value": _value(expr.evaluate(event))} if expr else dict(one))
    rest = {key: value for key, value in given.items() if key != "parameters"}
    return {**rest, "parameters": parameters} if parameters else rest


def _value(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _text(what: str, expr: Expr, event: Mapping[str, JsonValue]) -> str:
    value = expr.evaluate(event)
    if not isinstance(value, str):
        raise ConfigError(f"{what}: the expression must give a text, not {json.dumps(value)}")
    return value
