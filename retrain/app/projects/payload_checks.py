"""Paths of a Sensor against what the bound EventSource's events look like: a path that can lead nowhere is said so.

Only what is certain is said. A transform may make anything, a modifier or wildcard may find anything, and of a body
nobody knows what its sender puts into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from retrain.events import OWN_SOURCE
from retrain.manifests import Problem
from retrain.manifests.advice import nearest

Where = tuple[str | int, ...]
Bound = Mapping[tuple[str, str], str]
"""(EventSource, event) -> the kind of source."""

_PART = re.compile(r"((?:\\.|[^.|\\])+)(?:[.|]|$)")
_SPECIAL = re.compile(r"[*?@!\[{(\\]")
_RUN: Any = {
    **{name: {} for name in ("phase", "message", "startedAt", "finishedAt")},
    "run": {"id": {}, "name": {}, "workflow": {}, "labels": None},
    "outputs": {"parameters": None},
    "arguments": None,
    "resources": None,
}


def check_paths(body: Mapping[str, Any], bound: Bound) -> Iterator[Problem]:
    """Paths of a Sensor's document that no event of their dependency can have."""
    spec = _mapping(body.get("spec"))
    shapes: dict[str, tuple[str, Any]] = {}
    for index, one in enumerate(_list(spec.get("dependencies"))):
        dependency = _mapping(one)
        known = _shape_of(dependency, bound)
        if known is None:
            continue
        shapes[str(dependency.get("name"))] = known
        at: Where = ("spec", "dependencies", index)
        for path, where in _dependency_paths(dependency):
            yield from _problem(path, (*at, *where), known, "no event can pass")
    for where, source in _sources(spec.get("triggers"), ("spec", "triggers")):
        known = shapes.get(str(source.get("dependencyName")))
        key = source.get("dataKey")
        if known is None or not isinstance(key, str) or source.get("dataTemplate"):
            continue
        then = "its value is used always" if "value" in source else "no firing can be made"
        yield from _problem(key, (*where, "dataKey"), known, then)


def _shape_of(dependency: Mapping[str, Any], bound: Bound) -> tuple[str, Any] | None:
    from eventsources.payloads import members_of

    if _mapping(dependency.get("transform")):
        return None
    source, event = dependency.get("eventSourceName"), dependency.get("eventName")
    if source == OWN_SOURCE:
        return ("run", _RUN) if str(event).startswith("run.") else None
    kind = bound.get((str(source), str(event)))
    shape = None if kind is None else members_of(kind)
    return None if kind is None or shape is None else (kind, shape)


def _dependency_paths(dependency: Mapping[str, Any]) -> Iterator[tuple[str, Where]]:
    filters = _mapping(dependency.get("filters"))
    for index, one in enumerate(_list(filters.get("data"))):
        yield from _text(_mapping(one).get("path"), ("filters", "data", index, "path"))
    for index, one in enumerate(_list(filters.get("exprs"))):
        for place, field in enumerate(_list(_mapping(one).get("fields"))):
            yield from _text(_mapping(field).get("path"), ("filters", "exprs", index, "fields", place, "path"))
    yield from _one_or_more(dependency.get("key"), ("key",))
    yield from _one_or_more(_mapping(dependency.get("dedupe")).get("key"), ("dedupe", "key"))


def _one_or_more(value: Any, where: Where) -> Iterator[tuple[str, Where]]:
    yield from _text(value, where)
    for index, one in enumerate(_list(value)):
        yield from _text(one, (*where, index))


def _text(value: Any, where: Where) -> Iterator[tuple[str, Where]]:
    if isinstance(value, str):
        yield value, where


def _sources(value: Any, where: Where) -> Iterator[tuple[Where, Mapping[str, Any]]]:
    """The `src` of every parameter, wherever in the triggers it stands."""
    if isinstance(value, list):
        for index, member in enumerate(cast("list[Any]", value)):
            yield from _sources(member, (*where, index))
        return
    for name, member in _mapping(value).items():
        if name == "src" and "dependencyName" in _mapping(member):
            yield (*where, name), _mapping(member)
        elif name != "resource":
            yield from _sources(member, (*where, name))


def _problem(path: str, where: Where, known: tuple[str, Any], then: str) -> Iterator[Problem]:
    kind, shape = known
    if (wrong := leads_nowhere(path, shape)) is not None:
        yield Problem(where, "impossible-path", f"path {path!r}: {kind} events {wrong}; {then}", "warning")


def leads_nowhere(path: str, shape: Any) -> str | None:
    """Why a gjson path finds nothing in data of this shape; None if it may find something."""
    walked: list[str] = []
    for part in _PART.findall(path):
        if shape is None or _SPECIAL.search(part):
            return None
        if isinstance(shape, list):
            if part != "#" and not part.isdecimal():
                return f"have a list at {'.'.join(walked)!r}, so a number or '#' follows, not {part!r}"
            shape = cast("list[Any]", shape)[0]
        elif part == "#":
            return f"have no list at {'.'.join(walked)!r}" if walked else "are no list"
        elif part not in shape:
            return _missing(part, path, shape, walked)
        else:
            shape = shape[part]
        walked.append(part)
    return None


def _missing(part: str, path: str, shape: Mapping[str, Any], walked: list[str]) -> str:
    place = f"at {'.'.join(walked)!r} " if walked else ""
    if not shape:
        return f"have a plain value {place}and nothing inside"
    near = nearest(part, list(shape))
    if near is None and not walked and "body" in shape:
        return f"have {', '.join(shape)}; did you mean 'body.{path}'?"
    return f"have {place}{', '.join(shape)}" + (f"; did you mean {near!r}?" if near else "")


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
