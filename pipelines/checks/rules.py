"""Rules of Argo's linter that look at one thing: names, arguments, outputs, leaves, metrics. Each raises `Invalid`.

Source: workflow/validate/validate.go of Argo Workflows; the texts are upstream's, for people search for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.core.substitute import tags
from retrain.errors import ConfigError

TYPES = ("container", "containerSet", "steps", "script", "resource", "dag", "suspend", "data", "http", "plugin")
LEAVES = frozenset(TYPES) - {"steps", "dag"}
PODS = frozenset({"container", "containerSet", "script", "resource", "data"})
TITLES = {"http": "HTTP", "dag": "DAG", "steps": "Steps", "suspend": "Suspend", "plugin": "Plugin", "script": "Script",
          "container": "Container", "containerSet": "ContainerSet", "resource": "Resource", "data": "Data"}  # fmt: skip
ROOTS = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
POLICIES = ("", "Always", "OnError", "OnFailure", "OnTransientError")
_RESERVED = ("wait", "init", "supervisor", "artifact-plugin-")
_FREE = (
    "outputs.",
    "workflow.creationTimestamp",
    "workflow.scheduledTime",
    "workflow.duration",
    "tasks.name",
    "steps.name",
)
_CHOICES = "container, containerSet, steps, script, resource, dag, suspend, template, template ref"
_FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_PARAMETER = re.compile(r"[-a-zA-Z0-9_]+")
_LOCATIONS = ("artifactory", "azure", "gcs", "git", "hdfs", "http", "oss", "plugin", "raw", "s3")
Named = Sequence[Mapping[str, Any]]


class Invalid(ConfigError):
    """A rule is broken. `code` names it."""

    def __init__(self, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code


def is_parameter(text: str) -> bool:
    return "{{" in text


def check_names(items: Named, where: str, *, parameters: bool = False) -> None:
    """Names are there, fit, and are given once."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = str(item.get("name") or "")
        if not name:
            raise Invalid(f"{where}[{index}].name is required", "name-required")
        if problem := name_problem(name, parameters=parameters):
            raise Invalid(f"{where}[{index}].name: '{name}' is invalid: {problem}", "name-invalid")
        if name in seen:
            raise Invalid(f"{where}[{index}].name '{name}' is not unique", "name-not-unique")
        seen.add(name)


def name_problem(name: str, *, parameters: bool = False) -> str:
    if parameters:
        if _PARAMETER.fullmatch(name):
            return ""
        return (
            "Parameter/Artifact name must consist of alpha-numeric characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"
        )
    if len(name) > 128:
        return "must be no more than 128 characters"
    if _FIELD.fullmatch(name):
        return ""
    return (
        "name must consist of alpha-numeric characters or '-', and must start with an alpha-numeric character "
        "(e.g. My-name1-2, 123-NAME)"
    )


def check_type(template: Mapping[str, Any]) -> str:
    """The one type that a template has."""
    found = [key for key in TYPES if template.get(key) is not None]
    name = template.get("name", "")
    if not found:
        raise Invalid(f"templates.{name} template type unspecified. choose one of: {_CHOICES}", "template-type")
    if len(found) > 1:
        raise Invalid(f"templates.{name} multiple template types specified. choose one of: {_CHOICES}", "template-type")
    return found[0]


def check_arguments(arguments: Mapping[str, Any] | None, prefix: str, *, empty_ok: bool = False) -> None:
    """Arguments have values, of a kind that arguments may have."""
    arguments = arguments or {}
    check_names(arguments.get("parameters") or (), f"{prefix}parameters", parameters=True)
    check_names(arguments.get("artifacts") or (), f"{prefix}artifacts", parameters=True)
    for parameter in arguments.get("parameters") or ():
        _check_argument(parameter, prefix + str(parameter["name"]), empty_ok)
    for artifact in arguments.get("artifacts") or ():
        where = prefix + str(artifact["name"])
        if not artifact.get("from") and not has_location(artifact):
            raise Invalid(f"{where}.from, artifact location, or key is required", "artifact-source")
        if artifact.get("from") and artifact.get("fromExpression"):
            raise Invalid(f"{where} shouldn't have both `from` and `fromExpression` in Artifact", "artifact-source")


def has_location(artifact: Mapping[str, Any]) -> bool:
    return bool(artifact.get("fromExpression")) or any(artifact.get(key) for key in _LOCATIONS)


def _check_argument(parameter: Mapping[str, Any], where: str, empty_ok: bool) -> None:
    source: Mapping[str, Any] | None = parameter.get("valueFrom")
    value = parameter.get("value")
    if source is None and value is None and not empty_ok:
        raise Invalid(f"{where}.value or {where}.valueFrom is required", "argument-value")
    if source is not None and (
        not any(source.get(key) is not None for key in ("configMapKeyRef", "event", "supplied"))
        or any(source.get(key) for key in ("path", "jsonPath", "parameter", "expression"))
    ):
        raise Invalid(f"{where}.valueFrom only allows: default, configMapKeyRef and supplied", "argument-value")
    allowed: list[str] | None = parameter.get("enum")
    if allowed is None:
        return
    if not allowed:
        raise Invalid(f"{where}.enum should contain at least one value", "enum")
    if value is None and not empty_ok:
        raise Invalid(f"{where}.value is required", "enum")
    if value is not None and value not in allowed:
        raise Invalid(f"{where}.value should be present in {where}.enum list", "enum")


def check_tags(value: Any, known: Mapping[str, Any], *, any_parameters: bool = False) -> None:
    """Every `{{tag}}` under one of our roots is known. `known` may hold `item.*` and the like, for any."""
    for tag in tags(value):
        if tag.startswith("=") or not tag.startswith(ROOTS) or tag in known or tag.startswith(_FREE):
            continue
        if any(f"{root}*" in known and tag.startswith(root) for root in _ANY):
            continue
        if any_parameters and tag.startswith("workflow.parameters"):
            continue
        raise Invalid(f"failed to resolve {{{{{written_tag(value, tag)}}}}}", "unresolved-variable")


_ANY = ("item.", "workflow.outputs.parameters.", "workflow.outputs.artifacts.")


def written_tag(value: Any, trimmed: str) -> str:
    """The tag with the spaces that it was written with."""
    found = re.search(r"\{\{(\s*" + re.escape(trimmed) + r"\s*)\}\}", _texts(value))
    return found[1] if found else trimmed


def _texts(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "\n".join([*map(str, value), *map(_texts, value.values())])
    return "\n".join(map(_texts, value)) if isinstance(value, list) else ""


def check_items(step: Mapping[str, Any]) -> dict[str, bool]:
    """What `{{item}}` may be in a loop; at most one kind of loop."""
    loops = [key for key in ("withItems", "withParam", "withSequence") if step.get(key)]
    if len(loops) > 1:
        raise Invalid("only one of withItems, withParam, withSequence can be specified", "loop")
    found: dict[str, bool] = {}
    for item in step.get("withItems") or ():
        if isinstance(item, Mapping):
            found |= {f"item.{key}": True for key in item}
        elif isinstance(item, list):
            found |= {f"item.[{index}]": True for index in range(len(item))}
        found["item"] = True
    if step.get("withParam"):
        found |= {"item": True, "item.*": True}
    sequence: Mapping[str, Any] | None = step.get("withSequence")
    if sequence is not None:
        if sequence.get("count") is not None and sequence.get("end") is not None:
            raise Invalid("only one of count or end can be defined in withSequence", "loop")
        found["item"] = True
    return found


def check_hooks(hooks: Mapping[str, Any] | None, where: str) -> None:
    for name, hook in (hooks or {}).items():
        if name != "exit" and not hook.get("expression"):
            raise Invalid(f"{where}.{name} Expression required", "hook")


def check_outputs(template: Mapping[str, Any], kind: str) -> None:
    """Outputs say where they come from, in a way that fits the template's type."""
    name, outputs = template.get("name", ""), template.get("outputs") or {}
    check_names(outputs.get("parameters") or (), f"templates.{name}.outputs.parameters ", parameters=True)
    check_names(outputs.get("artifacts") or (), f"templates.{name}.outputs.artifacts ", parameters=True)
    for artifact in outputs.get("artifacts") or ():
        where = f"templates.{name}.outputs.artifacts.{artifact['name']}"
        _check_artifact_path(artifact, kind, where)
        _check_global(artifact, where)
    for parameter in outputs.get("parameters") or ():
        where = f"templates.{name}.outputs.parameters.{parameter['name']}"
        _check_output(parameter, kind, where)
        _check_global(parameter, where)


def _check_artifact_path(artifact: Mapping[str, Any], kind: str, where: str) -> None:
    path = artifact.get("path")
    if kind in LEAVES:
        if not path:
            raise Invalid(f"error in {where}: Artifact '{artifact['name']}' did not specify a path", "artifact-path")
        if ".." in str(path).split("/"):
            raise Invalid(f"error in {where}: Artifact path may not traverse up: {path}", "artifact-path")
    elif path:
        raise Invalid(f"{where}.path only valid in container/script templates", "artifact-path")


def _check_global(item: Mapping[str, Any], where: str) -> None:
    name = str(item.get("globalName") or "")
    if name and not is_parameter(name) and (problem := name_problem(name, parameters=True)):
        raise Invalid(f"{where}.globalName: {problem}", "name-invalid")


def _check_output(parameter: Mapping[str, Any], kind: str, where: str) -> None:
    source: Mapping[str, Any] | None = parameter.get("valueFrom")
    if source is None:
        if parameter.get("value") is None:
            raise Invalid(f"{where} does not have valueFrom or value specified", "output-source")
        return
    if parameter.get("value") is not None:
        raise Invalid(f"{where} has both valueFrom and value specified, choose one", "output-source")
    found = [key for key in ("path", "jqFilter", "jsonPath", "parameter", "expression") if source.get(key)]
    found += ["supplied"] if source.get("supplied") is not None else []
    choices = "choose one of: path, jqFilter, jsonPath, parameter, raw"
    if not found:
        raise Invalid(f"valueFrom type unspecified. {choices}, expression", "output-source")
    if len(found) > 1:
        raise Invalid(f"multiple valueFrom types specified. {choices}", "output-source")
    fits = {
        "container": ("path",),
        "containerSet": ("path",),
        "script": ("path",),
        "resource": ("jqFilter", "jsonPath"),
    }
    fitting = {**fits, "dag": ("parameter", "expression"), "steps": ("parameter", "expression")}.get(kind)
    if fitting and found[0] not in fitting:
        words = {
            "resource": " .jqFilter or jsonPath",
            "dag": ".parameter or expression",
            "steps": ".parameter or expression",
        }
        raise Invalid(
            f"{where}{words.get(kind, '.path')} must be specified for {TITLES[kind]} templates", "output-source"
        )


def check_inputs(template: Mapping[str, Any], kind: str) -> None:
    name, inputs = template.get("name", ""), template.get("inputs") or {}
    check_names(inputs.get("parameters") or (), f"templates.{name}.inputs.parameters", parameters=True)
    check_names(inputs.get("artifacts") or (), f"templates.{name}.inputs.artifacts", parameters=True)
    for artifact in inputs.get("artifacts") or ():
        where = f"templates.{name}.inputs.artifacts.{artifact['name']}"
        _check_artifact_path(artifact, kind, where)
        if artifact.get("from"):
            raise Invalid(f"{where}.from not valid in inputs", "artifact-source")


def check_leaf(template: Mapping[str, Any], kind: str, defaults: Mapping[str, Any]) -> None:
    name = template.get("name", "")
    body: Mapping[str, Any] = template[kind] if isinstance(template[kind], Mapping) else {}
    if kind in ("container", "script") and not body.get("image") and not (defaults.get(kind) or {}).get("image"):
        raise Invalid(f"templates.{name}.{kind}.image may not be empty", "image")
    if kind == "container":
        _check_mounts(template, body)
    if kind == "containerSet":
        _check_container_set(template, body)
    if kind == "resource":
        _check_resource(name, body)
    for sidecar in template.get("sidecars") or ():
        _check_reserved(str(sidecar.get("name") or ""), f"templates.{name}.sidecars")
    deadline = template.get("activeDeadlineSeconds")
    if deadline is not None and "{{" not in deadline and not re.fullmatch(r"\d+", deadline):
        text = f"templates.{name}.activeDeadlineSeconds must be a positive integer > 0 or an argo variable"
        raise Invalid(text, "deadline")
    if template.get("parallelism") is not None:
        raise Invalid(f"templates.{name}.parallelism is only valid for steps and dag templates", "parallelism")


def _check_mounts(template: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    name, taken = template.get("name", ""), dict[str, str]()
    mounts: Iterable[tuple[str, str, str]] = (
        *((m.get("mountPath", ""), f"container.volumeMounts[{i}].mountPath", f"container.volumeMounts.{m.get('name')}")
          for i, m in enumerate(body.get("volumeMounts") or ())),
        *((a.get("path", ""), f"inputs.artifacts[{i}].path", f"inputs.artifacts.{a.get('name')}")
          for i, a in enumerate((template.get("inputs") or {}).get("artifacts") or ())),
    )  # fmt: skip
    for path, where, label in mounts:
        if path in taken:
            raise Invalid(f"templates.{name}.{where} '{path}' already mounted in {taken[path]}", "path-taken")
        taken[path] = label


def _check_container_set(template: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    where = f"templates.{template.get('name', '')}.containerSet"
    names = [str(container.get("name") or "") for container in body.get("containers") or ()]
    if not names:
        raise Invalid(f"{where}.containers must have at least one container", "container-set")
    check_names(body["containers"], f"{where}.containers")
    for container in body["containers"]:
        for other in container.get("dependencies") or ():
            if other not in names:
                text = f"{where}.containers.{container['name']} dependency '{other}' not defined"
                raise Invalid(text, "dependency")
    needs = (template.get("inputs") or {}).get("artifacts") or template.get("outputs") or {}
    if needs and "main" not in names:
        text = f'{where}.containers must have a container named "main" for input or output'
        raise Invalid(text, "container-set")
    for one in names:
        _check_reserved(one, f"{where}.containers")


def _check_reserved(name: str, where: str) -> None:
    if name in _RESERVED[:3] or name.startswith(_RESERVED[3]):
        raise Invalid(f'{where}: "{name}" is a reserved Argo container name', "name-reserved")


def _check_resource(name: str, body: Mapping[str, Any]) -> None:
    action = str(body.get("action") or "")
    actions = ("get", "create", "apply", "delete", "replace", "patch")
    if "{{" not in action and action not in actions:
        raise Invalid(f"templates.{name}.resource.action must be one of: {', '.join(actions)}", "resource")
    if action in ("get", "delete"):
        return
    if not body.get("manifest") and body.get("manifestFrom") is None:
        where = f"templates.{name}.resource"
        raise Invalid(f"either {where}.manifest or {where}.manifestFrom must be specified", "resource")


def check_pod_resources(resources: Mapping[str, Any] | None, where: str) -> None:
    if not resources:
        return
    if resources.get("claims"):
        raise Invalid(f"{where}.claims is not supported for pod-level resources", "pod-resources")
    for kind in ("limits", "requests"):
        for name in resources.get(kind) or {}:
            if name not in ("cpu", "memory") and not str(name).startswith("hugepages-"):
                text = f'{where}: "{name}" is not a valid pod-level resource, '
                raise Invalid(text + "only cpu, memory and hugepages-* are supported", "pod-resources")


def check_metrics(template: Mapping[str, Any]) -> None:
    name = template.get("name", "")
    for metric in (template.get("metrics") or {}).get("prometheus") or ():
        title = str(metric.get("name") or "")
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", title):
            raise Invalid(f"templates.{name} metric name '{title}' is invalid. "
                          "Metric names must contain alphanumeric characters or '_'", "metric")  # fmt: skip
        for label in metric.get("labels") or ():
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", str(label.get("key") or "")):
                raise Invalid(f"metric label '{label.get('key')}' is invalid: "
                              "keys may only contain alphanumeric characters or '_'", "metric")  # fmt: skip
        if not metric.get("help"):
            text = f"templates.{name} metric '{title}' must contain a help string under 'help: ' field"
            raise Invalid(text, "metric")
        _check_gauge(metric.get("gauge"), f"templates.{name} metric '{title}' error: ")


def _check_gauge(gauge: Mapping[str, Any] | None, where: str) -> None:
    if gauge is None:
        return
    if not gauge.get("value"):
        raise Invalid(f"{where}missing gauge.value", "metric")
    if gauge.get("realtime") and "resourcesDuration." in str(gauge["value"]):
        raise Invalid(f"{where}'resourcesDuration.*' metrics cannot be used in real-time", "metric")
