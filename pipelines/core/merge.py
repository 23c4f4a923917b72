"""One spec over another: a Workflow over the WorkflowTemplate that it names, a template over `templateDefaults`.

Maps are merged key by key. A list whose items have a name of their own is merged by it: the base's order, then what is
new. Any other list is replaced. This is Kubernetes' strategic merge patch with the merge keys of Argo's types.

Source: workflow/util/merge.go and `mergedTemplateDefaultsInto` of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pipelines.core.artifacts import LOCATIONS

MERGE_KEYS = {
    "artifacts": "name", "env": "name", "hostAliases": "ip", "imagePullSecrets": "name", "initContainers": "name",
    "parameters": "name", "ports": "containerPort", "sidecars": "name", "tasks": "name", "templates": "name",
    "tolerations": "key", "volumeDevices": "devicePath", "volumeMounts": "mountPath", "volumes": "name",
}  # fmt: skip
TYPES = ("container", "script", "steps", "dag", "suspend", "containerSet", "resource", "data", "http", "plugin")
_VALUES = ("value", "valueFrom", "default")


def merged_spec(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A workflow's spec over its template's. Arguments go by name, hooks and `labelsFrom` are not mixed, and only the
    workflow itself can ask to be suspended."""
    rest = {key: value for key, value in over.items() if key not in ("arguments", "hooks")}
    merged = strategic(base, rest)
    merged["arguments"] = merged_arguments(base.get("arguments") or {}, over.get("arguments") or {})
    hooks = {**(base.get("hooks") or {}), **(over.get("hooks") or {})}
    if hooks:
        merged["hooks"] = hooks
    _own_labels(merged, base, over)
    merged.pop("suspend", None)
    if over.get("suspend") is not None:
        merged["suspend"] = over["suspend"]
    return {key: value for key, value in merged.items() if key != "arguments" or value}


def _own_labels(merged: dict[str, Any], base: Mapping[str, Any], over: Mapping[str, Any]) -> None:
    found: dict[str, Any] = {}
    for spec in (base, over):
        found |= (spec.get("workflowMetadata") or {}).get("labelsFrom") or {}
    if found:
        merged["workflowMetadata"] = {**merged["workflowMetadata"], "labelsFrom": found}


def merged_arguments(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and artifacts by name, the second ones win. A value replaces what the other said of the value."""
    out: dict[str, Any] = {}
    for kind in ("parameters", "artifacts"):
        named = {one["name"]: one for one in base.get(kind) or ()}
        for item in over.get(kind) or ():
            old = named.get(item["name"])
            named[item["name"]] = item if old is None else _argument(kind, old, item)
        if named:
            out[kind] = list(named.values())
    return out


def _argument(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "parameters":
        valued = any(new.get(key) is not None for key in _VALUES)
        return {**{k: v for k, v in old.items() if not valued or k not in _VALUES}, **new}
    places = [key for key in LOCATIONS if key in old], [key for key in LOCATIONS if key in new]
    if places[0] == places[1]:
        return strategic(old, new)
    return dict(new) if places[1] else {**old, **new}


def merged_template(defaults: Mapping[str, Any] | None, template: Mapping[str, Any]) -> Mapping[str, Any]:
    """A template over `templateDefaults`: what is of another type than the template's is left out."""
    if not defaults:
        return template
    fitting = {key: value for key, value in defaults.items() if key not in TYPES or key in template}
    return strategic(fitting, template)


def strategic(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        out[key] = _merged(key, out[key], value) if key in out else value
    return out


def _merged(key: str, base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return strategic(cast("Mapping[str, Any]", base), cast("Mapping[str, Any]", over))
    if isinstance(base, list) and isinstance(over, list) and key in MERGE_KEYS:
        return _by_name(MERGE_KEYS[key], cast("list[Any]", base), cast("list[Any]", over))
    return over


def _by_name(key: str, base: Sequence[Any], over: Sequence[Any]) -> list[Any]:
    if not all(isinstance(one, Mapping) and key in one for one in (*base, *over)):
        return list(over)
    named: dict[Any, Mapping[str, Any]] = {one[key]: one for one in base}
    for one in over:
        named[one[key]] = strategic(named[one[key]], one) if one[key] in named else one
    return list(named.values())
