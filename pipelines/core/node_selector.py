"""`--node-field-selector`: which nodes of a run are meant, such as `displayName=train,phase!=Succeeded`. Pure.

Source: `SelectorMatchesNode` of Argo's workflow/util; Kubernetes' field selectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.core.nodes import Node
from retrain.errors import ConfigError

_TERM = re.compile(r"\s*([A-Za-z.]+(?:\.[^=!,]+)?)\s*(==|!=|=)\s*([^,=!]*)\s*")
_PARAMETER = re.compile(r"inputs\.parameters\.(.+)\.value")
FIELDS = ("displayName", "id", "name", "phase", "templateName", "templateRef.name", "templateRef.template")


def compile_selector(text: str) -> Callable[[Node], bool]:
    """Whether a node fits every term of the selector.

    Raises:
        ConfigError: it cannot be read, or names a field that nodes do not have; the message says what there is.
    """
    terms = [_term(part) for part in text.split(",")]
    return lambda node: all(term(node) for term in terms)


def _term(text: str) -> Callable[[Node], bool]:
    found = _TERM.fullmatch(text)
    if found is None:
        raise ConfigError(f"node field selector {text!r}: a term is field=value or field!=value")
    field, wanted, equal = found[1].strip(), found[3].strip(), found[2] != "!="
    parameter = _PARAMETER.fullmatch(field)
    if parameter is None and field not in FIELDS:
        known = ", ".join((*FIELDS, "inputs.parameters.NAME.value"))
        raise ConfigError(f"node field selector: nodes have no field {field!r}; there are {known}")
    name = parameter[1] if parameter else None
    return lambda node: (_value(node, field, name) == wanted) is equal


def _value(node: Node, field: str, parameter: str | None) -> str | None:
    if parameter is not None:
        return node.inputs.parameters.get(parameter)
    reference: Mapping[str, Any] = node.template_ref or {}
    match field:
        case "displayName":
            return node.display_name
        case "templateName":
            return reference.get("template") or node.template_name
        case "phase":
            return str(node.phase)
        case "templateRef.name" | "templateRef.template":
            return reference.get(field.removeprefix("templateRef."))
        case _:
            return node.id if field == "id" else node.name
