"""The functions that Go's text/template has by itself: `index`, `len`, `eq`, `printf`, `html`, ...

`and` and `or` are part of the language, as they do not evaluate all of their arguments. `call` has nothing to call.

Source: https://pkg.go.dev/text/template#hdr-Functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final
from urllib.parse import quote_plus

from retrain.expressions.template.functions import Function, bounded
from retrain.expressions.template.printf import sprint, sprintf, sprintln
from retrain.expressions.template.show import show
from retrain.expressions.template.values import (
    CallError,
    Int,
    Opaque,
    StringMap,
    Uint8,
    Value,
    as_float,
    from_bytes,
    is_float,
    is_nil,
    kind_name,
    to_bytes,
    truth,
    type_name,
)


def _index_of(index: Value, size: int) -> int:
    if is_nil(index):
        raise CallError("cannot index slice/array with nil")
    if not isinstance(index, Int):
        raise CallError(f"cannot index slice/array with type {type_name(index)}")
    if index < 0 or index > size:
        raise CallError(f"index out of range: {int(index)}")
    return int(index)


def _index(item: Value, *indexes: Value) -> Value:
    if is_nil(item):
        raise CallError("index of untyped nil")
    for index in indexes:
        item = _indexed(item, index)
    return item


def _indexed(item: Value, index: Value) -> Value:
    if isinstance(item, dict):
        if is_nil(index):
            raise CallError("value is nil; should be of type string")
        if not isinstance(index, str):
            raise CallError(f"value has type {type_name(index)}; should be string")
        return item.get(index, "" if isinstance(item, StringMap) else None)
    if isinstance(item, list | str):
        sequence = to_bytes(item) if isinstance(item, str) else item
        at = _index_of(index, len(sequence))
        if at == len(sequence):
            raise CallError("reflect: slice index out of range" if isinstance(item, list) else _OUTSIDE)
        return Uint8(sequence[at]) if isinstance(item, str) else sequence[at]
    if is_nil(item):
        raise CallError("index of nil pointer")
    raise CallError(f"can't index item of type {type_name(item)}")


_OUTSIDE = "reflect: string index out of range"


def _slice(item: Value, *indexes: Value) -> Value:
    if is_nil(item):
        raise CallError("slice of untyped nil")
    if len(indexes) > 3:
        raise CallError(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, str | list):
        raise CallError(f"can't slice item of type {type_name(item)}")
    if isinstance(item, str) and len(indexes) == 3:
        raise CallError("cannot 3-index slice a string")
    whole = to_bytes(item) if isinstance(item, str) else item
    bounds = [0, len(whole)]
    bounds[: len(indexes)] = [_index_of(index, len(whole)) for index in indexes]
    for left, right in pairwise(bounds):
        if left > right:
            raise CallError(f"invalid slice index: {left} > {right}")
    part = whole[bounds[0] : bounds[1]]
    return from_bytes(part) if isinstance(part, bytes) else type(item)(part)


def _len(item: Value) -> Int:
    if isinstance(item, str):
        return Int(len(item) if item.isascii() else len(to_bytes(item)))
    if isinstance(item, list | dict):
        return Int(len(item))
    raise CallError("len of nil pointer" if is_nil(item) else f"len of type {type_name(item)}")


# --- comparisons ----------------------------------------------------------------------------------------------------


def _basic(value: Value) -> str:
    """Go's basic kind of it; empty where it has none."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Int):
        return "int"
    return "float" if is_float(value) else ""


def _eq(first: Value, *others: Value) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(left: Value, right: Value) -> bool:
    kind = _basic(left)
    if kind != _basic(right):
        if is_nil(left) or is_nil(right):
            return False
        raise CallError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")
    if kind == "float":
        return as_float(left) == as_float(right)
    if kind:
        return left == right
    if is_nil(left) or is_nil(right):
        return is_nil(left) and is_nil(right)
    if kind_name(left) != kind_name(right):
        raise CallError(
            f"non-comparable types {show(left)}: {type_name(left)}, {type_name(right)}: {show(right)}",
        )
    if isinstance(left, list | dict):
        raise CallError(f"non-comparable type {show(right)}: {type_name(right)}")
    return left is right if isinstance(left, Opaque) else left == right


def _lt(left: Value, right: Value) -> bool:
    kinds = _basic(left), _basic(right)
    if not all(kinds):
        raise CallError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise CallError(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")
    if kinds[0] == "bool":
        raise CallError("invalid type for comparison")
    if kinds[0] == "string":
        return left < right if left.isascii() and right.isascii() else to_bytes(left) < to_bytes(right)
    return as_float(left) < as_float(right) if kinds[0] == "float" else left < right


def _le(left: Value, right: Value) -> bool:
    return _lt(left, right) or _same(left, right)


# --- escapes --------------------------------------------------------------------------------------------------------

_HTML: Final = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"},
)
_JS_NAMED: Final[Mapping[str, str]] = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def _joined(args: tuple[Value, ...]) -> str:
    if len(args) == 1 and isinstance(args[0], str):
        return args[0]
    return sprint([_printable(arg) for arg in args])


def _printable(value: Value) -> Value:
    return "<no value>" if is_nil(value) else value


def _html(*args: Value) -> str:
    return bounded(_joined(args).translate(_HTML))


def _js(*args: Value) -> str:
    text = _joined(args)
    return bounded("".join(_js_char(char) for char in text))


def _js_char(char: str) -> str:
    if char in _JS_NAMED:
        return _JS_NAMED[char]
    code = ord(char)
    if code < 0x20 or (code > 0x7E and not char.isprintable()):
        return f"\\u{code:04X}"
    return char


def _urlquery(*args: Value) -> str:
    return bounded(quote_plus(to_bytes(_joined(args)), safe="-_.~"))


def _not(value: Value) -> bool:
    return not truth(value)


def _ne(left: Value, right: Value) -> bool:
    return not _same(left, right)


def _gt(left: Value, right: Value) -> bool:
    return not _le(left, right)


def _ge(left: Value, right: Value) -> bool:
    return not _lt(left, right)


def _printf(form: str, *args: Value) -> str:
    return sprintf(form, args)


def _print(*args: Value) -> str:
    return sprint(args)


def _println(*args: Value) -> str:
    return sprintln(args)


_TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "eq": ("value, value...", _eq),
    "ge": ("value, value", _ge),
    "gt": ("value, value", _gt),
    "html": ("any...", _html),
    "index": ("value, value...", _index),
    "js": ("any...", _js),
    "le": ("value, value", _le),
    "len": ("value", _len),
    "lt": ("value, value", _lt),
    "ne": ("value, value", _ne),
    "not": ("value", _not),
    "print": ("any...", _print),
    "printf": ("string, any...", _printf),
    "println": ("any...", _println),
    "slice": ("value, value...", _slice),
    "urlquery": ("any...", _urlquery),
}

BUILTINS: Final[Mapping[str, Function]] = {
    name: Function.of(name, signature, call) for name, (signature, call) in _TABLE.items()
}
"""The functions by name."""

LOGIC: Final = ("and", "or")
"""Part of the language: they stop at the first argument that decides."""

REFUSED: Final[Mapping[str, str]] = {"call": "no value here is a function"}
