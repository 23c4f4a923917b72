"""Values as text, as Go's `%v` and `%q` write them: `map[a:1 b:[x y]]`, `<nil>`, `1e+06`.

Source: https://pkg.go.dev/fmt, and `strconv.FormatFloat` with its shortest precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from retrain.expressions.template.meter import MAX_NESTING, MAX_STRING, under_way
from retrain.expressions.template.values import (
    Duration,
    Int,
    LimitError,
    Missing,
    Month,
    Opaque,
    Value,
    Weekday,
    as_float,
)

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
EXPONENT_FROM: Final = 6
"""Digits before the point from which `%v` writes an exponent."""
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class Parts:
    """Text in the making, with a bound on its size."""

    __slots__ = ("_meter", "_parts", "_size")

    def __init__(self) -> None:
        self._meter = under_way()
        self._parts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Append; each call is one step of work.

        Raises:
            LimitError: the text got longer than `MAX_STRING`.
        """
        self._size += len(text)
        if self._size > MAX_STRING:
            raise LimitError(f"the text gets longer than {MAX_STRING} characters")
        if self._meter is not None:
            self._meter.spend(1 + (len(text) >> 6))
        self._parts.append(text)

    def text(self) -> str:
        return "".join(self._parts)


def show(value: Value) -> str:
    """As `%v`.

    Raises:
        LimitError: it is too long, or nested deeper than `MAX_NESTING`.
    """
    simple = show_scalar(value)
    if simple is not None:
        return simple
    parts = Parts()
    _show_into(parts, value, 0)
    return parts.text()


def show_scalar(value: Value) -> str | None:
    """As `%v`; None where the value is a list or a map."""
    if type(value) is str:
        return value
    writer = _SCALARS.get(type(value))
    if writer is not None:
        return writer(value)
    for kind, write in _SCALARS_BY_BASE.items():
        if isinstance(value, kind):
            return write(value)
    return None


def _show_into(parts: Parts, value: Value, depth: int) -> None:
    simple = show_scalar(value)
    if simple is not None:
        parts.add(simple)
        return
    check_depth(depth)
    if isinstance(value, dict):
        parts.add("map[")
        for at, key in enumerate(sorted(value)):
            parts.add(f" {key}:" if at else f"{key}:")
            _show_into(parts, value[key], depth + 1)
    else:
        parts.add("[")
        for at, item in enumerate(value):
            if at:
                parts.add(" ")
            _show_into(parts, item, depth + 1)
    parts.add("]")


def check_depth(depth: int) -> None:
    """Refuse values that are nested too deep (or in themselves) before Python's own limit is met.

    Raises:
        LimitError: `depth` is over `MAX_NESTING`.
    """
    if depth > MAX_NESTING:
        raise LimitError(f"the value is nested deeper than {MAX_NESTING}")


# --- numbers --------------------------------------------------------------------------------------------------------


def digits_of(value: float) -> tuple[str, int]:
    """The shortest digits that say this finite, positive number, and where the point stands: 0.<digits> * 10^point."""
    mantissa, _, exponent = repr(value).partition("e")
    left, _, right = mantissa.partition(".")
    digits = (left + right).lstrip("0")
    point = len(left) - (len(left + right) - len(digits)) + int(exponent or 0)
    return digits.rstrip("0") or "0", point


def show_float(number: float) -> str:
    """As `%v` of a float64: with an exponent from 1e+06 on, and under 1e-04."""
    value = as_float(number)
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return shortest(value, EXPONENT_FROM)


def shortest(value: float, bound: int) -> str:
    """A finite number with its shortest digits; with an exponent where that is under -4, or `bound` or more."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    if not value:
        return sign + "0"
    digits, point = digits_of(abs(value))
    exponent = point - 1
    if exponent < -4 or exponent >= bound:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + plain(digits, point)


def plain(digits: str, point: int) -> str:
    """Digits with a point at `point`, and no exponent."""
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


# --- scalars --------------------------------------------------------------------------------------------------------


def show_duration(nanoseconds: int) -> str:
    """As Go's `time.Duration.String`: `1h0m30s`, `1.5ms`, `0s`."""
    if not nanoseconds:
        return "0s"
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if rest < 1_000_000_000:
        for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
            if rest < size * 1_000:
                return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, rest = divmod(rest, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, size: int) -> str:
    whole, part = divmod(value, size)
    digits = f"{part:0{len(str(size)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def show_time(moment: datetime) -> str:
    """As Go's `time.Time.String`: `2026-11-20 10:00:00.5 +0000 UTC`."""
    fraction = f"{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    clock = f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}{'.' + fraction if fraction else ''}"
    offset = moment.strftime("%z")[:5] or "+0000"
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d} {clock} {offset} {zone_name(moment)}"


def zone_name(moment: datetime) -> str:
    """The abbreviation of its zone as Go has it: the offset where there is no name."""
    name = moment.tzname() or "UTC"
    return moment.strftime("%z")[:5] if name.startswith("UTC") and name != "UTC" else name


def _month(value: int) -> str:
    return MONTHS[value - 1] if 1 <= value <= 12 else f"%!Month({int(value)})"


def _weekday(value: int) -> str:
    return WEEKDAYS[value] if 0 <= value <= 6 else f"%!Weekday({int(value)})"


def is_stringer(value: Value) -> bool:
    """Whether Go's type has a `String` method, which `%v`, `%s` and `%q` use."""
    return isinstance(value, datetime | Duration | Month | Weekday | Opaque)


_SCALARS: Mapping[type, Callable[[Value], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    float: lambda value: show_float(value),
    int: lambda value: show_float(value),
    Int: lambda value: int.__repr__(value),
    type(None): lambda _: "<nil>",
    Missing: lambda _: "<nil>",
    Duration: show_duration,
    Month: _month,
    Weekday: _weekday,
}
_SCALARS_BY_BASE: Mapping[type, Callable[[Value], str]] = {
    str: str,
    Int: lambda value: int.__repr__(value),
    int: lambda value: show_float(value),
    float: lambda value: show_float(value),
    datetime: show_time,
    Opaque: str,
}


# --- quotes ---------------------------------------------------------------------------------------------------------

_ESCAPES: Mapping[str, str] = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


def quote(text: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """As `%q`: in quotes, with escapes for what does not print."""
    if mark == '"' and text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return mark + "".join(_escaped(char, mark, ascii_only) for char in text) + mark


def _escaped(char: str, mark: str, ascii_only: bool) -> str:
    if char == mark:
        return "\\" + mark
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if char.isprintable() and (code < 0x80 or not ascii_only):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
