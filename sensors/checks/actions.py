"""What is wrong with what a trigger asks for: its kind, the object it submits, and the parameters that fill it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from retrain.events import OWN_EVENTS
from retrain.expressions import compile_dest, compile_path
from retrain.expressions.gotemplate import compile_template
from retrain.manifests import Problem
from sensors import trigger_spec
from sensors.actions.plugged import check_body, parameters_of
from sensors.actions.variable_table import portable_source
from sensors.actions.variables import variables_in
from sensors.actions.windows import WINDOWS
from sensors.checks.filters import Where, compiles
from sensors.checks.objects import check_object
from sensors.checks.triggers import Scope
from sensors.shapes import Parameter, ParameterSource
from sensors.trigger_spec import BUILT, ArgoWorkflow, Http, K8s, Kafka, Retrain, Source, Template, kinds_of

OPERATIONS = ("", "overwrite", "append", "prepend")
WORKFLOW_OPERATIONS = ("submit", "submit-from", "resubmit", "retry", "resume", "suspend", "stop", "terminate")
OBJECT_OPERATIONS = ("create", "update", "patch", "delete")
SOURCES = ("resource", "inline", "configmap", "file", "git", "url", "s3")
NEEDED: dict[str, tuple[str, ...]] = {
    "awsLambda": ("functionName", "region", "payload"),
    "email": ("host", "subject", "body", "from", "to"),
    "http": ("url",),
    "kafka": ("url", "topic", "payload"),
    "nats": ("url", "subject", "payload"),
    "promotion": ("name",),
    "retrain": ("eventName",),
    "slack": ("channel", "slackToken"),
}
"""What each kind of trigger cannot do without, unless a parameter brings it."""
WITHOUT_EFFECT: dict[str, tuple[str, ...]] = {
    "kafka": ("version", "flushFrequency", "partition"),
    "log": ("intervalSeconds",),
}
"""Fields that are known, and change nothing."""
INSTEAD = "; send it by an http trigger, or bring the kind by a plugin"
OURS = frozenset({"promotion", "retrain"})
"""Kinds of trigger that only retrain.dev/v1 has."""
"""Beginnings of names that the platform gives to its own events."""


def unsupported(path: Where, what: str, instead: str = "") -> Problem:
    """Known, and refused by name."""
    return Problem(path, "unsupported-kind", f"{what} is not built yet{instead}")


def check_template(template: Template, at: Where, scope: Scope) -> Iterator[Problem]:
    kinds = kinds_of(template)
    if not kinds:
        built = ", ".join(sorted(BUILT))
        yield Problem(at, "unsupported-kind", f"the template names no kind of trigger that is known; built are {built}")
    if len(kinds) > 1:
        yield Problem(at, "conflicting-fields", f"a template has one kind of trigger, not {' and '.join(kinds)}")
    for kind in kinds:
        if kind in template.plugged:
            continue
        if kind not in BUILT:
            yield unsupported((*at, kind), f"the {kind} trigger", INSTEAD)
        elif kind in OURS and not scope.ours:
            yield Problem((*at, kind), "unsupported-kind", f"the {kind} trigger is one of retrain.dev/v1 only")
    yield from _check_kind(template, at, scope)


def _check_kind(template: Template, at: Where, scope: Scope) -> Iterator[Problem]:
    for field, kind in trigger_spec.KINDS.items():
        body: Any = getattr(template, field)
        if body is None:
            continue
        here = (*at, kind)
        yield from check_parameters(getattr(body, "parameters", ()), (*here, "parameters"), scope)
        may_be_whole = isinstance(body, Http)
        payload = getattr(body, "payload", ())
        yield from check_parameters(payload, (*here, "payload"), scope, may_be_whole=may_be_whole)
        match body:
            case K8s() | ArgoWorkflow():
                known = OBJECT_OPERATIONS if isinstance(body, K8s) else WORKFLOW_OPERATIONS
                yield from _check_operation(body.operation, known, here)
                yield from _check_source(body.source, (*here, "source"))
                yield from _check_variables(body.source, (*here, "source", "resource"), scope)
                if isinstance(body, K8s):
                    yield from check_object(body, here, scope)
            case Http():
                yield from check_parameters(body.dynamic_headers, (*here, "dynamicHeaders"), scope)
            case Kafka() if body.schema_registry is not None:
                yield unsupported((*here, "schemaRegistry"), "kafka.schemaRegistry")
            case Retrain() if body.event_name.startswith(OWN_EVENTS):
                message = f"{body.event_name!r} is a name that the platform gives to its own events; take another"
                yield Problem((*here, "eventName"), "wrong-value", message)
            case _:
                pass
        yield from _check_needed(kind, body, here, scope)
    for kind, one in template.plugged.items():
        yield from check_body(one, (*at, kind))
        yield from check_parameters(parameters_of(one), (*at, kind, "parameters"), scope)


def _check_needed(kind: str, body: Any, here: Where, scope: Scope) -> Iterator[Problem]:
    written = body.model_dump(by_alias=True, exclude_unset=True)
    filled = {one.dest for one in getattr(body, "parameters", ())}
    for name in NEEDED.get(kind, ()):
        if not written.get(name) and name not in filled:
            # Upstream's manifests load, and may be filled by the trigger's own parameters.
            severity = "error" if scope.ours else "warning"
            yield Problem((*here, name), "missing-field", f"{kind} has no {name}: it can send nothing", severity)

    for name in WITHOUT_EFFECT.get(kind, ()):
        if name in written:
            yield Problem((*here, name), "ignored-field", f"{kind}.{name} is read and changes nothing", "warning")
    if (tls := getattr(body, "tls", None)) is not None and tls.insecure_skip_verify:
        message = "the server's certificate is not checked: anybody in between can read and answer"
        yield Problem((*here, "tls", "insecureSkipVerify"), "insecure", message, "warning")


def _check_variables(source: Source | None, at: Where, scope: Scope) -> Iterator[Problem]:
    """Variables that only we fill, in a manifest that is Argo's: how to say the same there."""
    if scope.ours or source is None:
        return
    bound = {one.name: one.event_source_name for one in scope.dependencies}
    for index, name in variables_in(source.resource):
        where = (*at, "spec", "arguments", "parameters", index, "value")
        message = f"{{{{inputs.parameters.{name}}}}} is filled here from the event; Argo Events knows no such variable"
        if (said := portable_source(name, bound)) is not None:
            src = ", ".join(f"{field}: {value}" for field, value in said.items())
            dest = f"spec.arguments.parameters.{index}.value"
            message += f". There write, beside source, parameters: [{{src: {{{src}}}, dest: {dest}}}]"
        yield Problem(where, "not-portable", message, "warning")


def _check_operation(operation: str, known: Sequence[str], here: Where) -> Iterator[Problem]:
    if operation and operation not in known:
        yield Problem((*here, "operation"), "wrong-value", f"operation {operation!r} is none of {', '.join(known)}")


def _check_source(source: Source | None, at: Where) -> Iterator[Problem]:
    if source is None:
        yield Problem(at, "missing-field", "a source is missing: write the object under source.resource")
        return
    written = [name for name in SOURCES if getattr(source, name) is not None]
    if not written:
        yield Problem(at, "missing-field", "the source is empty: write the object under source.resource")
    elif len(written) > 1:
        message = f"the object comes from one place, not from {' and '.join(written)}"
        yield Problem(at, "conflicting-fields", message)


def check_parameters(
    parameters: Sequence[Parameter], at: Where, scope: Scope, *, may_be_whole: bool = False
) -> Iterator[Problem]:
    for index, one in enumerate(parameters):
        yield from _check_parameter(one, (*at, index), scope, may_be_whole)


def _check_parameter(one: Parameter, at: Where, scope: Scope, may_be_whole: bool) -> Iterator[Problem]:
    if one.dest:
        yield from compiles(compile_dest, one.dest, (*at, "dest"), "bad-path")
    elif not may_be_whole:
        yield Problem((*at, "dest"), "missing-field", "a parameter has a dest: where its value goes")
    if one.operation not in OPERATIONS:
        message = f"operation {one.operation!r} is none of overwrite, append, prepend"
        yield Problem((*at, "operation"), "wrong-value", message)
    if one.src is None:
        yield Problem((*at, "src"), "missing-field", "a parameter has a src: where its value comes from")
        return
    yield from _check_parameter_source(one.src, (*at, "src"), scope)


def _check_parameter_source(src: ParameterSource, here: Where, scope: Scope) -> Iterator[Problem]:
    name = src.dependency_name
    if src.window and not scope.ours:
        message = "window is a field of retrain.dev/v1; under argoproj.io/v1alpha1 it changes nothing"
        yield Problem((*here, "window"), "unknown-field", message, "warning")
    elif src.window and src.window not in WINDOWS:
        message = f"window {src.window!r} is none of {', '.join(WINDOWS)}"
        yield Problem((*here, "window"), "wrong-value", message)
    whole = scope.ours and src.window in ("count", "keys", "list", "manifest")
    if not name and not whole:
        yield Problem((*here, "dependencyName"), "missing-field", "a parameter's src names a dependency")
    elif name and name not in scope.names and (scope.ours or src.value is None):
        severity = "error" if scope.ours else "warning"
        message = f"unknown dependency {name!r}{scope.hint(name)}"
        yield Problem((*here, "dependencyName"), "unknown-dependency", message, severity)
    for field, text in (("dataTemplate", src.data_template), ("contextTemplate", src.context_template)):
        for problem in compiles(compile_template, text, (*here, field), "bad-template") if text else ():
            # Upstream finds out with each event, and takes the key or the value then.
            falls_back = src.data_key or src.context_key or src.value is not None
            yield replace(problem, severity="warning") if falls_back and not scope.ours else problem
    for field, text in (("dataKey", src.data_key), ("contextKey", src.context_key)):
        if text:
            yield from compiles(compile_path, text, (*here, field), "bad-path")
