"""expr-lang: kinds of values, and their members.

int is int64, float is float64. Values are those of JSON, bytes, times (aware datetimes), durations, zones, maps with
keys of any kind, and given functions.

Source: https://github.com/expr-lang/expr/tree/v1.17.7/vm/runtime
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import cast

from retrain.expressions.expr.frame import Frame
from retrain.expressions.expr.tokens import ExprError

_LOW, _HIGH, _TURN = -(2**63), 2**63 - 1, 2**64


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """Go's time.Duration."""

    nanoseconds: int

    def delta(self) -> timedelta:
        """Without what is less than a microsecond."""
        sign = -1 if self.nanoseconds < 0 else 1
        return timedelta(microseconds=sign * (abs(self.nanoseconds) // 1000))


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an `AnyMap` that is no text: Python would take 1, 1.0 and true for the same."""

    kind: str
    value: object


class AnyMap(dict[object, object]):
    """Go's map[any]any, which groupBy, countBy and fromPairs make. Keys are texts or `Key`."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that was given, not one of the language."""

    name: str
    call: Callable[[Frame, list[object]], object]


@dataclass(frozen=True, slots=True)
class Namespace:
    """Functions under one name, as `sprig`."""

    name: str
    functions: Mapping[str, Function]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names that it has elsewhere, with the reason why not here."""

    def unknown(self, name: str) -> str:
        """What is wrong with a function of this name."""
        if name in self.refused:
            return f"{self.name}.{name} is not offered: {self.refused[name]}"
        close = difflib.get_close_matches(name[:100], self.functions, n=1)
        return f"unknown function {self.name}.{name[:100]}" + (f"; did you mean {close[0]}?" if close else "")


GO_TYPES: dict[type, str] = {
    type(None): "nil",
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    AnyMap: "map[interface {}]interface {}",
    bytes: "[]uint8",
    datetime: "time.Time",
    Duration: "time.Duration",
    Function: "func",
    Namespace: "map[string]interface {}",
}


def go_type(value: object) -> str:
    """The type as Go's %T has it."""
    return GO_TYPES.get(type(value)) or ("*time.Location" if isinstance(value, tzinfo) else "unknown")


def is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


def wrapped(number: int) -> int:
    """As int64 does on overflow."""
    return number if _LOW <= number <= _HIGH else (number - _LOW) % _TURN + _LOW


def fits(number: int) -> bool:
    return _LOW <= number <= _HIGH


def as_float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def as_int(value: object) -> int:
    """Go's ToInt: what an index, a bound or a count is."""
    if type(value) is int:
        return value
    if type(value) is float:
        if math.isnan(value) or not fits(whole := int(value) if math.isfinite(value) else _TURN):
            raise ExprError(f"invalid operation: int({value}), which no int64 holds")
        return whole
    raise ExprError(f"invalid operation: int({go_type(value)})")


# --- members --------------------------------------------------------------------------------------------------------


def map_key(value: object, key: object) -> object:
    """The Python key for a key of the language."""
    if type(key) is str:
        return key
    if type(value) is not AnyMap:
        if key is None:
            return ""  # as Go's zero value of a text
        raise ExprError(f"cannot use {go_type(key)} as a key of a map, whose keys are text")
    if type(key) in (bool, int, float, type(None), Duration, datetime):
        return Key(go_type(key), key)
    raise ExprError(f"cannot use {go_type(key)} as a key: it is not comparable")


def key_value(key: object) -> object:
    """The opposite of `map_key`."""
    return key.value if type(key) is Key else key


def fetch(value: object, key: object) -> object:
    """`value[key]`, for everything but the methods of times.

    Raises:
        ExprError: nil, or another value without members; an index out of range. A missing key of a map is nil.
    """
    if type(value) is dict or type(value) is AnyMap:
        return cast("dict[object, object]", value).get(map_key(value, key))
    if type(value) is list or type(value) is str or type(value) is bytes:
        items = value.encode("utf-8", "surrogatepass") if type(value) is str else value
        if type(key) is str:
            raise ExprError(f"cannot fetch {_shown(key)} from {go_type(value)}")
        index = as_int(key)
        at = index + len(items) if index < 0 else index
        if not 0 <= at < len(items):
            raise ExprError(f"index out of range: {at} (array length is {len(items)})")
        return items[at]
    if isinstance(value, Namespace):
        if type(key) is str and key in value.functions:
            return value.functions[key]
        raise ExprError(value.unknown(str(key)))
    raise ExprError(f"cannot fetch {_shown(key)} from {go_type(value)}")


def _shown(key: object) -> str:
    """A key in a message: never much of the data."""
    return str(key)[:60] if type(key) is str or type(key) is int else go_type(key)


def cut(frame: Frame, value: object, start: object, end: object) -> object:
    """`value[start:end]`; bounds outside are moved to the ends. A text is cut at bytes, as in Go."""
    if type(value) is str and not value.isascii():
        return cast("bytes", _cut(frame, value.encode("utf-8", "surrogatepass"), start, end)).decode("utf-8", "replace")
    if type(value) is list or type(value) is str or type(value) is bytes:
        return _cut(frame, value, start, end)
    raise ExprError(f"cannot slice {go_type(value)}")


def _cut(frame: Frame, value: list[object] | str | bytes, start: object, end: object) -> object:
    size = len(value)
    low = as_int(start)
    high = size if end is None else as_int(end)
    low = max(low + size if low < 0 else low, 0)
    high = min(max(high + size if high < 0 else high, 0), size)
    spend = frame.room if type(value) is list else frame.text
    spend(max(0, high - low))
    return value[min(low, high) : high]


def as_bool(value: object, where: str) -> bool:
    if value is True or value is False:
        return value
    raise ExprError(f"{where} must be a bool, not {go_type(value)}")
