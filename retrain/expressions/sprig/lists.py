"""Sprig's functions for lists. None of them changes the list that it gets.

Source: https://masterminds.github.io/sprig/lists.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from retrain.expressions.sprig.numbers import to_int64
from retrain.expressions.sprig.strings import strings_of
from retrain.expressions.sprig.values import Known, deep_equal, empty
from retrain.expressions.template.meter import seats, spend
from retrain.expressions.template.values import (
    CallError,
    Lists,
    NilList,
    Strings,
    Value,
    kind_name,
    to_bytes,
)


def _items(value: Value, message: str) -> list[Value]:
    if not isinstance(value, list):
        raise CallError(f"{message} {kind_name(value)}")
    seats(len(value))
    return value


def _list(*values: Value) -> list[Value]:
    return list(values)


def _append(value: Value, item: Value) -> list[Value]:
    return [*_items(value, "Cannot push on type"), item]


def _prepend(value: Value, item: Value) -> list[Value]:
    return [item, *_items(value, "Cannot prepend on type")]


def _chunk(size: int, value: Value) -> Lists:
    items = _items(value, "Cannot chunk type")
    if size < 1:
        raise CallError(f"chunk: the size must be 1 at least, it is {int(size)}")
    return Lists(items[at : at + size] for at in range(0, len(items), int(size)))


def _last(value: Value) -> Value:
    items = _items(value, "Cannot find last on type")
    return items[-1] if items else None


def _first(value: Value) -> Value:
    items = _items(value, "Cannot find first on type")
    return items[0] if items else None


def _rest(value: Value) -> list[Value]:
    items = _items(value, "Cannot find rest on type")
    return list(items[1:]) if items else NilList()


def _initial(value: Value) -> list[Value]:
    items = _items(value, "Cannot find initial on type")
    return list(items[:-1]) if items else NilList()


def _reverse(value: Value) -> list[Value]:
    return list(reversed(_items(value, "Cannot find reverse on type")))


def _compact(value: Value) -> list[Value]:
    return [item for item in _items(value, "Cannot compact on type") if not empty(item)]


def _uniq(value: Value) -> list[Value]:
    known = Known()
    return [item for item in _items(value, "Cannot find uniq on type") if known.add(item)]


def _without(value: Value, *omitted: Value) -> list[Value]:
    known = Known()
    for item in omitted:
        known.add(item)
    return [item for item in _items(value, "Cannot find without on type") if item not in known]


def _has(needle: Value, haystack: Value) -> bool:
    if haystack is None:
        return False
    return any(deep_equal(needle, item) for item in _items(haystack, "Cannot find has on type"))


def _slice(value: Value, *indices: Value) -> Value:
    items = _items(value, "list should be type of slice or array but")
    if not items:
        return None
    start = to_int64(indices[0]) if indices else 0
    end = to_int64(indices[1]) if len(indices) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        raise CallError("reflect.Value.Slice: slice index out of bounds")
    return type(items)(items[start:end])


def _concat(*values: Value) -> list[Value]:
    out: list[Value] = []
    for value in values:
        if not isinstance(value, list):
            raise CallError(f"Cannot concat type {kind_name(value)} as list")
        out.extend(value)
        seats(len(out))
    return out or NilList()


def _sort_alpha(value: Value) -> Strings:
    if not isinstance(value, list):
        return strings_of(value if value is not None else "<nil>")
    parts = strings_of(value)
    spend(len(parts))
    return Strings(parts_sorted(parts))


def parts_sorted(parts: Sequence[str]) -> list[str]:
    """By their bytes, as Go orders texts."""
    return sorted(parts) if all(part.isascii() for part in parts) else sorted(parts, key=to_bytes)


_SINGLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "append": ("any, any", _append),
    "chunk": ("int, any", _chunk),
    "compact": ("any", _compact),
    "first": ("any", _first),
    "has": ("any, any", _has),
    "initial": ("any", _initial),
    "last": ("any", _last),
    "prepend": ("any, any", _prepend),
    "push": ("any, any", _append),
    "rest": ("any", _rest),
    "reverse": ("any", _reverse),
    "slice": ("any, any...", _slice),
    "uniq": ("any", _uniq),
    "without": ("any, any...", _without),
}
"""Those that have a twin `must...`: both fail here, as in Go, where a panic and an error look the same."""

TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    **_SINGLE,
    **{f"must{name[0].upper()}{name[1:]}": entry for name, entry in _SINGLE.items()},
    "concat": ("any...", _concat),
    "list": ("any...", _list),
    "sortAlpha": ("any", _sort_alpha),
    "tuple": ("any...", _list),
}
