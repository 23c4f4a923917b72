"""Parameters about all events that a firing acts on, not the last one of a dependency. Only retrain.dev/v1 has them.

{src: {dependencyName: files, window: count}, dest: ...}                            7
{src: {dependencyName: files, window: list, dataKey: notification.0.s3.object.size}}  [1, 22, 3]
{src: {window: keys}}                                                               ["a.csv", "b.csv"]
{src: {window: manifest}}               the path of a file with one JSON object a line, one for each event
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import orjson

from retrain.errors import ConfigError
from sensors.actions.about import about
from sensors.actions.match import Match
from sensors.actions.values import Read, RenderError, Resolve, Value, compile_reading
from sensors.filtering.content import Content
from sensors.shapes import ParameterSource

WINDOWS = ("count", "first", "last", "keys", "list", "manifest")
"""What `window` of a parameter's source may be."""

MAX_LIST = 1024 * 1024
"""Bytes of a list in an action. A longer one belongs into the manifest."""


def compile_window(src: ParameterSource) -> Resolve:
    """The value of a source that has a `window`.

    Raises:
        ConfigError: there is no such window, it needs a dependency and names none, or a text in it does not compile.
    """
    name = src.dependency_name
    match src.window:
        case "count":
            return lambda match: Value(str(match.count(name or None)), is_raw=True)
        case "manifest":
            return lambda match: Value(match.manifest)
        case "keys":
            return lambda match: _listed(orjson.dumps(about(content)) for content in _events(match, name))
        case "list":
            return _compile_list(src)
        case "first" | "last":
            return _compile_one(src)
        case _:
            raise ConfigError(f"window {src.window!r} is none of {', '.join(WINDOWS)}")


def _compile_one(src: ParameterSource) -> Resolve:
    name, read = src.dependency_name, compile_reading(src)
    if not name:
        raise ConfigError(f"window: {src.window} needs a dependencyName: events of different ones have no order")
    default = None if src.value is None else Value(src.value)
    pick = Match.first if src.window == "first" else Match.last

    def resolve(match: Match) -> Value | None:
        content = pick(match, name)
        return default if content is None else read(content, match)

    return resolve


def _compile_list(src: ParameterSource) -> Resolve:
    name = src.dependency_name
    member = _compile_member(src)
    return lambda match: _listed(member(content, match) for content in _events(match, name))


def _compile_member(src: ParameterSource) -> Callable[[Content, Match], bytes]:
    if not (src.data_key or src.data_template or src.context_key or src.context_template):
        return lambda content, _match: _data(content)
    read: Read = compile_reading(src)

    def member(content: Content, match: Match) -> bytes:
        value = read(content, match)
        return value.text.encode() if value.is_raw else orjson.dumps(value.text)

    return member


def _data(content: Content) -> bytes:
    try:
        return content.data.encode()
    except ConfigError as error:
        raise RenderError(str(error)) from error


def _events(match: Match, name: str) -> Iterator[Content]:
    for one in [name] if name else match.members:
        yield from match.all(one)


def _listed(members: Iterable[bytes]) -> Value:
    parts: list[bytes] = []
    size = 2
    for member in members:
        size += len(member) + 1
        if size > MAX_LIST:
            raise RenderError(f"the list of the window's events has over {MAX_LIST} bytes; use window: manifest")
        parts.append(member)
    return Value((b"[" + b",".join(parts) + b"]").decode(), is_raw=True)
