"""What is wrong with the filters and the transform of a dependency. Every text in them is compiled here once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from retrain.errors import ConfigError
from retrain.expressions import compile_path, parse_bool, parse_float
from retrain.expressions.gotemplate import compile_template
from retrain.expressions.govaluate import compile_govaluate
from retrain.expressions.jq_program import compile_jq
from retrain.expressions.lua_script import compile_lua
from retrain.manifests import Problem
from sensors.dependency_spec import ContextFilter, DataFilter, ExprFilter, Filters, TimeFilter, Transform
from sensors.filtering.clock_time import parse_clock, zone
from sensors.filtering.patterns import compile_pattern

Where = tuple[str | int, ...]

COMPARATORS = ("=", "!=", ">", ">=", "<", "<=")
TYPES = ("bool", "number", "string")
LOGICAL = ("", "and", "or")


def check_filters(filters: Filters, at: Where, *, ours: bool) -> Iterator[Problem]:
    """Every problem of a dependency's `filters`."""
    yield from check_logical(filters.data_logical_operator, (*at, "dataLogicalOperator"))
    yield from check_logical(filters.expr_logical_operator, (*at, "exprLogicalOperator"))
    for index, one in enumerate(filters.exprs):
        yield from _check_expr_filter(one, (*at, "exprs", index))
    for index, one in enumerate(filters.data):
        yield from _check_data_filter(one, (*at, "data", index), ours=ours)
    if filters.context is not None:
        yield from _check_context_filter(filters.context, (*at, "context"))
    if filters.time is not None:
        yield from _check_time_filter(filters.time, (*at, "time"))
    if filters.script:
        yield from compiles(compile_lua, filters.script, (*at, "script"), "bad-script")


def check_transform(transform: Transform, at: Where) -> Iterator[Problem]:
    """Every problem of a dependency's `transform`."""
    if transform.jq and transform.script:
        message = "jq and script are both written: jq wins, the script does nothing"
        yield Problem((*at, "script"), "ignored-field", message, "warning")
    if transform.jq:
        yield from compiles(compile_jq, transform.jq, (*at, "jq"), "bad-jq")
    elif transform.script:
        yield from compiles(compile_lua, transform.script, (*at, "script"), "bad-script")


def check_logical(operator: str, at: Where) -> Iterator[Problem]:
    """A logical operator is `and`, `or`, or left out."""
    if operator not in LOGICAL:
        yield Problem(at, "wrong-value", f"{operator!r} is neither 'and' nor 'or'")


def compiles(compiler: Callable[[str], object], text: str, at: Where, code: str) -> Iterator[Problem]:
    """What a language says against a text."""
    try:
        compiler(text)
    except ConfigError as error:
        yield Problem(at, code, str(error))


def _check_expr_filter(one: ExprFilter, at: Where) -> Iterator[Problem]:
    for index, field in enumerate(one.fields_):
        here = (*at, "fields", index)
        if not field.name:
            yield Problem((*here, "name"), "missing-field", "a field of an expression has a name")
        yield from compiles(compile_path, field.path, (*here, "path"), "bad-path")
    if not one.expr:
        yield Problem((*at, "expr"), "missing-field", "an expression filter has an expr")
        return
    try:
        names = compile_govaluate(one.expr).names
    except ConfigError as error:
        yield Problem((*at, "expr"), "bad-expression", str(error))
        return
    given = {field.name for field in one.fields_}
    for name in dict.fromkeys(names):
        if name not in given:
            message = f"{name!r} is none of its fields: the filter fails on every event. Add it under fields"
            yield Problem((*at, "expr"), "never-passes", message, "warning")


def _check_context_filter(one: ContextFilter, at: Where) -> Iterator[Problem]:
    for name in ("id", "specversion", "time"):
        if getattr(one, name):
            message = f"context.{name} is not compared, neither here nor in Argo Events"
            yield Problem((*at, name), "ignored-field", message, "warning")


def _check_data_filter(one: DataFilter, at: Where, *, ours: bool) -> Iterator[Problem]:
    yield from compiles(compile_path, one.path, (*at, "path"), "bad-path")
    if one.template:
        yield from compiles(compile_template, one.template, (*at, "template"), "bad-template")
    if one.type not in TYPES:
        yield Problem((*at, "type"), "wrong-value", f"type {one.type!r} is none of {', '.join(TYPES)}")
    if not one.value:
        yield Problem((*at, "value"), "missing-field", "a data filter has at least one value")
    for index, value in enumerate(one.value):
        if message := _value_problem(one, value):
            yield Problem((*at, "value", index), "wrong-value", message)
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
    if not ours and one.comparator == "!=" and one.type != "bool" and len(one.value) > 1:
        message = "'!=' with several values passes if any of them differs, so nearly always; write one filter for each"
        yield Problem((*at, "value"), "always-passes", message, "warning")


def _value_problem(one: DataFilter, value: str) -> str | None:
    match one.type:
        case "string":
            try:
                compile_pattern(value)
            except ConfigError as error:
                return str(error)
        case "number" if parse_float(value) is None:
            return f"{value!r} is no number"
        case "bool" if parse_bool(value) is None:
            return f"{value!r} is no boolean: write true or false"
        case _:
            pass
    return None


def _check_time_filter(one: TimeFilter, at: Where) -> Iterator[Problem]:
    yield from compiles(parse_clock, one.start, (*at, "start"), "wrong-value")
    yield from compiles(parse_clock, one.stop, (*at, "stop"), "wrong-value")
    yield from compiles(zone, one.timezone, (*at, "timezone"), "wrong-value")
