"""What the operators of govaluate do, and to which values. Each is a closure over its operands.

Source: `evaluationStage.go` of https://github.com/Knetic/govaluate
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import re2

from retrain.events import JsonValue
from retrain.expressions.govaluate_tokens import ExpressionError

Value = JsonValue | tuple["Value", ...]
"""A tuple is `(a, b)` in the text; numbers are floats."""
Eval = Callable[[Mapping[str, JsonValue]], Value]

_QUIET = re2.Options()
_QUIET.log_errors = False  # a wrong pattern is the user's to hear, not the terminal's


def literal(value: Value) -> Eval:
    return lambda _values: value


def parameter(name: str, at: int) -> Eval:
    hint = " (there is no nil here: `x ?? y` is y where x is null)" if name in ("nil", "null", "None") else ""

    def read(values: Mapping[str, JsonValue]) -> Value:
        try:
            value = values[name]
        except KeyError:
            raise ExpressionError(f"No parameter '{name}' found.{hint}", at) from None
        return float_of(value) if type(value) is int else value

    return read


def float_of(value: int) -> float:
    """Raises ExpressionError for an integer that float64 cannot hold."""
    try:
        return float(value)
    except OverflowError:
        raise ExpressionError("a parameter is a whole number too large for float64") from None


def array(items: list[Eval]) -> Eval:
    """`a, b, c`. As upstream: what comes first may be an array, and then the others are added to it."""

    def call(values: Mapping[str, JsonValue]) -> Value:
        first, *others = [item(values) for item in items]
        return (*cast("tuple[Value, ...]", first), *others) if _is_array(first) else (first, *others)

    return call


def _is_array(value: Value) -> bool:
    return isinstance(value, tuple | list)


# --- texts ------------------------------------------------------------------------------------------------------------


def show(value: Value) -> str:
    """As Go's %v."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _show_number(float(value))
    if isinstance(value, tuple | list):
        return "[" + " ".join(map(show, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(value[key])}" for key in sorted(value)) + "]"
    return "<nil>" if value is None else value


def _show_number(value: float) -> str:
    """Shortest digits, and an exponent from 1e+06 on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    exponent = cast("int", exponent) + len(digits) - 1
    first, *others = map(str, digits)
    return f"{'-' * sign}{first}{'.' * bool(others)}{''.join(others)}e+{exponent:02d}"


# --- what a value must be -------------------------------------------------------------------------------------------


def _number(value: Value, what: str, symbol: str) -> float:
    if not isinstance(value, float):
        raise ExpressionError(f"Value '{show(value)}' cannot be used with the {what} '{symbol}', it is not a number")
    return value


def _bool(value: Value, what: str, symbol: str) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"Value '{show(value)}' cannot be used with the {what} '{symbol}', it is not a bool")
    return value


def _same(left: Value, right: Value) -> bool:
    """Go's reflect.DeepEqual: types count, also inside."""
    if isinstance(left, tuple | list):
        if not isinstance(right, tuple | list) or len(left) != len(right):
            return False
        return all(map(_same, left, right))
    if isinstance(left, dict):
        if not isinstance(right, dict) or left.keys() != right.keys():
            return False
        return all(_same(left[key], right[key]) for key in left)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right  # an int, inside of a parameter, is as good as a float


# --- prefixes ---------------------------------------------------------------------------------------------------------


def prefixed(symbol: str, run: Eval) -> Eval:
    if symbol == "!":
        return lambda values: not _bool(run(values), "prefix", "!")
    if symbol == "-":
        return lambda values: -_number(run(values), "prefix", "-")
    return lambda values: float(~_int64(_number(run(values), "prefix", "~")))


def _int64(value: float) -> int:
    """As Go on amd64, where what does not fit becomes the smallest."""
    return int(value) if -(2.0**63) <= value < 2.0**63 else -(1 << 63)


# --- between two ----------------------------------------------------------------------------------------------------


def binary(symbol: str, left: Eval, right: Eval) -> Eval:
    if symbol in _LAZY:
        return _LAZY[symbol](left, right)
    operator = _EAGER[symbol]
    return lambda values: operator(left(values), right(values))


def matching(symbol: str, left: Eval, pattern: str) -> Eval:
    """`=~` and `!~` with a pattern that is known.

    Raises:
        ExpressionError: it is no pattern of RE2.
    """
    search = _pattern(pattern).search
    wanted = symbol == "=~"
    return lambda values: (search(_text(left(values), symbol)) is not None) is wanted


def _pattern(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _QUIET)
    except re2.error as error:
        raise ExpressionError(f"Unable to compile regexp pattern '{pattern}': {error}") from None


def _text(value: Value, symbol: str) -> str:
    if not isinstance(value, str):
        raise ExpressionError(
            f"Value '{show(value)}' cannot be used with the comparator '{symbol}', it is not a string"
        )
    return value


def _match(symbol: str) -> Callable[[Value, Value], bool]:
    def call(left: Value, right: Value) -> bool:
        subject, pattern = _text(left, symbol), _text(right, symbol)
        return (_pattern(pattern).search(subject) is not None) is (symbol == "=~")

    return call


def _and(left: Eval, right: Eval) -> Eval:
    def call(values: Mapping[str, JsonValue]) -> bool:
        first = left(values)
        if first is False:
            return False
        second = right(values)
        return _bool(first, "logical operator", "&&") and _bool(second, "logical operator", "&&")

    return call


def _or(left: Eval, right: Eval) -> Eval:
    def call(values: Mapping[str, JsonValue]) -> bool:
        first = left(values)
        if first is True:
            return True
        second = right(values)
        return _bool(first, "logical operator", "||") or _bool(second, "logical operator", "||")

    return call


def _if(left: Eval, right: Eval) -> Eval:
    return lambda values: right(values) if _bool(left(values), "ternary operator", "?") else None


def _else(left: Eval, right: Eval) -> Eval:
    def call(values: Mapping[str, JsonValue]) -> Value:
        value = left(values)
        return right(values) if value is None else value

    return call


_LAZY: dict[str, Callable[[Eval, Eval], Eval]] = {"&&": _and, "||": _or, "?": _if, ":": _else, "??": _else}


def _in(left: Value, right: Value) -> bool:
    if not isinstance(right, tuple | list):
        raise ExpressionError(f"Value '{show(right)}' cannot be used with the comparator 'in', it is not an array")
    return any(_same(left, item) for item in right)


def _compare(symbol: str, test: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def call(left: Value, right: Value) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return test(left, right)
        return test(_number(left, "comparator", symbol), _number(right, "comparator", symbol))

    return call


def _plus(left: Value, right: Value) -> Value:
    if isinstance(left, str) or isinstance(right, str):
        return show(left) + show(right)
    return _number(left, "modifier", "+") + _number(right, "modifier", "+")


def _divide(left: float, right: float) -> float:
    if right == 0:
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and right % 2 == 1 else math.inf
    except ValueError:
        return math.inf if left == 0 else math.nan


_MASK = (1 << 64) - 1


def _uint64(value: float) -> int:
    return int(value) if 0 <= value < 2.0**64 else _int64(value) & _MASK


def _left(value: float, by: float) -> float:
    bits = _uint64(by)
    return float(_uint64(value) << bits & _MASK) if bits < 64 else 0.0


def _right(value: float, by: float) -> float:
    bits = _uint64(by)
    return float(_uint64(value) >> bits) if bits < 64 else 0.0


def _arithmetic(symbol: str, function: Callable[[float, float], float]) -> Callable[[Value, Value], Value]:
    def call(left: Value, right: Value) -> Value:
        pair = _number(left, "modifier", symbol), _number(right, "modifier", symbol)
        try:
            return function(*pair)
        except (ValueError, OverflowError):  # int() of NaN or infinity
            return math.nan

    return call


_EAGER: dict[str, Callable[[Value, Value], Value]] = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": _compare("<", lambda a, b: a < b),
    "<=": _compare("<=", lambda a, b: a <= b),
    ">": _compare(">", lambda a, b: a > b),
    ">=": _compare(">=", lambda a, b: a >= b),
    "=~": _match("=~"),
    "!~": _match("!~"),
    "in": _in,
    "+": _plus,
    "-": _arithmetic("-", lambda a, b: a - b),
    "*": _arithmetic("*", lambda a, b: a * b),
    "/": _arithmetic("/", _divide),
    "%": _arithmetic("%", lambda a, b: math.fmod(a, b) if b else math.nan),
    "**": _arithmetic("**", _power),
    "&": _arithmetic("&", lambda a, b: float(_int64(a) & _int64(b))),
    "|": _arithmetic("|", lambda a, b: float(_int64(a) | _int64(b))),
    "^": _arithmetic("^", lambda a, b: float(_int64(a) ^ _int64(b))),
    "<<": _arithmetic("<<", _left),
    ">>": _arithmetic(">>", _right),
}
