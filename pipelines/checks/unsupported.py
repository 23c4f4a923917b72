"""What the local engine does not do yet, by name. Nothing that would change a result is passed over in silence.

Fields that only speak to a cluster (nodeSelector, resources, serviceAccountName, ...) change nothing of what a step
computes, and are let through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pipelines.spec import AnyDocument, written
from retrain.manifests import Problem

Path = tuple[str | int, ...]
CODE = "unsupported-field"

_SPEC = ("suspend", "shutdown", "synchronization", "executorPlugins")
_TYPES = ("suspend", "containerSet", "resource", "data", "http", "plugin")
_TEMPLATE = (*_TYPES, "daemon", "memoize", "synchronization", "initContainers", "sidecars")
_CONTAINER = ("volumeMounts", "volumeDevices", "lifecycle")
_ENV = ("secretKeyRef", "configMapKeyRef")
_VALUE_FROM = ("expression", "supplied", "jsonPath", "jqFilter", "event")


def unsupported(document: AnyDocument | Mapping[str, Any]) -> Iterator[Problem]:
    """Everything in a Workflow or template document (normalized, if a mapping) that the local engine refuses to run.

    Warnings: Argo itself would run it. The engine refuses to begin where there is one.
    """
    body = document if isinstance(document, Mapping) else written(document)
    spec: Mapping[str, Any] = body.get("spec") or {}
    for key in _SPEC:
        if spec.get(key):
            yield _named(("spec", key))
    if (spec.get("workflowMetadata") or {}).get("labelsFrom"):
        yield _named(("spec", "workflowMetadata", "labelsFrom"))
    yield from _artifacts(spec.get("arguments"), ("spec", "arguments"))
    yield from _hooks(spec.get("hooks"), ("spec", "hooks"))
    yield from _retry(spec.get("retryStrategy"), ("spec", "retryStrategy"))
    for path, template in templates_of(spec):
        yield from unsupported_template(template, path)


def templates_of(spec: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The templates of a spec with their paths; those written inline are parts of theirs."""
    for index, template in enumerate(spec.get("templates") or ()):
        yield ("spec", "templates", index), template
    if spec.get("templateDefaults"):
        yield ("spec", "templateDefaults"), spec["templateDefaults"]


def unsupported_template(template: Mapping[str, Any], path: Path = ()) -> Iterator[Problem]:
    for key in _TEMPLATE:
        if template.get(key) not in (None, False, []):
            yield _named((*path, key))
    yield from _retry(template.get("retryStrategy"), (*path, "retryStrategy"))
    for side in ("inputs", "outputs"):
        yield from _artifacts(template.get(side), (*path, side))
        yield from _sources(template.get(side), (*path, side))
    for kind in ("container", "script"):
        yield from _container(template.get(kind) or {}, (*path, kind))
    for step_path, step in steps_of(template):
        yield from _step(step, path + step_path)
    yield from _expressions({k: v for k, v in template.items() if k not in ("steps", "dag")}, path)


def steps_of(template: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The steps or tasks of a template."""
    for index, group in enumerate(template.get("steps") or ()):
        for at, step in enumerate(group):
            yield ("steps", index, at), step
    for at, task in enumerate((template.get("dag") or {}).get("tasks") or ()):
        yield ("dag", "tasks", at), task


def _step(step: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    yield from _artifacts(step.get("arguments"), (*path, "arguments"))
    yield from _hooks(step.get("hooks"), (*path, "hooks"))
    if step.get("inline"):
        yield from unsupported_template(step["inline"], (*path, "inline"))
    yield from _expressions({k: v for k, v in step.items() if k != "inline"}, path)


def _named(path: Path, what: str = "") -> Problem:
    return Problem(path, CODE, f"{what or path[-1]} is not built yet in the local engine", "warning")


def _artifacts(arguments: Mapping[str, Any] | None, path: Path) -> Iterator[Problem]:
    if arguments and arguments.get("artifacts"):
        yield _named((*path, "artifacts"))


def _sources(side: Mapping[str, Any] | None, path: Path) -> Iterator[Problem]:
    for index, parameter in enumerate((side or {}).get("parameters") or ()):
        for key in _VALUE_FROM:
            if (parameter.get("valueFrom") or {}).get(key) is not None:
                yield _named((*path, "parameters", index, "valueFrom", key), f"valueFrom.{key}")


def _hooks(hooks: Mapping[str, Any] | None, path: Path) -> Iterator[Problem]:
    for name, hook in (hooks or {}).items():
        if name != "exit":
            yield _named((*path, name), f"hooks.{name} (any hook but exit)")
        elif hook.get("expression"):
            yield _named((*path, name, "expression"), "hooks.exit.expression")
        yield from _artifacts(hook.get("arguments"), (*path, name, "arguments"))


def _retry(strategy: Mapping[str, Any] | None, path: Path) -> Iterator[Problem]:
    if strategy and strategy.get("expression"):
        yield _named((*path, "expression"), "retryStrategy.expression")


def _container(container: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for key in _CONTAINER:
        if container.get(key):
            yield _named((*path, key))
    for index, variable in enumerate(container.get("env") or ()):
        for key in cast("Mapping[str, Any]", variable.get("valueFrom") or {}):
            if key not in _ENV:
                yield _named((*path, "env", index, "valueFrom", key), f"env.valueFrom.{key}")


def _expressions(value: Any, path: Path) -> Iterator[Problem]:
    """`{{=expression}}` in any text."""
    if isinstance(value, str):
        if "{{=" in value:
            yield _named(path, "{{=expression}}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _expressions(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _expressions(inner, (*path, index))
