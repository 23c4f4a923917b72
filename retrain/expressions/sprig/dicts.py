"""Sprig's functions for maps. `set`, `unset` and the `merge`s change the map that they get, as in Go.

Where Go goes through a map in random order, this goes by key.

Source: https://masterminds.github.io/sprig/dicts.html, and mergo for how maps are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from retrain.expressions.sprig.values import empty
from retrain.expressions.template.meter import seats, spend
from retrain.expressions.template.show import check_depth, show
from retrain.expressions.template.values import CallError, NilMap, Strings, Value, type_name

_Map = dict[str, Any]


def _get(map_: _Map, key: str) -> Value:
    return map_.get(key, "")


def _set(map_: _Map, key: str, value: Value) -> _Map:
    if isinstance(map_, NilMap):
        raise CallError("assignment to entry in nil map")
    map_[key] = value
    seats(len(map_))
    return map_


def _unset(map_: _Map, key: str) -> _Map:
    map_.pop(key, None)
    return map_


def _has_key(map_: _Map, key: str) -> bool:
    return key in map_


def _pluck(key: str, *maps: _Map) -> list[Value]:
    return [map_[key] for map_ in maps if key in map_]


def _keys(*maps: _Map) -> Strings:
    seats(sum(map(len, maps)))
    return Strings(key for map_ in maps for key in sorted(map_))


def _values(map_: _Map) -> list[Value]:
    seats(len(map_))
    return [map_[key] for key in sorted(map_)]


def _pick(map_: _Map, *keys: str) -> _Map:
    return {key: map_[key] for key in keys if key in map_}


def _omit(map_: _Map, *keys: str) -> _Map:
    spend(len(map_) >> 3)
    return {key: value for key, value in map_.items() if key not in keys}


def _dict(*pairs: Value) -> _Map:
    out: _Map = {}
    for at in range(0, len(pairs), 2):
        out[show(pairs[at])] = pairs[at + 1] if at + 1 < len(pairs) else ""
    return out


def _dig(*params: Value) -> Value:
    if len(params) < 3:
        raise CallError("dig needs at least three arguments")
    *keys, default, inside = params
    for key in keys:
        if not isinstance(key, str):
            raise CallError(f"interface conversion: interface {{}} is {type_name(key)}, not string")
        if not isinstance(inside, dict):
            got = type_name(inside) if inside is not None else "nil"
            raise CallError(f"interface conversion: interface {{}} is {got}, not map[string]interface {{}}")
        if key not in inside:
            return default
        inside = inside[key]
    return inside


# --- merge ----------------------------------------------------------------------------------------------------------


def _merge(into: _Map, *sources: _Map) -> _Map:
    return _merged(into, sources, overwrite=False)


def _merge_overwrite(into: _Map, *sources: _Map) -> _Map:
    return _merged(into, sources, overwrite=True)


def _merged(into: _Map, sources: tuple[_Map, ...], *, overwrite: bool) -> _Map:
    if isinstance(into, NilMap):
        into = {}
    for source in sources:
        _merge_into(into, source, overwrite=overwrite, depth=0)
    return into


def _merge_into(into: _Map, source: _Map, *, overwrite: bool, depth: int) -> None:
    """What is missing or empty in `into` comes from `source`; with `overwrite`, all that is not. Maps are merged."""
    check_depth(depth)
    for key, value in list(source.items()):
        spend(1)
        old = into.get(key)
        if value is None:
            if overwrite:
                into[key] = None
            continue
        if isinstance(value, dict) and isinstance(old, dict) and value is not old:
            _merge_into(old, value, overwrite=overwrite, depth=depth + 1)
            if not empty(old):
                continue
        if key not in into or overwrite or empty(old):
            into[key] = value


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "dict": ("any...", _dict),
    "dig": ("any...", _dig),
    "get": ("map, string", _get),
    "hasKey": ("map, string", _has_key),
    "keys": ("map...", _keys),
    "merge": ("map, map...", _merge),
    "mergeOverwrite": ("map, map...", _merge_overwrite),
    "mustMerge": ("map, map...", _merge),
    "mustMergeOverwrite": ("map, map...", _merge_overwrite),
    "omit": ("map, string...", _omit),
    "pick": ("map, string...", _pick),
    "pluck": ("string, map...", _pluck),
    "set": ("map, string, any", _set),
    "unset": ("map, string", _unset),
    "values": ("map", _values),
}

WRITERS: Final = frozenset({"set", "unset", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"})
"""Those that change the map that they get."""
