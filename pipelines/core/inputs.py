"""A template with its inputs filled from arguments and its variables from the run: what is started in the end.

Source: `ProcessArgs` and `SubstituteParams` in workflow/common/util.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.core.naming import go_json
from pipelines.core.nodes import Inputs
from pipelines.core.plan import Catalog, config_map_value
from pipelines.core.substitute import ABSENT, Absent, Lookup, replace, sole_tag
from retrain.errors import ConfigError

_PARAMETER = ("name", "default", "value", "valueFrom", "globalName", "enum", "description")
ABSENT_ARGUMENT = "\x00absent"  # a text that no manifest can hold


@dataclass(frozen=True, slots=True)
class Filled:
    """`template` with everything known in it replaced, and what goes into it."""

    template: Mapping[str, Any]
    inputs: Inputs


def fill(
    template: Mapping[str, Any], arguments: Mapping[str, Any], known: Lookup, local: Mapping[str, str], catalog: Catalog
) -> Filled:
    """`known` are the workflow's variables, `local` those of the node, such as `node.name`.

    Twice replaced, as upstream: first what the workflow knows, then the inputs, whose values may name the first.

    Raises:
        ConfigError: an input has no value, or one that is not in its `enum`.
        Unresolved: a value is absent.
    """

    def outer(tag: str) -> str | Absent | None:
        return local[tag] if tag in local else known(tag)

    given = {p["name"]: p for p in arguments.get("parameters") or ()}
    inputs: Mapping[str, Any] = template.get("inputs") or {}
    declared: list[Mapping[str, Any]] = inputs.get("parameters") or []
    values = [{**p, "value": _value(p, given.get(p["name"]), outer, catalog)} for p in declared]
    for p in values:
        p.pop("valueFrom", None)
    body = replace({**template, "inputs": {**inputs, "parameters": values}}, outer)
    parameters: list[Mapping[str, Any]] = body["inputs"]["parameters"]
    for p in parameters:
        _check_enum(p)
    inner = _own(body, parameters)
    whole = replace(body, lambda tag: inner[tag] if tag in inner else outer(tag))
    return Filled(whole, Inputs({p["name"]: p["value"] for p in whole["inputs"]["parameters"]}))


def _value(declared: Mapping[str, Any], given: Mapping[str, Any] | None, known: Lookup, catalog: Catalog) -> str:
    name, value = declared["name"], declared.get("value")
    value = declared.get("default") if value is None else value
    if given is not None and given.get("value") == ABSENT_ARGUMENT:
        if value is None and not declared.get("valueFrom"):
            raise ConfigError(f"inputs.parameters.{name}: argument references an absent optional "
                              "(skipped/omitted node output with no default)")  # fmt: skip
    elif given is not None and given.get("value") is not None:
        return given["value"]
    elif given is not None and (given.get("valueFrom") or {}).get("configMapKeyRef"):
        return config_map_value(given["valueFrom"], catalog, known)
    source: Mapping[str, Any] = declared.get("valueFrom") or {}
    if source.get("configMapKeyRef"):
        return config_map_value(source, catalog, known)
    if value is None:
        raise ConfigError(f"inputs.parameters.{name} was not supplied")
    return value


def _check_enum(parameter: Mapping[str, Any]) -> None:
    allowed: list[str] | None = parameter.get("enum")
    if allowed and "{{" not in parameter["value"] and parameter["value"] not in allowed:
        raise ConfigError(f"inputs.parameters.{parameter['name']} value '{parameter['value']}' is not in its enum list "
                          f"{', '.join(allowed)}")  # fmt: skip


def _own(template: Mapping[str, Any], parameters: list[Mapping[str, Any]]) -> dict[str, str]:
    """The variables that a template has of itself: its inputs, and the paths of its files."""
    own = {f"inputs.parameters.{p['name']}": p["value"] for p in parameters}
    own["inputs.parameters"] = go_json([{k: p[k] for k in _PARAMETER if k in p} for p in parameters])
    outputs: Mapping[str, Any] = template.get("outputs") or {}
    own |= {
        f"inputs.artifacts.{a['name']}.path": a["path"]
        for a in template["inputs"].get("artifacts") or ()
        if a.get("path")
    }
    own |= {f"outputs.artifacts.{a['name']}.path": a["path"] for a in outputs.get("artifacts") or () if a.get("path")}
    for p in outputs.get("parameters") or ():
        if (p.get("valueFrom") or {}).get("path"):
            own[f"outputs.parameters.{p['name']}.path"] = p["valueFrom"]["path"]
    return own


def mark_absent(arguments: Mapping[str, Any], lookup: Lookup) -> Mapping[str, Any]:
    """Arguments that are just `{{a skipped step's output}}` count as not given, so that the input's default holds."""
    parameters: list[Mapping[str, Any]] = arguments.get("parameters") or []
    absent = {
        p["name"] for p in parameters if (tag := sole_tag(p.get("value") or "")) is not None and lookup(tag) is ABSENT
    }
    if not absent:
        return arguments
    marked = [{**p, "value": ABSENT_ARGUMENT} if p["name"] in absent else p for p in parameters]
    return {**arguments, "parameters": marked}
