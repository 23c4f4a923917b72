"""Data filters: compare what a path finds in an event's data with any of several values.

Strings are RE2 patterns that match anywhere, numbers and booleans are read as Go reads them. A `template` makes a new
text of the value first.
"""

from __future__ import annotations

from collections.abc import Callable

from retrain.errors import ConfigError
from retrain.expressions import Found, parse_bool, parse_float
from retrain.expressions.gotemplate import compile_template
from sensors.dependency_spec import DataFilter
from sensors.filtering.checks import Check, JudgeOne, failing, missing, passing, shown
from sensors.filtering.content import Content
from sensors.filtering.lookup import compile_lookup
from sensors.filtering.patterns import compile_pattern

_Test = Callable[[Found], bool]
_Fill = Callable[[Found, Content], Found]


def compile_data(one: DataFilter, *, ours: bool) -> JudgeOne:
    """A data filter as a function. `ours`: `!=` with several values means none of them, as retrain.dev/v1 has it;
    upstream takes it for "differs from any of them", which is nearly always so.

    Raises:
        ConfigError: its path, type, one of its values or its template is none.
    """
    lookup = compile_lookup(one.path)
    test = _compile_comparison(one, ours)
    fill = _compile_template(one.template) if one.template else None
    passed, absent = passing("data", one.path), missing("data", one.path)
    wanted = f"{one.comparator or '='} {' or '.join(one.value)}"

    def judge(content: Content) -> Check:
        try:
            found = lookup.found(content)
            if found is None:
                return absent
            if fill is not None:
                found = fill(found, content)
            if test(found):
                return passed
        except ConfigError as error:
            return failing("data", one.path, error)
        return Check("data", one.path, False, f"{one.path} is {_said(found)}, not {wanted}")

    return judge


def _said(found: Found) -> str:
    return shown(f"'{found.raw}'" if found.kind == "string" else found.raw)


def _compile_template(text: str) -> _Fill:
    template = compile_template(text)

    def fill(found: Found, content: Content) -> Found:
        # A filter has no other time than the event's own, so that a replay judges as it did.
        event = content.event
        made = template.render({"Input": found.text()}, now=event.time, seed=f"{event.source} {event.id}")
        if made in ("", "<no value>"):
            raise ConfigError(f"the template {text!r} made no value")
        return Found("string", made)

    return fill


def _compile_comparison(one: DataFilter, ours: bool) -> _Test:
    if not one.value:
        raise ConfigError("a data filter has at least one value")
    match one.type:
        case "string":
            tests = _compile_strings(one)
        case "number":
            tests = _compile_numbers(one)
        case "bool":
            wanted = {_need(parse_bool(value), value, "boolean") for value in one.value}
            return lambda found: found.boolean() in wanted
        case _:
            raise ConfigError(f"a data filter's type is bool, number or string, not {one.type!r}")
    if len(tests) == 1:
        return tests[0]
    if ours and one.comparator == "!=":
        return lambda found: all(test(found) for test in tests)
    return lambda found: any(test(found) for test in tests)


def _compile_strings(one: DataFilter) -> list[_Test]:
    patterns = [compile_pattern(value) for value in one.value]
    if one.comparator in ("", "="):
        return [_matching(pattern) for pattern in patterns]
    if one.comparator == "!=":
        return [_not_matching(pattern) for pattern in patterns]
    return [_never]


def _matching(pattern: Callable[[str], bool]) -> _Test:
    return lambda found: pattern(found.text())


def _not_matching(pattern: Callable[[str], bool]) -> _Test:
    return lambda found: not pattern(found.text())


def _never(_found: Found) -> bool:
    """A comparator that is none, or none for this type: upstream's answer is no, and `lint` says so."""
    return False


_COMPARE: dict[str, Callable[[float], _Test]] = {
    "": lambda number: lambda found: found.number() == number,
    "=": lambda number: lambda found: found.number() == number,
    "!=": lambda number: lambda found: found.number() != number,
    ">": lambda number: lambda found: found.number() > number,
    ">=": lambda number: lambda found: found.number() >= number,
    "<": lambda number: lambda found: found.number() < number,
    "<=": lambda number: lambda found: found.number() <= number,
}


def _compile_numbers(one: DataFilter) -> list[_Test]:
    numbers = [_need(parse_float(value), value, "number") for value in one.value]
    compare = _COMPARE.get(one.comparator)
    return [_never] if compare is None else [compare(number) for number in numbers]


def _need(parsed: float | bool | None, text: str, what: str) -> float | bool:
    if parsed is None:
        raise ConfigError(f"{text!r} is no {what}")
    return parsed
