"""Sprig's arithmetic and conversions. Whatever a number is made of, it is turned into one: text, bool, nothing at all.

Source: https://masterminds.github.io/sprig/math.html, and `spf13/cast` for the conversions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from retrain.expressions.template.functions import bounded
from retrain.expressions.template.literals import integer, real
from retrain.expressions.template.meter import seats
from retrain.expressions.template.show import show
from retrain.expressions.template.values import (
    MAX_INT64,
    MIN_INT64,
    CallError,
    Int,
    Int64,
    Ints,
    Value,
    as_float,
    is_float,
    wrap,
)

_ZERO_DECIMAL = re.compile(r"\.0+$")
_SPECIAL: Final = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
_EXACT = Context(prec=800)


# --- conversions ----------------------------------------------------------------------------------------------------


def to_int64(value: Value) -> int:
    """Whatever it is as an integer of 64 bits; 0 where it is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Int):
        return wrap(int(value))
    if is_float(value):
        return _truncated(as_float(value))
    return _parsed(value) if isinstance(value, str) else 0


def _truncated(value: float) -> int:
    # What an amd64 gives for a float that does not fit.
    return int(value) if math.isfinite(value) and -(2.0**63) <= value < 2.0**63 else MIN_INT64


def _parsed(text: str) -> int:
    whole = integer(_ZERO_DECIMAL.sub("", text))
    return whole if whole is not None and _fits(whole) else 0


def _fits(value: int) -> bool:
    return MIN_INT64 <= value <= MAX_INT64


def to_float(value: Value) -> float:
    """Whatever it is as a float64; 0 where it is none."""
    if isinstance(value, bool | int | float):
        return as_float(value)
    if not isinstance(value, str):
        return 0.0
    parsed = real(value)
    if parsed is not None:
        return parsed
    bare = value[1:] if value[:1] in ("+", "-") else value
    special = _SPECIAL.get(bare.lower())
    return 0.0 if special is None else -special if value[:1] == "-" else special


def _int(value: Value) -> Int:
    return Int(to_int64(value))


def _int64(value: Value) -> Int64:
    return Int64(to_int64(value))


def _atoi(text: str) -> Int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return Int(0)
    parsed = int(text) if len(text) < 40 else MIN_INT64 - 1 if text[0] == "-" else MAX_INT64 + 1
    return Int(max(MIN_INT64, min(MAX_INT64, parsed)))


def _to_decimal(value: Value) -> Int64:
    text = show(value)
    if not re.fullmatch(r"[+-]?[0-7]{1,22}", text):
        return Int64(0)
    parsed = int(text, 8)
    return Int64(parsed if _fits(parsed) else 0)


# --- integers -------------------------------------------------------------------------------------------------------


def _add1(value: Value) -> Int64:
    return Int64(wrap(to_int64(value) + 1))


def _add(*values: Value) -> Int64:
    return Int64(wrap(sum(map(to_int64, values))))


def _sub(left: Value, right: Value) -> Int64:
    return Int64(wrap(to_int64(left) - to_int64(right)))


def _divided(left: Value, right: Value) -> tuple[int, int]:
    """Quotient and rest, towards zero."""
    number, by = to_int64(left), to_int64(right)
    if not by:
        raise CallError("runtime error: integer divide by zero")
    quotient = abs(number) // abs(by)
    quotient = quotient if (number < 0) == (by < 0) else -quotient
    return quotient, number - quotient * by


def _div(left: Value, right: Value) -> Int64:
    return Int64(wrap(_divided(left, right)[0]))


def _mod(left: Value, right: Value) -> Int64:
    return Int64(_divided(left, right)[1])


def _mul(first: Value, *others: Value) -> Int64:
    product = to_int64(first)
    for other in others:
        product = wrap(product * to_int64(other))
    return Int64(product)


def _max(first: Value, *others: Value) -> Int64:
    return Int64(max(map(to_int64, (first, *others))))


def _min(first: Value, *others: Value) -> Int64:
    return Int64(min(map(to_int64, (first, *others))))


def _until(count: int) -> Ints:
    return _until_step(0, count, -1 if count < 0 else 1)


def _until_step(start: int, stop: int, step: int) -> Ints:
    if (stop < start) != (step < 0) or not step:
        return Ints()
    numbers = range(int(start), int(stop), int(step))
    seats(max(0, (abs(stop - start) + abs(step) - 1) // abs(step)))
    return Ints(map(Int, numbers))


def _seq(*params: int) -> str:
    match params:
        case (end,):
            start, step = 1, 0
        case (start, end):
            step = 0
        case (start, step, end):
            pass
        case _:
            return ""
    down = end < start
    if down and step > 0:
        return ""
    numbers = _until_step(start, end + (-1 if down else 1), step if len(params) == 3 else -1 if down else 1)
    return bounded(" ".join(map(int.__repr__, numbers)))


# --- floats ---------------------------------------------------------------------------------------------------------


def _decimal(value: Value) -> Decimal:
    number = to_float(value)
    if not math.isfinite(number):
        raise CallError(f"Cannot create a Decimal from {show(number)}")
    return Decimal(repr(number))


def _folded(operator: Callable[[Decimal, Decimal], Decimal]) -> Callable[..., float]:
    def fold(first: Value, *others: Value) -> float:
        total = _decimal(first)
        for other in others:
            total = operator(total, _decimal(other))
        try:
            return float(total) or 0.0
        except OverflowError:
            return math.inf if total > 0 else -math.inf

    return fold


def _quotient(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise CallError("decimal division by 0")
    # Upstream's library keeps 16 digits behind the point.
    return _EXACT.divide(left, right).quantize(Decimal("1e-16"), ROUND_HALF_UP, Context(prec=1200))


_sum = _folded(_EXACT.add)


def _add1f(value: Value) -> float:
    return _sum(value, Int(1))


def _addf(*values: Value) -> float:
    return _sum(0.0, *values)


def _extreme(pick: Callable[[float, float], float]) -> Callable[..., float]:
    def over(first: Value, *others: Value) -> float:
        numbers = [to_float(value) for value in (first, *others)]
        if any(number != number for number in numbers):
            return math.nan
        found = numbers[0]
        for number in numbers[1:]:
            found = pick(found, number)
        return found

    return over


def _floor(value: Value) -> float:
    number = to_float(value)
    return float(math.floor(number)) if math.isfinite(number) else number


def _ceil(value: Value) -> float:
    number = to_float(value)
    return float(math.ceil(number)) if math.isfinite(number) else number


def _round(value: Value, places: int, *options: float) -> float:
    from_here = options[0] if options else 0.5
    try:
        power = math.pow(10, places)
    except OverflowError:
        power = math.inf
    digit = power * to_float(value)
    if not math.isfinite(digit):
        return digit / power if power else math.nan
    part = math.modf(digit)[0]
    rounded = float(math.ceil(digit) if part >= from_here else math.floor(digit))
    if not power:
        return math.nan if not rounded else math.copysign(math.inf, rounded)
    return rounded / power


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "add": ("any...", _add),
    "add1": ("any", _add1),
    "add1f": ("any", _add1f),
    "addf": ("any...", _addf),
    "atoi": ("string", _atoi),
    "biggest": ("any, any...", _max),
    "ceil": ("any", _ceil),
    "div": ("any, any", _div),
    "divf": ("any, any...", _folded(_quotient)),
    "float64": ("any", to_float),
    "floor": ("any", _floor),
    "int": ("any", _int),
    "int64": ("any", _int64),
    "max": ("any, any...", _max),
    "maxf": ("any, any...", _extreme(max)),
    "min": ("any, any...", _min),
    "minf": ("any, any...", _extreme(min)),
    "mod": ("any, any", _mod),
    "mul": ("any, any...", _mul),
    "mulf": ("any, any...", _folded(_EXACT.multiply)),
    "round": ("any, int, float64...", _round),
    "seq": ("int...", _seq),
    "sub": ("any, any", _sub),
    "subf": ("any, any...", _folded(_EXACT.subtract)),
    "toDecimal": ("any", _to_decimal),
    "until": ("int", _until),
    "untilStep": ("int, int, int", _until_step),
}
