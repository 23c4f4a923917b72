"""Filters: whether an event counts for a dependency, and why. Argo Events' rules, as its own code has them.

The transform comes first. Then the kinds are judged in the order exprs, data, context, time, script and joined by
`filtersLogicalOperator`. A filter that cannot be judged (its path leads nowhere) fails the whole under `and`; under
`or` as well, though another kind passes, unless the Sensor is of retrain.dev/v1. Everything is compiled once.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/sensors/dependencies/filter.go
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import time
from typing import NamedTuple

from retrain.errors import ConfigError
from retrain.expressions.govaluate import compile_govaluate
from retrain.expressions.lua_script import compile_lua
from sensors.dependency_spec import ContextFilter, Dependency, ExprFilter, Filters, TimeFilter
from sensors.filtering.checks import Check, JudgeOne, failing, first_against, missing, passing, shown
from sensors.filtering.clock_time import parse_clock, zone
from sensors.filtering.content import Content, content_type
from sensors.filtering.data import compile_data
from sensors.filtering.lookup import MISSING, compile_lookup
from sensors.filtering.transform import compile_transform

__all__ = ["Check", "Judge", "Verdict", "compile_dependency", "compile_transform"]


class Verdict(NamedTuple):
    """The answer of all filters of a dependency. `content`: the event as its transform made it; as it came where there
    is none, or it failed. `failed`: the transform or a filter could not be judged, and that decided.

    A tuple, because one is made for each event.
    """

    passed: bool
    reason: str
    checks: tuple[Check, ...]
    failed: bool
    content: Content


Judge = Callable[[Content], Verdict]


class _Kind(NamedTuple):
    """The filters of one kind, and whether one that passes is enough. `dear`: judged only if it still matters."""

    judges: Sequence[JudgeOne]
    either: bool = False
    dear: bool = False


def compile_dependency(dependency: Dependency, *, ours: bool = False) -> Judge:
    """The transform and the filters of a dependency as one function.

    `ours`: the rules of retrain.dev/v1, which are upstream's but in two places: under `or` a filter that cannot be
    judged is a no, and `!=` with several values means none of them.

    Raises:
        ConfigError: a text in them is not in its language.
    """
    judge = _compile_filters(dependency, ours)
    transform = compile_transform(dependency)
    if transform is None:
        return judge

    def transform_and_judge(content: Content) -> Verdict:
        try:
            made = transform(content)
        except ConfigError as error:
            check = failing("transform", "", error)
            return Verdict(False, f"transform: {error}", (check,), True, content)
        return judge(made)

    return transform_and_judge


def _compile_filters(dependency: Dependency, ours: bool) -> Judge:
    filters = dependency.filters
    if filters is None:
        return lambda content: Verdict(True, "", (), False, content)
    kinds = list(_kinds(filters, ours))
    if dependency.filters_logical_operator == "or":
        return _one_of(kinds, lenient=ours)
    if len(kinds) == 1 and len(kinds[0].judges) == 1:
        return _only(kinds[0].judges[0])
    return _all_of(kinds)


def _kinds(filters: Filters, ours: bool) -> list[_Kind]:
    """What is written, in the order in which it is judged. An empty list counts as not written."""
    kinds: list[_Kind] = []
    if filters.exprs:
        either = filters.expr_logical_operator == "or"
        kinds.append(_Kind([_compile_expr(one, either) for one in filters.exprs], either))
    if filters.data:
        data = [compile_data(one, ours=ours) for one in filters.data]
        kinds.append(_Kind(data, filters.data_logical_operator == "or"))
    if filters.context is not None:
        kinds.append(_Kind([_compile_context(filters.context)]))
    if filters.time is not None:
        kinds.append(_Kind([_compile_time(filters.time)]))
    if filters.script:
        kinds.append(_Kind([_compile_script(filters.script)], dear=True))
    return kinds


# --- joining the kinds ---


def _only(judge_one: JudgeOne) -> Judge:
    """The most frequent case by far."""

    def judge(content: Content) -> Verdict:
        check = judge_one(content)
        if check.passed:
            return Verdict(True, "", (check,), False, content)
        return _against(check, (check,), content)

    return judge


def _all_of(kinds: Sequence[_Kind]) -> Judge:
    def judge(content: Content) -> Verdict:
        checks: list[Check] = []
        decides: Check | None = None
        for kind in kinds:
            if kind.dear and decides is not None:
                break
            own = [judge_one(content) for judge_one in kind.judges]
            checks += own
            against = first_against(own, kind.either)
            if against is not None and (decides is None or (against.failed and not decides.failed)):
                decides = against
        if decides is None:
            return Verdict(True, "", tuple(checks), False, content)
        return _against(decides, tuple(checks), content)

    return judge


def _one_of(kinds: Sequence[_Kind], *, lenient: bool) -> Judge:
    """`lenient`: what cannot be judged does not stand in the way of what passes."""

    def judge(content: Content) -> Verdict:
        checks: list[Check] = []
        passed = False
        decides: Check | None = None
        for kind in kinds:
            if kind.dear and lenient and passed:
                break
            own = [judge_one(content) for judge_one in kind.judges]
            checks += own
            against = first_against(own, kind.either)
            passed = passed or against is None
            if against is not None and (decides is None or (against.failed and not decides.failed)):
                decides = against
        if passed and (lenient or decides is None or not decides.failed):
            return Verdict(True, "", tuple(checks), False, content)
        if decides is None:
            return Verdict(False, "no filter passes: there are none", (), False, content)
        return _against(decides, tuple(checks), content)

    return judge


def _against(check: Check, checks: tuple[Check, ...], content: Content) -> Verdict:
    return Verdict(False, check.reason, checks, check.failed and not check.absent, content)


# --- kinds of filter ---


def _compile_expr(one: ExprFilter, either: bool) -> JudgeOne:
    expression = compile_govaluate(one.expr)
    fields = [(field.name, field.path, compile_lookup(field.path)) for field in one.fields_]
    absent = {path: missing("expr", path, shown=one.expr) for _, path, _ in fields}
    passed = passing("expr", one.expr)
    if not fields:
        # Upstream passes over it: no hindrance to the others, and nothing that could let an event pass.
        skipped = Check("expr", one.expr, not either, "it has no fields, so it is not judged")
        return lambda _content: skipped

    def judge(content: Content) -> Check:
        values: dict[str, object] = {}
        try:
            for name, path, lookup in fields:
                value = lookup.value(content)
                if value is MISSING:
                    return absent[path]
                values[name] = value
            result = expression.evaluate(values)
        except ConfigError as error:
            return failing("expr", one.expr, error)
        if result is True:
            return passed
        return Check("expr", one.expr, False, _denied(one.expr, values, result))

    return judge


def _denied(expr: str, values: dict[str, object], result: object) -> str:
    having = shown(", ".join(f"{name} = {_brief(value)}" for name, value in values.items()))
    return f"{expr} is {'false' if result is False else _brief(result)} with {having}"


def _brief(value: object) -> str:
    """A value in a few words: it may have many megabytes."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(shown(value) if isinstance(value, str) else value)


def _compile_context(one: ContextFilter) -> JudgeOne:
    names = ("type", "subject", "source", "datacontenttype")
    wants = (one.type, one.subject, one.source, one.datacontenttype)
    passed = passing("context")

    def judge(content: Content) -> Check:
        event = content.event
        has = (event.type, event.subject or "", event.source, content_type(event))
        for name, value, wanted in zip(names, has, wants, strict=True):
            if wanted and value != wanted:
                return Check("context", name, False, f"{name} is {value!r}, not {wanted!r}")
        return passed

    return judge


def _compile_time(one: TimeFilter) -> JudgeOne:
    start, stop, where = parse_clock(one.start), parse_clock(one.stop), zone(one.timezone)
    passed = passing("time")

    def judge(content: Content) -> Check:
        moment = content.event.time
        if moment is None:
            return Check("time", "", False, "the event has no time", failed=True)
        clock = moment.astimezone(where).time()
        if _within(clock, start, stop):
            return passed
        wanted = f"from {one.start} on and before {one.stop}"
        return Check("time", "", False, f"it is of {clock:%H:%M:%S}, not {wanted}")

    return judge


def _within(clock: time, start: time, stop: time) -> bool:
    if start < stop:
        return start <= clock < stop
    # From before midnight to after it. The same time twice is the whole day.
    return clock >= start or clock < stop


def _compile_script(text: str) -> JudgeOne:
    script = compile_lua(text)
    passed = passing("script")
    refused = Check("script", "", False, "the script does not return true")

    def judge(content: Content) -> Check:
        try:
            return passed if script.passes(content.data) else refused
        except ConfigError as error:
            return failing("script", "", error)

    return judge
