"""expr-lang: what operators do with values, after Go's rules.

int is int64 and wraps around on overflow, as in Go; float is float64; `/` always gives a float; `%` takes ints only.
Numbers of both kinds compare with each other; other mixed kinds are never equal, and have no order. An int of the data
that no int64 can hold counts as a float.

Source: https://github.com/expr-lang/expr/tree/v1.17.7/vm/runtime
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from retrain.expressions.expr.frame import MAX_VALUE_DEPTH, Frame
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import (
    AnyMap,
    Duration,
    Namespace,
    as_float,
    as_int,
    fits,
    go_type,
    is_number,
    map_key,
    wrapped,
)


def invalid(left: object, op: str, right: object) -> ExprError:
    return ExprError(f"invalid operation: {go_type(left)} {op} {go_type(right)}")


def _numbers(left: object, right: object) -> tuple[float, float] | None:
    """Both as floats, or as ints if both are; None if one of them is no number."""
    if not (is_number(left) and is_number(right)):
        return None
    a, b = cast("int | float", left), cast("int | float", right)
    if type(a) is int and type(b) is int and fits(a) and fits(b):
        return a, b
    return as_float(a), as_float(b)


def _number(result: float) -> int | float:
    return wrapped(result) if type(result) is int else result


def add(frame: Frame, left: object, right: object) -> object:
    if type(left) is str and type(right) is str:
        frame.text(len(left) + len(right))
        return left + right
    if pair := _numbers(left, right):
        return _number(pair[0] + pair[1])
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(wrapped(left.nanoseconds + right.nanoseconds))
    if isinstance(left, datetime) and isinstance(right, Duration):
        return _moved(left, right.delta())
    if isinstance(left, Duration) and isinstance(right, datetime):
        return _moved(right, left.delta())
    raise invalid(left, "+", right)


def subtract(_: Frame, left: object, right: object) -> object:
    if pair := _numbers(left, right):
        return _number(pair[0] - pair[1])
    if isinstance(left, datetime) and isinstance(right, datetime):
        return Duration((left - right) // timedelta(microseconds=1) * 1000)
    if isinstance(left, datetime) and isinstance(right, Duration):
        return _moved(left, -right.delta())
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(wrapped(left.nanoseconds - right.nanoseconds))
    raise invalid(left, "-", right)


def _moved(moment: datetime, by: timedelta) -> datetime:
    # Go moves the instant; Python's own `+` moves the clock on the wall
    try:
        return (moment.astimezone(UTC) + by).astimezone(moment.tzinfo)
    except OverflowError:
        raise ExprError(f"{moment} moved by {by} is outside of the years 1 to 9999") from None


def multiply(_: Frame, left: object, right: object) -> object:
    if pair := _numbers(left, right):
        return _number(pair[0] * pair[1])
    if isinstance(left, Duration) or isinstance(right, Duration):
        factors = [f.nanoseconds if isinstance(f, Duration) else f for f in (left, right)]
        if pair := _numbers(factors[0], factors[1]):
            product = pair[0] * pair[1]  # with a float it is a float, as upstream
            return Duration(wrapped(product)) if type(product) is int else product
    raise invalid(left, "*", right)


def divide(_: Frame, left: object, right: object) -> float:
    pair = _numbers(left, right)
    if pair is None:
        raise invalid(left, "/", right)
    a, b = float(pair[0]), float(pair[1])
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def modulo(_: Frame, left: object, right: object) -> int:
    if not (type(left) is int and type(right) is int):
        raise invalid(left, "%", right)
    if right == 0:
        raise ExprError("integer divide by zero")
    rest = abs(left) % abs(right)
    return wrapped(rest if left >= 0 else -rest)


def power(_: Frame, left: object, right: object) -> float:
    pair = _numbers(left, right)
    if pair is None:
        raise invalid(left, "**", right)
    a, b = float(pair[0]), float(pair[1])
    odd = b.is_integer() and math.fmod(b, 2.0) != 0.0
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:  # 0 to a negative power, or a root of a negative number
        return math.nan if a else math.copysign(math.inf, a) if odd else math.inf


def negate(value: object) -> object:
    if type(value) is int:
        return wrapped(-value)
    if type(value) is float:
        return -value
    raise ExprError(f"invalid operation: - {go_type(value)}")


def number_range(frame: Frame, left: object, right: object) -> list[object]:
    low, high = as_int(left), as_int(right)
    frame.room(max(0, high - low + 1))
    return list(range(low, high + 1))


# --- equality and order ---------------------------------------------------------------------------------------------


def equal(frame: Frame, left: object, right: object) -> bool:
    kind = type(left)
    if kind is type(right):
        if kind is list or kind is dict or kind is AnyMap:
            return _deep_equal(frame, left, right, 0)
        if kind is str:
            frame.touch(left)
        return left == right
    if is_number(left) and is_number(right):
        return as_float(cast("float", left)) == as_float(cast("float", right))
    return isinstance(left, datetime) and isinstance(right, datetime) and left == right


def _deep_equal(frame: Frame, left: object, right: object, depth: int) -> bool:
    if depth > MAX_VALUE_DEPTH:
        raise ExprError(f"a value is nested deeper than {MAX_VALUE_DEPTH}")
    if type(left) is list and type(right) is list:
        if len(left) != len(right):
            return False
        frame.spend(len(left))
        return all(_deep_equal(frame, a, b, depth + 1) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and type(left) is type(right):
        mine, other = cast("dict[object, object]", left), cast("dict[object, object]", right)
        if len(mine) != len(other):
            return False
        frame.spend(len(mine))
        return all(k in other and _deep_equal(frame, v, other[k], depth + 1) for k, v in mine.items())
    return equal(frame, left, right)


def _order(op: str, compare: Callable[[Any, Any], bool]) -> Callable[[Frame, object, object], bool]:
    def call(frame: Frame, left: object, right: object) -> bool:
        frame.touch(left)
        if (type(left) is type(right) and type(left) in _ORDERED) or (is_number(left) and is_number(right)):
            return compare(left, right)
        raise invalid(left, op, right)

    return call


_ORDERED = frozenset({str, int, float, datetime, Duration})
LESS: Callable[[Any, Any], bool] = operator.lt
MORE: Callable[[Any, Any], bool] = operator.gt
LESS_OR_EQUAL: Callable[[Any, Any], bool] = operator.le
MORE_OR_EQUAL: Callable[[Any, Any], bool] = operator.ge
less = _order("<", LESS)
more = _order(">", MORE)
less_or_equal = _order("<=", LESS_OR_EQUAL)
more_or_equal = _order(">=", MORE_OR_EQUAL)


def contained(frame: Frame, needle: object, value: object) -> bool:
    """The operator `in`."""
    if value is None:
        return False
    if type(value) is list:
        frame.spend(len(value) >> 2)
        return any(equal(frame, item, needle) for item in value)
    frame.touch(needle)
    if type(value) is dict or type(value) is AnyMap:
        return map_key(value, needle) in cast("dict[object, object]", value)
    if isinstance(value, Namespace):
        return needle in value.functions
    raise ExprError(f'operator "in" not defined on {go_type(value)}')
