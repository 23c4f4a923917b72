"""What Argo's linter lets through and a colleague would not: advice, as warnings.

Each looks at the document alone, never at the world. A template that another document may use is not called unused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pipelines.checks.unsupported import Path, containers_of, steps_of, templates_of
from pipelines.core.depends import DependsError, depends_of, tolerant_of
from pipelines.core.substitute import tags
from retrain.manifests import Problem

_LOOPS = ("withItems", "withParam", "withSequence")
_OUTPUT = re.compile(r"(?:steps|tasks)\.([\w-]+)\.outputs\.(parameters|artifacts|result)(?:\.([\w-]+))?")
_SUCCEEDED = frozenset({"", "Succeeded", "Daemoned", "AnySucceeded"})
_TEXT = r"""(?:"[^"]*"|'[^']*')"""
_NUMBER = r"-?\d+(?:\.\d+)?(?![\w.])"
_ORDER = r"\s*(?:<=?|>=?)\s*"
_TEXT_AGAINST_NUMBER = re.compile(rf"{_TEXT}{_ORDER}{_NUMBER}|(?<![\w.]){_NUMBER}{_ORDER}{_TEXT}")
_NO_RESULT = ("suspend", "resource", "steps", "dag")
Part = Mapping[str, Any]


def advise(document: Part) -> Iterator[Problem]:
    """What is worth a second look in a Workflow or a template document (normalized)."""
    spec: Part = document.get("spec") or {}
    path: Path = ("spec",)
    if "workflowSpec" in spec:
        spec, path = spec["workflowSpec"], ("spec", "workflowSpec")
    if document.get("kind") in ("Workflow", "CronWorkflow"):
        yield from _unused_templates(spec, path)
        yield from _unused_arguments(spec, path)
    for where, template in templates_of(spec):
        at = path + where
        yield from _unused_inputs(template, at)
        yield from _containers(spec, template, at)
        yield from _retry(template, at)
        yield from _steps(spec, template, at)


def _warn(path: Path, code: str, message: str) -> Problem:
    return Problem(path, code, message, "warning")


# --- what nobody uses -----------------------------------------------------------------------------------------------


def _unused_templates(spec: Part, path: Path) -> Iterator[Problem]:
    named = {str(t.get("name") or ""): t for t in spec.get("templates") or ()}
    if not spec.get("entrypoint") or spec.get("workflowTemplateRef"):
        return
    used: set[str] = set()
    waiting = [str(spec["entrypoint"]), str(spec.get("onExit") or ""), *_hooked(spec)]
    while waiting:
        name = waiting.pop()
        if "{{" in name:
            return  # which one it is, is known when it runs
        if name in named and name not in used:
            used.add(name)
            waiting += _called(named[name])
    for index, template in enumerate(spec.get("templates") or ()):
        name = template.get("name")
        if name and name not in used:
            yield _warn(
                (*path, "templates", index),
                "unused-template",
                f"template {name!r} is never called from the entrypoint {spec['entrypoint']!r}",
            )


def _called(template: Part) -> Iterator[str]:
    for _, step in steps_of(template):
        yield str(step.get("template") or "")
        yield str(step.get("onExit") or "")
        yield from _hooked(step)
        if step.get("inline"):
            yield from _called(step["inline"])


def _hooked(part: Part) -> Iterator[str]:
    for hook in (part.get("hooks") or {}).values():
        yield str(hook.get("template") or "")


def _unused_arguments(spec: Part, path: Path) -> Iterator[Problem]:
    if spec.get("workflowTemplateRef") or _refers(spec):
        return  # templates elsewhere may read it
    read = _read(spec)
    entry = next((t for t in spec.get("templates") or () if t.get("name") == spec.get("entrypoint")), None)
    taken = {p.get("name") for p in ((entry or {}).get("inputs") or {}).get("parameters") or ()}
    if "workflow.parameters" in read or "workflow.parameters.json" in read:
        return
    for index, parameter in enumerate((spec.get("arguments") or {}).get("parameters") or ()):
        name = parameter.get("name")
        if name not in taken and not _is_read(read, "workflow.parameters", str(name)):
            yield _warn(
                (*path, "arguments", "parameters", index),
                "unused-parameter",
                f"parameter {name!r} is read nowhere: {{{{workflow.parameters.{name}}}}}",
            )


def _refers(value: Any) -> bool:
    if isinstance(value, Mapping):
        part = cast("Part", value)
        return "templateRef" in part or any(map(_refers, part.values()))
    return isinstance(value, list) and any(map(_refers, cast("list[Any]", value)))


def _unused_inputs(template: Part, path: Path) -> Iterator[Problem]:
    body = {key: value for key, value in template.items() if key != "inputs"}
    inputs: Part = template.get("inputs") or {}
    read = _read(body) | _read(inputs)
    if "inputs.parameters" in read:
        return
    # What a person is asked for is declared twice: as an input with its choices, and as a supplied output.
    outputs: Part = (template.get("outputs") or {}) if template.get("suspend") is not None else {}
    asked = {str(parameter.get("name")) for parameter in outputs.get("parameters") or ()}
    for index, parameter in enumerate(inputs.get("parameters") or ()):
        name = str(parameter.get("name"))
        if name not in asked and not _is_read(read, "inputs.parameters", name):
            yield _warn(
                (*path, "inputs", "parameters", index),
                "unused-parameter",
                f"input {name!r} is read nowhere in the template: {{{{inputs.parameters.{name}}}}}",
            )


def _read(value: Any) -> set[str]:
    return set(tags(value))


def _is_read(read: set[str], prefix: str, name: str) -> bool:
    exact = f"{prefix}.{name}"
    return exact in read or any(
        tag.startswith("=") and (exact in tag or (prefix in tag and name in tag)) for tag in read
    )


# --- containers -----------------------------------------------------------------------------------------------------


def _containers(spec: Part, template: Part, path: Path) -> Iterator[Problem]:
    for where, container in containers_of(template):
        image = str(container.get("image") or "")
        if image and "{{" not in image and _is_floating(image):
            yield _warn(
                (*path, *where, "image"),
                "image-tag",
                f"image {image!r} names no version, so a later run may get another: add a tag or a digest",
            )
        if _wants_gpu(container) and not _has_deadline(spec, template):
            yield _warn(
                (*path, *where, "resources"),
                "gpu-deadline",
                "a step that holds a GPU has no activeDeadlineSeconds: a hanging one holds it for ever",
            )


def _is_floating(image: str) -> bool:
    if image in ("any", "host"):  # the tools of the machine that runs it
        return False
    last = image.rpartition("/")[2]
    return "@" not in last and (":" not in last or last.endswith(":latest"))


def _wants_gpu(container: Part) -> bool:
    resources: Part = container.get("resources") or {}
    wanted = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return any(str(name).endswith("/gpu") for name in wanted)


def _has_deadline(spec: Part, template: Part) -> bool:
    defaults: Part = spec.get("templateDefaults") or {}
    named = ("activeDeadlineSeconds", "timeout")
    return bool(spec.get("activeDeadlineSeconds")) or any(p.get(key) for p in (template, defaults) for key in named)


def _retry(template: Part, path: Path) -> Iterator[Problem]:
    strategy: Part = template.get("retryStrategy") or {}
    if strategy.get("backoff") and strategy.get("limit") is None:
        yield _warn(
            (*path, "retryStrategy"),
            "backoff-without-limit",
            "without a limit Argo tries for ever and does not wait in between: set one",
        )


# --- steps and tasks ------------------------------------------------------------------------------------------------


def _steps(spec: Part, template: Part, path: Path) -> Iterator[Problem]:
    steps = {str(step.get("name")): step for _, step in steps_of(template)}
    templates = {str(t.get("name")): t for t in spec.get("templates") or ()}
    for where, step in steps_of(template):
        at = path + where
        when = str(step.get("when") or "")
        if _TEXT_AGAINST_NUMBER.search(when):
            yield _warn(
                (*at, "when"),
                "when-types",
                f"when {when!r} compares a text with a number, which fails: leave the quotes out",
            )
        for name, kind, output in _outputs_read(step):
            if name in steps:
                yield from _reading(at, step, (name, kind, output), steps, templates)


def _outputs_read(step: Part) -> list[tuple[str, str, str]]:
    return list(dict.fromkeys((m[1], m[2], m[3] or "") for tag in tags(step) for m in _OUTPUT.finditer(tag)))


def _reading(
    at: Path, step: Part, read: tuple[str, str, str], steps: Mapping[str, Part], templates: Mapping[str, Part]
) -> Iterator[Problem]:
    name, kind, output = read
    producer = steps[name]
    called: Part = producer.get("inline") or templates.get(str(producer.get("template"))) or {}
    if kind == "artifacts" and any(producer.get(key) is not None for key in _LOOPS):
        yield _warn(
            at,
            "not-portable",
            f"the artifacts of the loop {name!r} come as a directory with one entry per item here; "
            "Argo does not pass them on",
        )
    if kind == "result" and any(called.get(key) is not None for key in _NO_RESULT):
        made = next(key for key in _NO_RESULT if called.get(key) is not None)
        yield _warn(at, "output-never-made", f"{name!r} is a {made} template: it has no outputs.result")
    if kind in ("parameters", "artifacts") and _only_after_failure(step, name, steps):
        text = f"this runs only when {name!r} did not succeed, and then its output {output!r} may not be there"
        yield _warn(at, "output-never-made", text)


def _only_after_failure(step: Part, name: str, steps: Mapping[str, Part]) -> bool:
    if not step.get("depends"):
        return False
    try:
        depends = depends_of(step, tolerant_of(steps))
    except DependsError:
        return False
    states = {result for other, result in depends.terms if other == name} if depends else set()
    return bool(states) and not states & _SUCCEEDED
