"""sjson: put a value at a path of a JSON document, as Argo's parameters do with their `dest`.

    set_value({"a": [{"n": "x", "v": 0}]}, compile_dest("a.#(n=x).v"), 1)  ->  {"a": [{"n": "x", "v": 1}]}
    set_value(None, compile_dest("q.0.v"), 1)                              ->  {"q": [{"v": 1}]}

A plain path creates what is missing: an object, or for a number a list, padded with nulls; `-1` appends to a list; `:0`
is a key where `0` would be an index. A path with `#`, `*`, `?`, `|` or `@` only replaces what is there and does nothing
where it finds nothing. The document itself is never changed: the answer shares with it what is not on the way.

Source: https://github.com/tidwall/sjson/blob/master/sjson.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, cast

import orjson

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.expressions.paths import Path, compile_path

MAX_PADDING = 10_000
"""Nulls that one index may add to a list: a path may come from an event."""
MAX_PARTS = 100

Spot = tuple[str | int, ...]


class DestError(ConfigError):
    """The text is no path to put something at, or not in this document."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A plain step. `index` where it may be one, None where it is surely a key; `append` for `-1`."""

    key: str
    index: int | None
    append: bool


@dataclass(frozen=True, slots=True)
class _Pattern:
    """`*` and `?`: the first key that matches."""

    match: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class _Query:
    """`#`, `#(...)` or `#(...)#`: all elements, or those that match, or the first of them."""

    test: Path | None
    all: bool


_Step = _Part | _Pattern | _Query


@dataclass(frozen=True, slots=True)
class Dest:
    """A compiled path to put a value at. `creates`: it makes what is missing. `steps` None: it never finds anything."""

    text: str
    creates: bool
    steps: tuple[_Step, ...] | None


@lru_cache(maxsize=4096)
def compile_dest(text: str) -> Dest:
    """Read an sjson path.

    Raises:
        DestError: it is empty, or has too many parts.
        PathError: a query in it is none.
    """
    if not text:
        raise DestError("a destination cannot be empty")
    raw_parts = list(_split(text))
    if len(raw_parts) > MAX_PARTS:
        raise DestError(f"a destination has {MAX_PARTS} parts at most, this has {len(raw_parts)}")
    if not any(_is_complex(raw) for raw in raw_parts):
        return Dest(text, True, tuple(_part(raw) for raw in raw_parts))
    # After a pipe or a modifier gjson no longer knows where in the document it is, so nothing is ever replaced.
    if any(re.search(r"(?<!\\)\||^@", raw) and not raw.startswith("#(") for raw in raw_parts):
        return Dest(text, False, None)
    return Dest(text, False, tuple(_step(raw) for raw in raw_parts))


def set_value(document: JsonValue, dest: Dest, value: JsonValue) -> JsonValue:
    """The document with `value` at `dest`. None is a document that is not there yet.

    Raises:
        DestError: a list is asked for a member that is no index, or would be padded beyond reason.
    """
    if dest.creates:
        return _create(document, cast("tuple[_Part, ...]", dest.steps), value)
    for spot in _find(document, dest.steps or ()):
        document = _replace(document, spot, value)
    return document


# --- reading a path ---


def _split(text: str) -> Iterator[str]:
    """Parts between dots; a dot behind a backslash, or inside of `#(...)`, is part of its part."""
    start = index = depth = quoted = 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
        elif depth and char == '"':
            quoted ^= 1
        elif not quoted and char == "(" and (depth or text[start:index] == "#"):
            depth += 1
        elif not quoted and char == ")" and depth:
            depth -= 1
        elif char == "." and not depth:
            yield text[start:index]
            start = index + 1
        index += 1
    yield text[start:]


def _is_complex(raw: str) -> bool:
    return re.search(r"[|#@*?]", re.sub(r"\\.", "", raw, flags=re.DOTALL)) is not None


def _unescape(raw: str) -> str:
    return re.sub(r"\\(.?)", r"\1", raw, flags=re.DOTALL)


def _part(raw: str) -> _Part:
    forced = raw.startswith(":")
    key = _unescape(raw[1:] if forced else raw)
    is_index = not forced and (key == "" or (key.isascii() and key.isdecimal()))
    return _Part(key, int(key or 0) if is_index else None, append=not forced and key == "-1")


def _step(raw: str) -> _Step:
    if raw == "#":
        return _Query(None, all=True)
    if raw.startswith("#("):
        return _Query(compile_path(raw.removesuffix("#")), all=raw.endswith(")#"))
    if re.search(r"[*?]", re.sub(r"\\.", "", raw, flags=re.DOTALL)):
        compile_path(raw)  # for its bound on stars
        return _Pattern(re.compile(translate(raw.replace("[", "[[]")), re.DOTALL))
    key = _unescape(raw)
    return _Part(key, int(key) if key.isascii() and key.isdecimal() else None, append=False)


# --- a plain path: create what is missing ---


def _create(document: JsonValue, parts: tuple[_Part, ...], value: JsonValue) -> JsonValue:
    part, rest = parts[0], parts[1:]
    if isinstance(document, list):
        return _create_in_list(cast("list[JsonValue]", document), part, rest, value)
    if isinstance(document, dict):
        found = cast("dict[str, JsonValue]", document)
        if part.key in found:
            return {**found, part.key: _create(found[part.key], rest, value) if rest else value}
        return {**found, part.key: _build(rest, value)}
    # Nothing, or a scalar, which gives way.
    if part.index is not None:
        return _create_in_list([], part, rest, value)
    return {part.key: _build(rest, value)}


def _create_in_list(items: list[JsonValue], part: _Part, rest: tuple[_Part, ...], value: JsonValue) -> JsonValue:
    if part.append:
        return [*items, _build(rest, value)]
    where = int(part.key) if part.key.isascii() and part.key.isdecimal() else None
    if where is not None and where < len(items):
        changed = list(items)
        changed[where] = _create(items[where], rest, value) if rest else value
        return changed
    if part.index is None:
        raise DestError(f"cannot set a member {part.key!r} of a list: that takes a number, or -1 to append")
    return [*items, *_padding(part.index - len(items)), _build(rest, value)]


def _build(parts: tuple[_Part, ...], value: JsonValue) -> JsonValue:
    if not parts:
        return value
    inner = _build(parts[1:], value)
    part = parts[0]
    if part.index is None and not part.append:
        return {part.key: inner}
    return [*_padding(part.index or 0), inner]


def _padding(count: int) -> list[None]:
    if count > MAX_PADDING:
        raise DestError(f"an index may lie {MAX_PADDING} beyond a list's end at most")
    return [None] * max(count, 0)


# --- any other path: replace what is there ---


def _find(document: JsonValue, steps: tuple[_Step, ...]) -> list[Spot]:
    spots: list[tuple[Spot, JsonValue]] = [((), document)]
    for step in steps:
        spots = [((*spot, key), inner) for spot, value in spots for key, inner in _follow(value, step)]
    return [spot for spot, _ in spots if spot]


def _follow(value: Any, step: _Step) -> Iterator[tuple[str | int, JsonValue]]:
    if isinstance(value, dict):
        found = cast("dict[str, JsonValue]", value)
        match step:
            case _Part() if step.key in found:
                yield step.key, found[step.key]
            case _Pattern():
                yield from ((key, inner) for key, inner in _first(found, step))
            case _:
                return
    elif isinstance(value, list):
        items = cast("list[JsonValue]", value)
        match step:
            case _Part() if step.index is not None and step.index < len(items):
                yield step.index, items[step.index]
            case _Query():
                yield from _matching(items, step)
            case _:
                return


def _first(found: dict[str, JsonValue], pattern: _Pattern) -> Iterator[tuple[str, JsonValue]]:
    for key, inner in found.items():
        if pattern.match.match(key):
            yield key, inner
            return


def _matching(items: list[JsonValue], query: _Query) -> Iterator[tuple[int, JsonValue]]:
    for index, item in enumerate(items):
        # One element at a time through gjson itself, so that a query means here what it means when reading.
        if query.test is None or query.test.get(orjson.dumps([item]).decode()) is not None:
            yield index, item
            if not query.all:
                return


def _replace(document: Any, spot: Spot, value: JsonValue) -> JsonValue:
    if not spot:
        return value
    key, rest = spot[0], spot[1:]
    if isinstance(document, dict):
        found = cast("dict[str, JsonValue]", document)
        return {**found, cast("str", key): _replace(found[cast("str", key)], rest, value)}
    changed = list(cast("list[JsonValue]", document))
    changed[cast("int", key)] = _replace(changed[cast("int", key)], rest, value)
    return changed
