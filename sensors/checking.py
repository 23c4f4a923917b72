"""What is wrong with dependencies and triggers of the right shape: names that lead nowhere, texts that do not compile,
and what is known but not built yet. The paths of problems are those of the user's file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from retrain.errors import ConfigError
from retrain.expressions import compile_condition, compile_dest, compile_path, parse_bool, parse_float
from retrain.manifests import Problem
from retrain.manifests.advice import nearest
from retrain.manifests.argo import Shape
from sensors import dependency_spec, trigger_spec
from sensors.clock_time import parse_clock, zone
from sensors.dependency_spec import DataFilter, Dependency, Filters, TimeFilter
from sensors.plugged import check_body, parameters_of
from sensors.shapes import Parameter, ParameterSource
from sensors.trigger_spec import BUILT, ArgoWorkflow, Http, K8s, Promotion, Source, Template, Trigger, kinds_of

Where = tuple[str | int, ...]

COMPARATORS = ("=", "!=", ">", ">=", "<", "<=")
TYPES = ("bool", "number", "string")
OPERATIONS = ("", "overwrite", "append", "prepend")
LOGICAL = ("", "and", "or")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a check must know of the whole Sensor. `ours`: it is of retrain.dev/v1."""

    ours: bool
    dependencies: tuple[str, ...]


def unsupported(path: Where, what: str) -> Problem:
    """Known, and refused by name."""
    return Problem(path, "unsupported-kind", f"{what} is not built yet")


# --- dependencies ---


def check_dependencies(dependencies: Sequence[Dependency], scope: Scope) -> Iterator[Problem]:
    """Every problem of `spec.dependencies`."""
    base: Where = ("spec", "dependencies")
    if not dependencies:
        yield Problem(base, "missing-field", "a sensor has at least one dependency")
    counts = Counter(scope.dependencies)
    for index, one in enumerate(dependencies):
        at = (*base, index)
        for field in ("name", "eventSourceName", "eventName"):
            if not getattr(one, {"name": "name", "eventSourceName": "event_source_name"}.get(field, "event_name")):
                yield Problem((*at, field), "missing-field", f"a dependency has a {field}")
        if counts[one.name] > 1:
            yield Problem((*at, "name"), "duplicate-name", f"several dependencies are named {one.name!r}")
        yield from _check_ours(one, dependency_spec.OURS, at, scope)
        yield from _check_logical(one.filters_logical_operator, (*at, "filtersLogicalOperator"))
        if one.transform is not None:
            for field in ("jq", "script"):
                if getattr(one.transform, field):
                    yield unsupported((*at, "transform", field), f"transform.{field}")
        if one.filters is not None:
            yield from _check_filters(one.filters, (*at, "filters"))


def _check_filters(filters: Filters, at: Where) -> Iterator[Problem]:
    if filters.exprs:
        yield unsupported((*at, "exprs"), "filters.exprs")
    if filters.script:
        yield unsupported((*at, "script"), "filters.script")
    yield from _check_logical(filters.data_logical_operator, (*at, "dataLogicalOperator"))
    yield from _check_logical(filters.expr_logical_operator, (*at, "exprLogicalOperator"))
    for index, one in enumerate(filters.data):
        yield from _check_data_filter(one, (*at, "data", index))
    if filters.time is not None:
        yield from _check_time_filter(filters.time, (*at, "time"))


def _check_data_filter(one: DataFilter, at: Where) -> Iterator[Problem]:
    yield from _compiles(compile_path, one.path, (*at, "path"), "bad-path")
    if one.template:
        yield unsupported((*at, "template"), "a filter's template")
    if one.type not in TYPES:
        yield Problem((*at, "type"), "bad-value", f"type {one.type!r} is none of {', '.join(TYPES)}")
    if not one.value:
        yield Problem((*at, "value"), "missing-field", "a data filter has at least one value")
    for index, value in enumerate(one.value):
        if message := _value_problem(one, value):
            yield Problem((*at, "value", index), "bad-value", message)
    equality = one.comparator in ("", "=", "!=")
    if one.comparator and one.comparator not in COMPARATORS:
        message = f"comparator {one.comparator!r} is none of {', '.join(COMPARATORS)}: the filter never passes"
        yield Problem((*at, "comparator"), "never-passes", message, "warning")
    elif one.type == "string" and not equality:
        message = f"comparator {one.comparator!r} does not compare strings: the filter never passes"
        yield Problem((*at, "comparator"), "never-passes", message, "warning")
    elif one.type == "bool" and one.comparator == "!=":
        message = "the comparator of a bool filter is ignored: this is an equality"
        yield Problem((*at, "comparator"), "ignored-field", message, "warning")
    if one.comparator == "!=" and one.type != "bool" and len(one.value) > 1:
        message = "'!=' with several values passes if any of them differs, so nearly always; write one filter for each"
        yield Problem((*at, "value"), "always-passes", message, "warning")


def _value_problem(one: DataFilter, value: str) -> str | None:
    match one.type:
        case "string":
            try:
                re2.compile(value)
            except re2.error as error:
                return f"{value!r} is no RE2 pattern: {error}"
        case "number" if parse_float(value) is None:
            return f"{value!r} is no number"
        case "bool" if parse_bool(value) is None:
            return f"{value!r} is no boolean: write true or false"
        case _:
            pass
    return None


def _check_time_filter(one: TimeFilter, at: Where) -> Iterator[Problem]:
    yield from _compiles(parse_clock, one.start, (*at, "start"), "bad-value")
    yield from _compiles(parse_clock, one.stop, (*at, "stop"), "bad-value")
    yield from _compiles(zone, one.timezone, (*at, "timezone"), "bad-value")


def _check_logical(operator: str, at: Where) -> Iterator[Problem]:
    if operator not in LOGICAL:
        yield Problem(at, "bad-value", f"{operator!r} is neither 'and' nor 'or'")


# --- triggers ---


def check_triggers(triggers: Sequence[Trigger], scope: Scope) -> Iterator[Problem]:
    """Every problem of `spec.triggers`."""
    base: Where = ("spec", "triggers")
    if not triggers:
        yield Problem(base, "missing-field", "a sensor has at least one trigger")
    counts = Counter(one.template.name for one in triggers if one.template is not None)
    for index, one in enumerate(triggers):
        at = (*base, index)
        if one.template is None:
            yield Problem((*at, "template"), "missing-field", "a trigger has a template")
            continue
        if not one.template.name:
            yield Problem((*at, "template", "name"), "missing-field", "a trigger has a name")
        elif counts[one.template.name] > 1:
            message = f"several triggers are named {one.template.name!r}"
            yield Problem((*at, "template", "name"), "duplicate-name", message)
        yield from _check_execution(one, at, scope)
        yield from _check_template(one.template, (*at, "template"), scope)


def _check_execution(one: Trigger, at: Where, scope: Scope) -> Iterator[Problem]:
    yield from _check_ours(one, trigger_spec.OURS, at, scope)
    yield from _check_parameters(one.parameters, (*at, "parameters"), scope)
    if one.rate_limit is not None:
        yield unsupported((*at, "rateLimit"), "rateLimit")
    if one.dlq_trigger is not None:
        yield unsupported((*at, "dlqTrigger"), "dlqTrigger (what fails for good is kept, see `retrain deadletters`)")
    if one.policy is not None and one.policy.k8s is not None:
        yield unsupported((*at, "policy", "k8s"), "policy.k8s")
    elif one.policy is not None and (one.template is None or one.template.http is None):
        message = "policy.status tells which HTTP answers are good; for another kind of trigger it changes nothing"
        yield Problem((*at, "policy"), "ignored-field", message, "warning")


def _check_template(template: Template, at: Where, scope: Scope) -> Iterator[Problem]:
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
            yield unsupported((*at, kind), f"the {kind} trigger")
        elif kind == "promotion" and not scope.ours:
            yield Problem((*at, kind), "unsupported-kind", "the promotion trigger is one of retrain.dev/v1 only")
    if template.conditions_reset:
        yield unsupported((*at, "conditionsReset"), "conditionsReset")
    yield from _check_condition(template, at, scope)
    yield from _check_kind(template, at, scope)


def _check_condition(template: Template, at: Where, scope: Scope) -> Iterator[Problem]:
    if not template.conditions.strip():
        return
    here = (*at, "conditions")
    try:
        condition = compile_condition(template.conditions)
    except ConfigError as error:
        yield Problem(here, "bad-condition", str(error))
        return
    for name in condition.names:
        if name not in scope.dependencies:
            yield Problem(here, "unknown-dependency", f"unknown dependency {name!r}{_hint(name, scope)}")
    if condition.negated and not scope.ours:
        yield Problem(here, "bad-condition", "'!' is of retrain.dev/v1; Argo Events knows only && || ( )")
    elif condition.negated and condition.holds(()):
        yield Problem(here, "bad-condition", "the condition holds before any event: it would wait for nothing")


def _check_kind(template: Template, at: Where, scope: Scope) -> Iterator[Problem]:
    for field, kind in trigger_spec.KINDS.items():
        body: Any = getattr(template, field)
        if body is None:
            continue
        here = (*at, kind)
        yield from _check_parameters(getattr(body, "parameters", ()), (*here, "parameters"), scope)
        may_be_whole = isinstance(body, Http)
        payload = getattr(body, "payload", ())
        yield from _check_parameters(payload, (*here, "payload"), scope, may_be_whole=may_be_whole)
        match body:
            case K8s() | ArgoWorkflow():
                yield from _check_source(body.source, (*here, "source"))
            case Http():
                yield from _check_http(body, here, scope)
            case Promotion() if not body.name:
                yield Problem((*here, "name"), "missing-field", "a promotion trigger names a Promotion")
            case _:
                pass
    for kind, one in template.plugged.items():
        yield from check_body(one, (*at, kind))
        yield from _check_parameters(parameters_of(one), (*at, kind, "parameters"), scope)


def _check_source(source: Source | None, at: Where) -> Iterator[Problem]:
    if source is None:
        yield Problem(at, "missing-field", "a source is missing: write the object under source.resource")
        return
    for field in ("file", "url", "configmap", "git", "s3"):
        if getattr(source, field) is not None:
            yield unsupported((*at, field), f"source.{field}")
            return
    if source.resource is None and source.inline is None:
        yield Problem(at, "missing-field", "the source is empty: write the object under source.resource")


def _check_http(http: Http, at: Where, scope: Scope) -> Iterator[Problem]:
    if not http.url:
        severity = "error" if scope.ours else "warning"
        yield Problem((*at, "url"), "missing-field", "http has no url: it can send nothing", severity)
    if http.tls is not None:
        yield unsupported((*at, "tls"), "http.tls")
    yield from _check_parameters(http.dynamic_headers, (*at, "dynamicHeaders"), scope)


def _check_parameters(
    parameters: Sequence[Parameter], at: Where, scope: Scope, *, may_be_whole: bool = False
) -> Iterator[Problem]:
    for index, one in enumerate(parameters):
        yield from _check_parameter(one, (*at, index), scope, may_be_whole)


def _check_parameter(one: Parameter, at: Where, scope: Scope, may_be_whole: bool) -> Iterator[Problem]:
    if one.dest:
        yield from _compiles(compile_dest, one.dest, (*at, "dest"), "bad-path")
    elif not may_be_whole:
        yield Problem((*at, "dest"), "missing-field", "a parameter has a dest: where its value goes")
    if one.operation not in OPERATIONS:
        message = f"operation {one.operation!r} is none of overwrite, append, prepend"
        yield Problem((*at, "operation"), "bad-value", message)
    if one.src is None:
        yield Problem((*at, "src"), "missing-field", "a parameter has a src: where its value comes from")
        return
    yield from _check_parameter_source(one.src, (*at, "src"), scope)


def _check_parameter_source(src: ParameterSource, here: Where, scope: Scope) -> Iterator[Problem]:
    name = src.dependency_name
    if not name:
        yield Problem((*here, "dependencyName"), "missing-field", "a parameter's src names a dependency")
    elif name not in scope.dependencies and (scope.ours or src.value is None):
        severity = "error" if scope.ours else "warning"
        message = f"unknown dependency {name!r}{_hint(name, scope)}"
        yield Problem((*here, "dependencyName"), "unknown-dependency", message, severity)
    for field, text in (("dataTemplate", src.data_template), ("contextTemplate", src.context_template)):
        if text:
            yield unsupported((*here, field), f"a parameter's {field}")
    for field, text in (("dataKey", src.data_key), ("contextKey", src.context_key)):
        if text:
            yield from _compiles(compile_path, text, (*here, field), "bad-path")


# --- both ---


def _check_ours(one: Shape, fields: Sequence[str], at: Where, scope: Scope) -> Iterator[Problem]:
    """Fields of retrain.dev/v1: none of them is built, and upstream would drop them."""
    for field in fields:
        if getattr(one, field) is None:
            continue
        if scope.ours:
            yield unsupported((*at, field), field)
        else:
            message = f"{field} is a field of retrain.dev/v1; under argoproj.io/v1alpha1 it changes nothing"
            yield Problem((*at, field), "unknown-field", message, "warning")


def _compiles(compiler: Callable[[str], object], text: str, at: Where, code: str) -> Iterator[Problem]:
    try:
        compiler(text)
    except ConfigError as error:
        yield Problem(at, code, str(error))


def _hint(name: str, scope: Scope) -> str:
    near = nearest(name, list(scope.dependencies))
    return f"; did you mean {near!r}?" if near else f"; there are {', '.join(scope.dependencies) or 'none'}"
