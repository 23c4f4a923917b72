"""expr-lang: values as text, in the two ways of Go: `%v` of fmt, and JSON of encoding/json."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import cast

from retrain.events import JsonValue
from retrain.expressions.expr.frame import MAX_VALUE_DEPTH, Frame
from retrain.expressions.expr.time import RFC3339_NANO, write_duration, write_moment
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import Duration, as_float, go_type, key_value

_EXPONENT = re.compile(r"e([+-]?)(\d+)$")
_AWKWARD = re.compile("[<>&\u2028\u2029\x7f-\x9f\ud800-\udfff]")


class _Text:
    """Pieces of a text that is being written, counted as they come."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._length = 0
        self.pieces: list[str] = []

    def put(self, piece: str) -> None:
        self._length += len(piece)
        self._frame.text(self._length if self._length > 2**20 else len(piece))
        self._frame.spend(1)
        self.pieces.append(piece)

    def deeper(self, depth: int) -> int:
        if depth >= MAX_VALUE_DEPTH:
            raise ExprError(f"a value is nested deeper than {MAX_VALUE_DEPTH}")
        return depth + 1


def go_float(number: float, least: int = -4, most: int = 6) -> str:
    """The shortest text that reads back as the number; with an exponent below 10^least and from 10^most on."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    if number == 0:
        return "-0" if math.copysign(1.0, number) < 0 else "0"
    sign, parts, exponent = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, parts)).lstrip("0")
    power = len(digits) + int(exponent) - 1  # of the first digit
    digits = digits.rstrip("0")
    minus = "-" if sign else ""
    if power < least or power >= most:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{minus}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{digits}"
    whole, rest = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{minus}{whole}.{rest}" if rest else minus + whole


def go_text(frame: Frame, value: object) -> str:
    """`%v`: what string() gives."""
    if type(value) is str:
        return value
    out = _Text(frame)
    _write(out, value, 0)
    return "".join(out.pieces)


def _write(out: _Text, value: object, depth: int) -> None:
    if type(value) is list or type(value) is bytes:
        _write_items(out, "[", cast("Iterable[object]", value), depth)
    elif isinstance(value, dict):
        _write_map(out, cast("dict[object, object]", value), depth)
    else:
        out.put(_scalar(value))


def _write_items(out: _Text, opening: str, items: Iterable[object], depth: int) -> None:
    out.put(opening)
    for at, item in enumerate(items):
        if at:
            out.put(" ")
        _write(out, item, out.deeper(depth))
    out.put("]")


def _write_map(out: _Text, value: dict[object, object], depth: int) -> None:
    out.put("map[")
    for at, key in enumerate(sorted(value, key=_key_order)):
        out.put(" " if at else "")
        _write(out, key_value(key), depth)
        out.put(":")
        _write(out, value[key], out.deeper(depth))
    out.put("]")


def _key_order(key: object) -> tuple[str, float, str]:
    """As fmt sorts the keys of a map: by kind, numbers by size, texts by their letters."""
    value = key_value(key)
    number = as_float(value) if isinstance(value, int | float) else 0.0
    return go_type(value), number, value if isinstance(value, str) else ""


def _scalar(value: object) -> str:
    if type(value) is str:
        return value
    if value is None:
        return "<nil>"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value) if value.bit_length() < 10_000 else "+Inf"
    if type(value) is float:
        return go_float(value)
    if isinstance(value, datetime):
        return write_moment(value, "2006-01-02 15:04:05.999999999 -0700 MST")
    if isinstance(value, Duration):
        return write_duration(value)
    if isinstance(value, tzinfo):
        return str(value)
    raise ExprError(f"a {go_type(value)} has no text; was a call forgotten?")


# --- JSON -----------------------------------------------------------------------------------------------------------


def go_json(frame: Frame, value: object, indent: str = "") -> str:
    """JSON as encoding/json writes it: keys sorted, `<>&` escaped; over several lines with an indent.

    Raises:
        ExprError: NaN or infinite, or a value that JSON has no form for.
    """
    out = _Text(frame)
    _write_json(out, value, indent, 0)
    return "".join(out.pieces)


def _write_json(out: _Text, value: object, indent: str, depth: int) -> None:
    if type(value) is list:
        parts = [("", item) for item in value]
        _write_parts(out, "[]", parts, indent, depth)
    elif isinstance(value, dict):
        entries = cast("dict[object, object]", value)
        if any(type(key) is not str for key in entries):
            raise ExprError(f"json: unsupported type: {go_type(entries)} with keys that are no text")
        colon = ": " if indent else ":"
        pairs = [(json_text(str(key)) + colon, entries[key]) for key in sorted(cast("dict[str, object]", entries))]
        _write_parts(out, "{}", pairs, indent, depth)
    else:
        out.put(_json_scalar(value))


def _write_parts(out: _Text, brackets: str, parts: list[tuple[str, object]], indent: str, depth: int) -> None:
    if not parts:
        return out.put(brackets)
    inner = out.deeper(depth)
    line = "\n" + indent * inner if indent else ""
    out.put(brackets[0])
    for at, (head, item) in enumerate(parts):
        out.put(("," if at else "") + line + head)
        _write_json(out, item, indent, inner)
    return out.put(("\n" + indent * depth if indent else "") + brackets[1])


def json_text(text: str) -> str:
    """A text in quotes, as encoding/json escapes it."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _AWKWARD.sub(_escape, quoted)


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return char if "\x7f" <= char <= "\x9f" else f"\\u{ord(char):04x}"


def _json_scalar(value: object) -> str:
    if type(value) is str:
        return json_text(value)
    if value is None:
        return "null"
    if type(value) is float:
        return json_float(value)
    if isinstance(value, Duration):
        return str(value.nanoseconds)
    if isinstance(value, datetime):
        return f'"{write_moment(value, RFC3339_NANO)}"'
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    if isinstance(value, bool | int):
        return _scalar(value)
    raise ExprError(f"json: unsupported type: {go_type(value)}")


def json_float(number: float) -> str:
    if not math.isfinite(number):
        raise ExprError(f"json: unsupported value: {go_float(number)}")
    text = go_float(number, least=-6, most=21)
    return _EXPONENT.sub(lambda found: f"e{found[1]}{found[2].lstrip('0')}" if found[1] == "-" else found.group(), text)


def parse_json(frame: Frame, text: str) -> object:
    """`fromJSON`: every number is a float64, as in Go."""
    frame.text(len(text))
    try:
        return json.loads(text, parse_int=_json_number, parse_float=_json_number, parse_constant=_no_constant)
    except RecursionError:
        raise ExprError("the JSON is nested too deep") from None
    except ValueError as error:
        raise ExprError(f"invalid JSON: {error}") from None


def _json_number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"number {digits[:20]}… does not fit float64")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


# --- the result -----------------------------------------------------------------------------------------------------


def as_result(frame: Frame, value: object) -> JsonValue:
    """What an expression gives to its caller, as encoding/json would write it: JSON has no int and float, so whole
    floats below 10^21 come out as ints; times as RFC 3339, durations as nanoseconds, bytes as base64."""
    return _result(frame, value, 0)


def _result(frame: Frame, value: object, depth: int) -> JsonValue:
    frame.spend(2)
    if value is None or type(value) is bool or type(value) is int:
        return value
    if type(value) is str:
        frame.text(len(value))
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise ExprError(f"the result is {go_float(value)}, which JSON has no number for")
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if type(value) is list or isinstance(value, dict):
        return _nested(frame, value, depth)
    if isinstance(value, tzinfo) or type(value) in (datetime, Duration, bytes):
        text = str(value) if isinstance(value, tzinfo) else _json_scalar(value)
        return int(text) if isinstance(value, Duration) else text.strip('"')
    raise ExprError(f"the result is a {go_type(value)}; was a call forgotten?")


def _nested(frame: Frame, value: list[object] | dict[object, object], depth: int) -> JsonValue:
    if depth >= MAX_VALUE_DEPTH:
        raise ExprError(f"the result is nested deeper than {MAX_VALUE_DEPTH}")
    if type(value) is list:
        return [_result(frame, item, depth + 1) for item in value]
    items = cast("dict[object, object]", value).items()
    return {go_text(frame, key_value(key)): _result(frame, item, depth + 1) for key, item in items}
