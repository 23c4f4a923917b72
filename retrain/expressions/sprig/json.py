"""JSON as Go's `encoding/json` writes it: keys in order, `<`, `>` and `&` escaped unless raw, floats without a `.0`.

Source: https://pkg.go.dev/encoding/json#Marshal, https://masterminds.github.io/sprig/defaults.html
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NoReturn

from retrain.expressions.sprig.time import go_format
from retrain.expressions.template.meter import room
from retrain.expressions.template.show import Parts, check_depth, digits_of, plain, quote, shortest, show
from retrain.expressions.template.values import (
    CallError,
    Int,
    LimitError,
    NilList,
    NilStrings,
    Opaque,
    Value,
    as_float,
    is_nil,
    whole,
)

_ESCAPED = re.compile(r'[\x00-\x1f"\\\u2028\u2029]')
_ESCAPED_HTML = re.compile(r'[\x00-\x1f"\\<>&\u2028\u2029]')
_NAMED: Final[Mapping[str, str]] = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}


def encode(value: Value, *, html: bool = True, indent: str = "") -> str:
    """As Go's encoder. `html`: escape what a browser could take for markup.

    Raises:
        CallError: it has a NaN or an infinite number, or is too long or too deep.
    """
    if isinstance(value, str):
        return _text(value, html)
    parts = Parts()
    _Encoder(parts, html, indent).put(value, 0)
    return parts.text()


def _text(text: str, html: bool) -> str:
    pattern = _ESCAPED_HTML if html else _ESCAPED
    return f'"{pattern.sub(_escape, whole(text))}"'


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _NAMED.get(char) or f"\\u{ord(char):04x}"


class _Encoder:
    def __init__(self, parts: Parts, html: bool, indent: str) -> None:
        self._parts = parts
        self._html = html
        self._indent = indent

    def put(self, value: Value, depth: int) -> None:
        simple = self._scalar(value)
        if simple is not None:
            self._parts.add(simple)
            return
        check_depth(depth)
        if isinstance(value, dict):
            self._put_map(value, depth)
        else:
            self._put_list(value, depth)

    def _put_map(self, value: dict[str, Value], depth: int) -> None:
        if not value:
            self._parts.add("{}")
            return
        colon = ": " if self._indent else ":"
        self._parts.add("{")
        for at, key in enumerate(sorted(value)):
            self._next(at, depth + 1)
            self._parts.add(_text(key, self._html) + colon)
            self.put(value[key], depth + 1)
        self._close("}", depth)

    def _put_list(self, value: list[Value], depth: int) -> None:
        if not value:
            self._parts.add("[]")
            return
        self._parts.add("[")
        for at, item in enumerate(value):
            self._next(at, depth + 1)
            self.put(item, depth + 1)
        self._close("]", depth)

    def _next(self, at: int, depth: int) -> None:
        comma = "," if at else ""
        if self._indent or comma:
            self._parts.add(f"{comma}\n{self._indent * depth}" if self._indent else comma)

    def _close(self, mark: str, depth: int) -> None:
        self._parts.add(f"\n{self._indent * depth}{mark}" if self._indent else mark)

    def _scalar(self, value: Value) -> str | None:
        if isinstance(value, str):
            return _text(value, self._html)
        if is_nil(value) or isinstance(value, NilList | NilStrings):
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Int):
            return int.__repr__(value)
        if isinstance(value, int | float):
            return _number(as_float(value))
        if isinstance(value, datetime):
            return f'"{go_format(value, "2006-01-02T15:04:05.999999999Z07:00")}"'
        return _text(show(value), self._html) if isinstance(value, Opaque) else None


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise CallError(f"json: unsupported value: {show(value)}")
    if not value or 1e-6 <= abs(value) < 1e21:
        return ("-" if math.copysign(1, value) < 0 else "") + (plain(*digits_of(abs(value))) if value else "0")
    # Go cleans up `e-09` to `e-9`.
    return re.sub(r"e-0(\d)$", r"e-\1", shortest(value, 21))


# --- functions ------------------------------------------------------------------------------------------------------


def _or_nothing(write: Callable[[], str]) -> str:
    """Sprig forgets the error of what cannot be written; a limit is not forgotten."""
    try:
        return write()
    except LimitError:
        raise
    except CallError:
        return ""


def _to_json(value: Value) -> str:
    return _or_nothing(lambda: encode(value))


def _to_pretty_json(value: Value) -> str:
    return _or_nothing(lambda: encode(value, indent="  "))


def _to_raw_json(value: Value) -> str:
    return encode(value, html=False)


def _must_to_pretty_json(value: Value) -> str:
    return encode(value, indent="  ")


def _must_to_json(value: Value) -> str:
    return encode(value)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"json: cannot unmarshal number {digits} into Go value of type float64")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character {quote(name[0], chr(39))} looking for beginning of value")


def _must_from_json(text: str) -> Value:
    room(len(text))
    try:
        return json.loads(whole(text), parse_int=_finite, parse_float=_finite, parse_constant=_constant)
    except RecursionError:
        raise CallError("exceeded max depth") from None
    except ValueError as error:
        raise CallError(str(error)) from None


def _from_json(text: str) -> Value:
    try:
        return _must_from_json(text)
    except LimitError:
        raise
    except CallError:
        return None


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "fromJson": ("string", _from_json),
    "mustFromJson": ("string", _must_from_json),
    "mustToJson": ("any", _must_to_json),
    "mustToPrettyJson": ("any", _must_to_pretty_json),
    "mustToRawJson": ("any", _to_raw_json),
    "toJson": ("any", _to_json),
    "toPrettyJson": ("any", _to_pretty_json),
    "toRawJson": ("any", _to_raw_json),
}
