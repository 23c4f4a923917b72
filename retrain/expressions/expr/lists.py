"""expr-lang: functions over lists and maps."""

from __future__ import annotations

from typing import cast

from retrain.expressions.expr.arithmetic import equal, less
from retrain.expressions.expr.frame import MAX_VALUE_DEPTH, Frame
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import (
    AnyMap,
    Namespace,
    as_float,
    as_int,
    fetch,
    go_type,
    is_number,
    key_value,
    map_key,
)


def list_of(value: object, does: str) -> list[object]:
    """`does`: as in "cannot reverse nil"."""
    if type(value) is list:
        return value
    raise ExprError(f"cannot {does} {go_type(value)}")


def map_of(value: object, does: str) -> dict[object, object]:
    if type(value) is dict or type(value) is AnyMap:
        return cast("dict[object, object]", value)
    raise ExprError(f"cannot {does} {go_type(value)}")


def length(_: Frame, value: object) -> int:
    if type(value) in (list, dict, str, bytes, AnyMap):
        return len(cast("str", value))
    raise ExprError(f"invalid argument for len (type {go_type(value)})")


def first(_: Frame, value: object) -> object:
    return get(_, value, 0)


def last(_: Frame, value: object) -> object:
    return get(_, value, -1)


def get(_: Frame, value: object, key: object) -> object:
    """Like `value[key]`, but nil where there is nothing."""
    if value is None or isinstance(value, Namespace):
        return None
    try:
        return fetch(value, key)
    except ExprError:
        return None


def take(frame: Frame, value: object, count: object) -> list[object]:
    items = list_of(value, "take from")
    if type(count) is not int:
        raise ExprError(f"cannot take {go_type(count)} elements")
    if count < 0:
        raise ExprError(f"cannot take {count} elements")
    frame.room(min(count, len(items)))
    return items[:count]


def reverse(frame: Frame, value: object) -> list[object]:
    items = list_of(value, "reverse")
    frame.room(len(items))
    return items[::-1]


def concat(frame: Frame, *values: object) -> list[object]:
    out: list[object] = []
    for value in values:
        items = list_of(value, "concat")
        frame.room(len(items))
        out += items
    return out


def flatten(frame: Frame, value: object) -> list[object]:
    out: list[object] = []
    _flatten(frame, list_of(value, "flatten"), out, 0)
    return out


def _flatten(frame: Frame, items: list[object], out: list[object], depth: int) -> None:
    if depth > MAX_VALUE_DEPTH:
        raise ExprError(f"recursion depth exceeded: lists nested deeper than {MAX_VALUE_DEPTH}")
    frame.room(len(items))
    for item in items:
        if type(item) is list:
            _flatten(frame, item, out, depth + 1)
        else:
            out.append(item)


def uniq(frame: Frame, value: object) -> list[object]:
    """The first of those that are equal. Texts and ints are looked up, others compared one by one."""
    out: list[object] = []
    seen: set[object] = set()
    others: list[object] = []
    items = list_of(value, "uniq")
    frame.room(len(items))
    for item in items:
        frame.touch(item)
        if type(item) is str or type(item) is int or type(item) is float:
            new = item not in seen
            seen.add(item)
        else:
            frame.spend(len(others) + 1)
            new = not any(equal(frame, item, other) for other in others)
            if new:
                others.append(item)
        if new:
            out.append(item)
    return out


def sort(frame: Frame, value: object, order: object = "asc") -> list[object]:
    items = list_of(value, "sort") if value is not None else []
    frame.room(len(items))
    return sorted_by(frame, items, items, order)


def sorted_by(frame: Frame, items: list[object], values: list[object], order: object) -> list[object]:
    """`items` in the order of their `values`, which must be numbers, or texts, or times, or durations."""
    if order not in ("asc", "desc"):
        raise ExprError(f"invalid order {str(order)[:40]!r}, expected asc or desc")
    for value in values[1:]:
        less(frame, values[0], value)  # raises where two of them have no order
    frame.spend(sum(len(value) >> 4 if type(value) is str else 1 for value in values))
    by = sorted(range(len(items)), key=cast("list[int]", values).__getitem__, reverse=order == "desc")
    return [items[at] for at in by]


# --- maps -----------------------------------------------------------------------------------------------------------


def keys(frame: Frame, value: object) -> list[object]:
    entries = map_of(value, "get keys from")
    frame.room(len(entries))
    return [key_value(key) for key in entries]


def values(frame: Frame, value: object) -> list[object]:
    entries = map_of(value, "get values from")
    frame.room(len(entries))
    return list(entries.values())


def to_pairs(frame: Frame, value: object) -> list[object]:
    entries = map_of(value, "transform to pairs")
    frame.room(len(entries) * 3)
    return [[key_value(key), item] for key, item in entries.items()]


def from_pairs(frame: Frame, value: object) -> object:
    pairs = list_of(value, "transform from pairs")
    frame.room(len(pairs))
    out = AnyMap()
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise ExprError("invalid pair: it must be a list of a key and a value")
        frame.touch(pair[0])
        out[map_key(out, pair[0])] = pair[1]
    return out


# --- numbers of lists -----------------------------------------------------------------------------------------------


def numbers(frame: Frame, name: str, arguments: tuple[object, ...]) -> list[int | float]:
    """All numbers of the arguments and of lists in them."""
    out: list[int | float] = []
    _numbers(frame, name, list(arguments), out, 0)
    return out


def _numbers(frame: Frame, name: str, items: list[object], out: list[int | float], depth: int) -> None:
    if depth > MAX_VALUE_DEPTH:
        raise ExprError(f"recursion depth exceeded: lists nested deeper than {MAX_VALUE_DEPTH}")
    frame.room(len(items))
    for item in items:
        if type(item) is list:
            _numbers(frame, name, item, out, depth + 1)
        elif is_number(item):
            out.append(cast("int | float", item))
        else:
            raise ExprError(f"invalid argument for {name} (type {go_type(item)})")


def largest(frame: Frame, *arguments: object) -> object:
    if len(arguments) == 1 and not (type(arguments[0]) is list or is_number(arguments[0])):
        return arguments[0]  # as upstream
    return max(numbers(frame, "max", arguments), default=None)


def smallest(frame: Frame, *arguments: object) -> object:
    if len(arguments) == 1 and not (type(arguments[0]) is list or is_number(arguments[0])):
        return arguments[0]
    return min(numbers(frame, "min", arguments), default=None)


def mean(frame: Frame, *arguments: object) -> float:
    found = numbers(frame, "mean", arguments)
    total = 0.0
    for number in found:
        total += as_float(number)
    return total / len(found) if found else 0.0


def median(frame: Frame, *arguments: object) -> float:
    found = sorted(as_float(number) for number in numbers(frame, "median", arguments))
    if not found:
        return 0.0
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2


# --- bits -----------------------------------------------------------------------------------------------------------


def bits(value: object, name: str) -> int:
    if type(value) is int:
        return as_int(value)
    raise ExprError(f"cannot use {go_type(value)} as argument (type int) to call {name}")
