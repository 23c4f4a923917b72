"""The values that a template works on, and what Go would call their types.

Go tells an int from an int64 from a float64, and a nil from a value that is not there at all; Python's JSON does not.
So a number that came with the data, whether `int` or `float` in Python, is Go's float64 (as `encoding/json` makes it),
and a number that was written in the template or counted by a function is an `Int` or one of its kin. Nothing has to be
converted when a template starts, however large its data.

Text is `str`. Where a function cuts a character in two, the halves live on as surrogates until the end of rendering.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, TypeGuard, cast

from retrain.errors import ConfigError

Value = Any
"""None, bool, int, float, str, list, dict (of JSON), `MISSING`, or one of the classes of this file."""


class TemplateError(ConfigError):
    """The text is no template, or rendering it failed. The message has Go's words."""


class CallError(TemplateError):
    """A function refused its arguments; whoever called it knows where and says so."""


class LimitError(CallError):
    """A limit was met. Nothing that forgives other errors forgives this one."""


class Missing:
    """Go's invalid `reflect.Value`: a key that a map does not have. Prints as `<no value>`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Int(int):
    """Go's int, 64 bits."""

    __slots__ = ()


class Int64(Int):
    """Go's int64, which is another type than int for the parameters of functions."""

    __slots__ = ()


class Uint8(Int):
    """Go's uint8: a byte of a text."""

    __slots__ = ()


class Uint64(Int):
    """Go's uint64: the parts of a version."""

    __slots__ = ()


class Duration(Int):
    """Go's time.Duration, in nanoseconds."""

    __slots__ = ()


class Month(Int):
    """Go's time.Month, 1 to 12; prints as its English name."""

    __slots__ = ()


class Weekday(Int):
    """Go's time.Weekday, 0 (Sunday) to 6."""

    __slots__ = ()


class Strings(list[Any]):
    """Go's []string."""

    __slots__ = ()


class Ints(list[Any]):
    """Go's []int."""

    __slots__ = ()


class Lists(list[Any]):
    """Go's [][]interface {}."""

    __slots__ = ()


class NilList(list[Any]):
    """Go's []interface {} that is nil: empty, and `null` as JSON."""

    __slots__ = ()


class NilStrings(Strings):
    """Go's []string that is nil."""

    __slots__ = ()


class StringMap(dict[str, Any]):
    """Go's map[string]string."""

    __slots__ = ()


class NilMap(dict[str, Any]):
    """Go's map[string]interface {} that is nil: nothing can be put into it."""

    __slots__ = ()


class Opaque:
    """A Go pointer to a struct: shows itself by `str`, has methods (`template_methods`), and nothing else."""

    __slots__ = ()
    type_name: ClassVar[str] = "struct {}"


_INT_TYPES: Mapping[type, str] = {
    Int: "int",
    Int64: "int64",
    Uint8: "uint8",
    Uint64: "uint64",
    Duration: "time.Duration",
    Month: "time.Month",
    Weekday: "time.Weekday",
}
_TYPES: Mapping[type, str] = {
    type(None): "<nil>",
    Missing: "<nil>",
    bool: "bool",
    int: "float64",
    float: "float64",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    Strings: "[]string",
    Ints: "[]int",
    Lists: "[][]interface {}",
    NilList: "[]interface {}",
    NilMap: "map[string]interface {}",
    NilStrings: "[]string",
    StringMap: "map[string]string",
    datetime: "time.Time",
    **_INT_TYPES,
}
_KINDS: Mapping[str, str] = {
    "<nil>": "invalid",
    "time.Time": "struct",
    "time.Duration": "int64",
    "time.Month": "int",
    "time.Weekday": "int",
}

MIN_INT64: Final = -(2**63)
MAX_INT64: Final = 2**63 - 1


def type_name(value: Value) -> str:
    """As Go's `%T`: `float64`, `[]interface {}`, `map[string]interface {}`, `<nil>`, ..."""
    known = _TYPES.get(type(value))
    if known is not None:
        return known
    if isinstance(value, Opaque):
        return value.type_name
    for base in (bool, float, str, list, dict, datetime):
        if isinstance(value, base):
            return _TYPES[base]
    return "float64" if isinstance(value, int) else "interface {}"


def kind_name(value: Value) -> str:
    """As Go's `reflect.Kind`: `float64`, `slice`, `map`, `invalid`, ..."""
    name = type_name(value)
    if name in _KINDS:
        return _KINDS[name]
    if name.startswith("["):
        return "slice"
    if name.startswith("map["):
        return "map"
    return "ptr" if name.startswith("*") else name


def is_nil(value: Value) -> bool:
    """Whether it is nil, or not there."""
    return value is None or value is MISSING


def is_float(value: Value) -> TypeGuard[int | float]:
    """Whether Go would hold a float64: every number that is no `Int`."""
    kind = type(value)
    return kind is float or (kind is not bool and isinstance(value, int | float) and not isinstance(value, Int | bool))


def is_map(value: Value) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def as_float(value: float) -> float:
    """The float64 of a number of JSON; infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def wrap(number: int) -> int:
    """What 64 bits keep of it, as Go's integers overflow."""
    if MIN_INT64 <= number <= MAX_INT64:
        return number
    return (number + 2**63) % 2**64 - 2**63


def truth(value: Value) -> bool:
    """Go's: empty and zero are false, everything else is true."""
    if value is MISSING:
        return False
    if isinstance(value, bool | int | float | str | list | dict):
        return bool(cast(object, value))
    return value is not None


def to_bytes(text: str) -> bytes:
    """UTF-8, with the halves of cut characters as the bytes that they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def from_bytes(data: bytes) -> str:
    """The reverse of `to_bytes`."""
    return data.decode("utf-8", "surrogateescape")


def whole(text: str) -> str:
    """Text that can leave: what is no character becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return to_bytes(text).decode("utf-8", "replace")
    return text
