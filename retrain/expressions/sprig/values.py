"""What sprig's functions ask of any value: is it empty, are two equal, make a copy. And `typeOf` and its kin.

Source: https://masterminds.github.io/sprig/defaults.html and reflection.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from retrain.expressions.template.meter import spend
from retrain.expressions.template.show import check_depth
from retrain.expressions.template.values import (
    CallError,
    Missing,
    NilList,
    NilStrings,
    Opaque,
    Value,
    as_float,
    is_float,
    kind_name,
    truth,
    type_name,
)


def empty(value: Value) -> bool:
    """Zero, false, or nothing in it. A date is never empty."""
    return not truth(value)


def deep_equal(left: Value, right: Value, depth: int = 0) -> bool:
    """As `reflect.DeepEqual`: of the same types all the way down, so 1 of the template is not 1 of the data."""
    spend(4)
    check_depth(depth)
    if type_name(left) != type_name(right):
        return False
    if isinstance(left, dict):
        if len(left) != len(right) or left.keys() != right.keys():
            return False
        return all(deep_equal(item, right[key], depth + 1) for key, item in left.items())
    if isinstance(left, list):
        if len(left) != len(right) or _is_nil_list(left) != _is_nil_list(right):
            return False
        return all(deep_equal(item, other, depth + 1) for item, other in zip(left, right, strict=True))
    return _same_scalar(left, right)


def _is_nil_list(value: Value) -> bool:
    return isinstance(value, NilList | NilStrings)


def _same_scalar(left: Value, right: Value) -> bool:
    if is_float(left):
        return as_float(left) == as_float(right)
    return bool(left == right)


class Known:
    """A set of values by `deep_equal`, quick where they are texts and numbers."""

    __slots__ = ("_keys", "_others")

    def __init__(self) -> None:
        self._keys: set[tuple[str, Value]] = set()
        self._others: list[Value] = []

    def add(self, value: Value) -> bool:
        """Add it; false if it is known already."""
        if value in self:
            return False
        if _hashable(value):
            self._keys.add((type_name(value), value))
        else:
            self._others.append(value)
        return True

    def __contains__(self, value: Value) -> bool:
        if value != value:
            return False
        if _hashable(value):
            return (type_name(value), value) in self._keys
        return any(deep_equal(value, other) for other in self._others)


def _hashable(value: Value) -> bool:
    return value is None or isinstance(value, str | int | float | datetime)


def copied(value: Value, depth: int = 0) -> Value:
    """The same value in new lists and maps."""
    if isinstance(value, dict):
        check_depth(depth)
        spend(4 + (len(value) >> 3))
        return type(value)((key, copied(item, depth + 1)) for key, item in value.items())
    if isinstance(value, list):
        check_depth(depth)
        spend(4 + (len(value) >> 3))
        return type(value)(copied(item, depth + 1) for item in value)
    return value


# --- defaults -------------------------------------------------------------------------------------------------------


def _default(default: Value, *given: Value) -> Value:
    return default if not given or empty(given[0]) else given[0]


def _coalesce(*values: Value) -> Value:
    return next((value for value in values if not empty(value)), None)


def _all(*values: Value) -> bool:
    return not any(empty(value) for value in values)


def _any(*values: Value) -> bool:
    return any(not empty(value) for value in values)


def _ternary(yes: Value, no: Value, test: bool) -> Value:
    return yes if test else no


def _fail(message: str) -> str:
    raise CallError(message)


# --- reflection -----------------------------------------------------------------------------------------------------


def _type_is(wanted: str, value: Value) -> bool:
    return wanted == type_name(value)


def _type_is_like(wanted: str, value: Value) -> bool:
    return type_name(value) in (wanted, f"*{wanted}")


def _kind_is(wanted: str, value: Value) -> bool:
    return wanted == kind_name(value)


def _deep_equal(left: Value, right: Value) -> bool:
    return deep_equal(left, right)


def _deep_copy(value: Value) -> Value:
    if isinstance(value, Missing | Opaque):
        return value
    return copied(value)


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "all": ("any...", _all),
    "any": ("any...", _any),
    "coalesce": ("any...", _coalesce),
    "deepCopy": ("any", _deep_copy),
    "deepEqual": ("any, any", _deep_equal),
    "default": ("any, any...", _default),
    "empty": ("any", empty),
    "fail": ("string", _fail),
    "kindIs": ("string, any", _kind_is),
    "kindOf": ("any", kind_name),
    "mustDeepCopy": ("any", _deep_copy),
    "ternary": ("any, any, bool", _ternary),
    "typeIs": ("string, any", _type_is),
    "typeIsLike": ("string, any", _type_is_like),
    "typeOf": ("any", type_name),
}
