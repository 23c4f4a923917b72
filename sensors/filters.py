"""Filters: whether an event counts for a dependency, and why. Argo Events' rules, as its own code has them.

Kinds are judged in the order data, context, time and joined by `filtersLogicalOperator`. A filter that cannot be judged
(its path leads nowhere) fails the whole under `and`; under `or` as well, unless it is one data filter of several joined
by `or`. Patterns are RE2 and match anywhere. Everything is compiled once.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/sensors/dependencies/filter.go
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import time

import re2

from retrain.errors import ConfigError
from retrain.expressions import Found, Path, compile_path, parse_bool, parse_float
from sensors.clock_time import parse_clock, zone
from sensors.content import Content, content_type
from sensors.dependency_spec import ContextFilter, DataFilter, Dependency, Filters, TimeFilter

MAX_SHOWN = 80
"""Characters of a value that a reason shows."""


@dataclass(frozen=True, slots=True)
class Check:
    """One filter's answer. `path` is "" where the kind has none. `failed`: it could not be judged; `absent`: for lack
    of the value that it asks for."""

    kind: str
    path: str
    passed: bool
    reason: str
    failed: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of all filters of a dependency. `failed`: one of them could not be judged, and that decided."""

    passed: bool
    reason: str
    checks: tuple[Check, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Group:
    """The answer of one kind of filter."""

    passed: bool
    deciding: Check
    failed: bool = False


Judge = Callable[[Content], Verdict]
_OneJudge = Callable[[Content], Check]
_PASSED = Verdict(True, "")


def compile_filters(dependency: Dependency) -> Judge:
    """The filters of a dependency as one function.

    Raises:
        ConfigError: a path, pattern, number or time in them is none, or a kind of filter or the transform is not built.
    """
    if (transform := dependency.transform) is not None and (transform.jq or transform.script):
        raise ConfigError("transform is not built yet")
    filters = dependency.filters
    if filters is None:
        return lambda _content: _PASSED
    _refuse_unbuilt(filters)
    either = dependency.filters_logical_operator == "or"
    data = [_compile_data(one) for one in filters.data]
    any_data = filters.data_logical_operator == "or"
    single: list[_OneJudge] = []
    if filters.context is not None:
        single.append(_compile_context(filters.context))
    if filters.time is not None:
        single.append(_compile_time(filters.time))

    def judge(content: Content) -> Verdict:
        groups: list[_Group] = []
        checks = [test(content) for test in data]
        if checks:
            groups.append(_join_data(checks, any_data))
        for test in single:
            check = test(content)
            checks.append(check)
            groups.append(_Group(check.passed, check, check.failed))
        return _join(groups, tuple(checks), either)

    return judge


def _refuse_unbuilt(filters: Filters) -> None:
    for name, written in (("exprs", filters.exprs), ("script", filters.script)):
        if written:
            raise ConfigError(f"filters.{name} is not built yet")


# --- joining ---


def _join(groups: Sequence[_Group], checks: tuple[Check, ...], either: bool) -> Verdict:
    for group in groups:
        if group.failed:
            return Verdict(False, group.deciding.reason, checks, failed=not group.deciding.absent)
    if either:
        if any(group.passed for group in groups):
            return Verdict(True, "", checks)
        return Verdict(False, groups[0].deciding.reason if groups else "no filter passes: there are none", checks)
    for group in groups:
        if not group.passed:
            return Verdict(False, group.deciding.reason, checks)
    return Verdict(True, "", checks)


def _join_data(checks: Sequence[Check], any_passes: bool) -> _Group:
    failed = next((check for check in checks if check.failed), None)
    refused = next((check for check in checks if not check.passed), checks[0])
    if any_passes:
        if any(check.passed for check in checks):
            return _Group(True, checks[0])
        return _Group(False, failed or refused, failed is not None)
    # In order: upstream stops at the first that refuses or fails.
    return _Group(refused.passed, refused, refused.failed)


# --- data ---


def _compile_data(one: DataFilter) -> _OneJudge:
    if one.template:
        raise ConfigError("a filter's template is not built yet")
    path = compile_path(one.path)
    test = _compile_comparison(one)
    wanted = f"{one.comparator or '='} {' or '.join(one.value)}"

    def judge(content: Content) -> Check:
        try:
            found = _look_up(path, content)
        except ConfigError as error:
            return Check("data", one.path, False, str(error), failed=True)
        if found is None:
            return Check("data", one.path, False, f"path {one.path!r} does not exist", failed=True, absent=True)
        if test(found):
            return Check("data", one.path, True, "")
        return Check("data", one.path, False, f"{one.path} is {_shown(found)}, not {wanted}")

    return judge


def _look_up(path: Path, content: Content) -> Found | None:
    return path.get(content.data)


def _shown(found: Found) -> str:
    text = f"'{found.raw}'" if found.kind == "string" else found.raw
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _compile_comparison(one: DataFilter) -> Callable[[Found], bool]:
    match one.type:
        case "string":
            return _compile_strings(one)
        case "number":
            return _compile_numbers(one)
        case "bool":
            wanted = {_need(parse_bool(value), value, "boolean") for value in one.value}
            return lambda found: found.boolean() in wanted
        case _:
            raise ConfigError(f"a data filter's type is bool, number or string, not {one.type!r}")


def _compile_strings(one: DataFilter) -> Callable[[Found], bool]:
    try:
        patterns = [re2.compile(value) for value in one.value]
    except re2.error as error:
        raise ConfigError(f"one of {list(one.value)} is no RE2 pattern: {error}") from error
    match one.comparator:
        case "" | "=":
            return lambda found: any(p.search(found.text()) is not None for p in patterns)
        case "!=":
            return lambda found: any(p.search(found.text()) is None for p in patterns)
        case _:
            return lambda _found: False


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "": lambda a, b: a == b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def _compile_numbers(one: DataFilter) -> Callable[[Found], bool]:
    numbers = [_need(parse_float(value), value, "number") for value in one.value]
    compare = _COMPARE.get(one.comparator)
    if compare is None:
        return lambda _found: False
    return lambda found: any(compare(found.number(), number) for number in numbers)


def _need(parsed: float | bool | None, text: str, what: str) -> float | bool:
    if parsed is None:
        raise ConfigError(f"{text!r} is no {what}")
    return parsed


# --- context and time ---


def _compile_context(one: ContextFilter) -> _OneJudge:
    def judge(content: Content) -> Check:
        event = content.event
        has = (event.type, event.subject or "", event.source, content_type(event))
        for name, value, wanted in zip(names, has, wants, strict=True):
            if wanted and value != wanted:
                return Check("context", name, False, f"{name} is {value!r}, not {wanted!r}")
        return Check("context", "", True, "")

    names = ("type", "subject", "source", "datacontenttype")
    wants = (one.type, one.subject, one.source, one.datacontenttype)
    return judge


def _compile_time(one: TimeFilter) -> _OneJudge:
    start, stop, where = parse_clock(one.start), parse_clock(one.stop), zone(one.timezone)

    def judge(content: Content) -> Check:
        moment = content.event.time
        if moment is None:
            return Check("time", "", False, "the event has no time", failed=True)
        clock = moment.astimezone(where).time()
        if _within(clock, start, stop):
            return Check("time", "", True, "")
        wanted = f"from {one.start} on and before {one.stop}"
        return Check("time", "", False, f"it is of {clock:%H:%M:%S}, not {wanted}")

    return judge


def _within(clock: time, start: time, stop: time) -> bool:
    if start < stop:
        return start <= clock < stop
    # From before midnight to after it. The same time twice is the whole day.
    return clock >= start or clock < stop
