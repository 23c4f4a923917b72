"""expr-lang: the table of functions of the language that take no predicate, with numbers, times and conversions.

A builtin is called with the frame and its arguments; how many it takes is checked when the expression is compiled.

Source: https://github.com/expr-lang/expr/blob/v1.17.7/docs/language-definition.md and `builtin/builtin.go`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from retrain.expressions.expr import lists, strings
from retrain.expressions.expr.frame import Frame
from retrain.expressions.expr.lists import bits
from retrain.expressions.expr.strings import text_of
from retrain.expressions.expr.text import go_json, go_text, parse_json
from retrain.expressions.expr.time import guess_moment, parse_duration, read_moment, zone
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import (
    AnyMap,
    Duration,
    Function,
    Namespace,
    as_float,
    as_int,
    fits,
    go_type,
    wrapped,
)
from retrain.expressions.paths import parse_float

_ATOI = re.compile(r"[+-]?[0-9]+", re.ASCII)
_KINDS: dict[type, str] = {
    type(None): "nil",
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    list: "array",
    bytes: "array",
    dict: "map",
    AnyMap: "map",
    Namespace: "map",
    Function: "func",
    datetime: "time.Time",
    Duration: "time.Duration",
}


@dataclass(frozen=True, slots=True)
class BuiltinFunction:
    call: Callable[..., object]
    least: int
    most: int
    """Of arguments."""


# --- numbers --------------------------------------------------------------------------------------------------------


def _number(value: object, name: str) -> int | float:
    if type(value) is int or type(value) is float:
        return value
    raise ExprError(f"invalid argument for {name} (type {go_type(value)})")


def _abs(_: Frame, value: object) -> int | float:
    number = _number(value, "abs")
    return wrapped(abs(number)) if type(number) is int else abs(number)


def _rounding(name: str, turn: Callable[[float], float]) -> Callable[[Frame, object], float]:
    def call(_: Frame, value: object) -> float:
        number = as_float(_number(value, name))
        return math.copysign(turn(number), number) if math.isfinite(number) else number

    return call


def _half_away(number: float) -> float:
    whole = math.trunc(number)
    return float(whole + int(math.copysign(1, number))) if abs(number - whole) >= 0.5 else float(whole)


def to_int(_: Frame, value: object) -> int:
    if type(value) is str:
        if not _ATOI.fullmatch(value) or len(value) > 100 or not fits(int(value)):
            raise ExprError(f"invalid operation: int({value[:60]})")
        return int(value)
    return as_int(value.nanoseconds if isinstance(value, Duration) else value)


def to_float(_: Frame, value: object) -> float:
    if type(value) is str:
        number = parse_float(value) if len(value) <= 1000 else None
        if number is None:
            raise ExprError(f"invalid operation: float({value[:60]})")
        return number
    if type(value) is int or type(value) is float:
        return as_float(value)
    raise ExprError(f"invalid operation: float({go_type(value)})")


def _bit(name: str, does: Callable[[int, int], int]) -> BuiltinFunction:
    def call(_: Frame, left: object, right: object) -> int:
        return wrapped(does(bits(left, name), bits(right, name)))

    return BuiltinFunction(call, 2, 2)


def _shift(name: str, does: Callable[[int, int], int]) -> BuiltinFunction:
    def call(_: Frame, left: object, right: object) -> int:
        by = bits(right, name)
        if by < 0:
            raise ExprError(f"invalid operation: negative shift count {by} (type int)")
        return wrapped(does(bits(left, name), min(by, 64)))

    return BuiltinFunction(call, 2, 2)


def _bitnot(_: Frame, value: object) -> int:
    return ~bits(value, "bitnot")


# --- conversions ----------------------------------------------------------------------------------------------------


def kind(_: Frame, value: object) -> str:
    return _KINDS.get(type(value)) or ("time.Location" if isinstance(value, tzinfo) else "unknown")


def to_json(frame: Frame, value: object) -> str:
    return go_json(frame, value, indent="  ")


def _from_json(frame: Frame, value: object) -> object:
    return parse_json(frame, text_of(value, "fromJSON"))


# --- times ----------------------------------------------------------------------------------------------------------


def _now(frame: Frame, where: object = UTC) -> datetime:
    if frame.now is None:
        raise ExprError("now() is not known here: no time was given to this expression")
    if not isinstance(where, tzinfo):
        raise ExprError(f"now takes timezone(...), not {go_type(where)}")
    return frame.now.astimezone(where)


def _duration(_: Frame, value: object) -> Duration:
    return parse_duration(text_of(value, "duration"))


def _zone(_: Frame, value: object) -> tzinfo:
    return zone(text_of(value, "timezone"))


def _date(_: Frame, *arguments: object) -> datetime:
    """date(text), date(text, layout), date(text, layout, zone name); a timezone(...) may come before the text."""
    where = UTC
    if isinstance(arguments[0], tzinfo):
        where, arguments = arguments[0], arguments[1:]
    parts = [text_of(part, "date") for part in arguments]
    match parts:
        case [text]:
            return guess_moment(text, where)
        case [text, layout]:
            return read_moment(text, layout, where)
        case [text, layout, name]:
            return read_moment(text, layout, zone(name))
        case _:
            raise ExprError(f"invalid number of arguments for date (expected 1 to 3 texts, got {len(parts)})")


# --- the table ------------------------------------------------------------------------------------------------------

_MANY = 10_000

BUILTINS: dict[str, BuiltinFunction] = {
    "len": BuiltinFunction(lists.length, 1, 1),
    "type": BuiltinFunction(kind, 1, 1),
    "abs": BuiltinFunction(_abs, 1, 1),
    "ceil": BuiltinFunction(_rounding("ceil", math.ceil), 1, 1),
    "floor": BuiltinFunction(_rounding("floor", math.floor), 1, 1),
    "round": BuiltinFunction(_rounding("round", _half_away), 1, 1),
    "int": BuiltinFunction(to_int, 1, 1),
    "float": BuiltinFunction(to_float, 1, 1),
    "string": BuiltinFunction(go_text, 1, 1),
    "trim": BuiltinFunction(strings.trim, 1, 2),
    "trimPrefix": BuiltinFunction(strings.trim_prefix, 1, 2),
    "trimSuffix": BuiltinFunction(strings.trim_suffix, 1, 2),
    "upper": BuiltinFunction(strings.upper, 1, 1),
    "lower": BuiltinFunction(strings.lower, 1, 1),
    "split": BuiltinFunction(strings.split, 2, 3),
    "splitAfter": BuiltinFunction(strings.split_after, 2, 3),
    "replace": BuiltinFunction(strings.replace, 3, 4),
    "repeat": BuiltinFunction(strings.repeat, 2, 2),
    "join": BuiltinFunction(strings.join, 1, 2),
    "indexOf": BuiltinFunction(strings.index_of, 2, 2),
    "lastIndexOf": BuiltinFunction(strings.last_index_of, 2, 2),
    "hasPrefix": BuiltinFunction(strings.has_prefix, 2, 2),
    "hasSuffix": BuiltinFunction(strings.has_suffix, 2, 2),
    "max": BuiltinFunction(lists.largest, 1, _MANY),
    "min": BuiltinFunction(lists.smallest, 1, _MANY),
    "mean": BuiltinFunction(lists.mean, 1, _MANY),
    "median": BuiltinFunction(lists.median, 1, _MANY),
    "toJSON": BuiltinFunction(to_json, 1, 1),
    "fromJSON": BuiltinFunction(_from_json, 1, 1),
    "toBase64": BuiltinFunction(strings.to_base64, 1, 1),
    "fromBase64": BuiltinFunction(strings.from_base64, 1, 1),
    "now": BuiltinFunction(_now, 0, 1),
    "duration": BuiltinFunction(_duration, 1, 1),
    "date": BuiltinFunction(_date, 1, 4),
    "timezone": BuiltinFunction(_zone, 1, 1),
    "first": BuiltinFunction(lists.first, 1, 1),
    "last": BuiltinFunction(lists.last, 1, 1),
    "get": BuiltinFunction(lists.get, 2, 2),
    "take": BuiltinFunction(lists.take, 2, 2),
    "keys": BuiltinFunction(lists.keys, 1, 1),
    "values": BuiltinFunction(lists.values, 1, 1),
    "toPairs": BuiltinFunction(lists.to_pairs, 1, 1),
    "fromPairs": BuiltinFunction(lists.from_pairs, 1, 1),
    "reverse": BuiltinFunction(lists.reverse, 1, 1),
    "uniq": BuiltinFunction(lists.uniq, 1, 1),
    "concat": BuiltinFunction(lists.concat, 1, _MANY),
    "flatten": BuiltinFunction(lists.flatten, 1, 1),
    "sort": BuiltinFunction(lists.sort, 1, 2),
    "bitand": _bit("bitand", lambda x, y: x & y),
    "bitor": _bit("bitor", lambda x, y: x | y),
    "bitxor": _bit("bitxor", lambda x, y: x ^ y),
    "bitnand": _bit("bitnand", lambda x, y: x & ~y),
    "bitshl": _shift("bitshl", lambda x, y: x << y),
    "bitshr": _shift("bitshr", lambda x, y: x >> y),
    "bitushr": _shift("bitushr", lambda x, y: (x % 2**64) >> y),
    "bitnot": BuiltinFunction(_bitnot, 1, 1),
}
