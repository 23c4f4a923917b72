"""gjson paths into an event's data. A plain path is walked through the data as it is, any other through its text.

Most paths are plain (`body.list.0.name`), and the walk spares writing the data out: the answers are the same, which a
property test holds against gjson itself.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from retrain.events import JsonValue
from retrain.expressions import Found, Path, compile_path
from sensors.filtering.content import Content

_PLAIN = re.compile(r"[A-Za-z0-9_/ -]+(?:\.[A-Za-z0-9_/ -]+)*", re.ASCII)
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)


class _Missing:
    """The type of `MISSING`."""


MISSING: Final = _Missing()
"""What a path leads to where nothing is; `None` is JSON's null."""


class Lookup:
    """A path, compiled. Get one from `compile_lookup`."""

    __slots__ = ("_path", "_steps")

    def __init__(self, path: Path, steps: tuple[tuple[str, int | None], ...] | None) -> None:
        self._path = path
        self._steps = steps

    def found(self, content: Content) -> Found | None:
        """What the path leads to in the data; None if there is nothing.

        Raises:
            ConfigError: the data is no JSON, or matching the path against it may take minutes.
        """
        if self._steps is None or type(content.tree) is not dict:
            return self._path.get(content.data)
        value = _walk(content.tree, self._steps)
        return None if value is MISSING else _found(value)

    def value(self, content: Content) -> JsonValue:
        """As `found`, as a JSON value; `MISSING` if there is nothing.

        Raises:
            ConfigError: as `found`.
        """
        if self._steps is None or type(content.tree) is not dict:
            found = self._path.get(content.data)
            return MISSING if found is None else found.value()
        return _walk(content.tree, self._steps)


def compile_lookup(text: str) -> Lookup:
    """Read a gjson path.

    Raises:
        ConfigError: it is none, or uses what is not built.
    """
    path = compile_path(text)
    if not _PLAIN.fullmatch(text):
        return Lookup(path, None)
    parts = text.split(".")
    if any(_NUMBER.fullmatch(part) and not _INDEX.fullmatch(part) for part in parts):
        return Lookup(path, None)
    return Lookup(path, tuple((part, int(part) if _INDEX.fullmatch(part) else None) for part in parts))


def _walk(value: Any, steps: tuple[tuple[str, int | None], ...]) -> Any:
    for key, index in steps:
        kind = type(value)
        if kind is dict:
            if key not in value:
                return MISSING
            value = value[key]
        elif kind is list and index is not None and index < len(value):
            value = value[index]
        else:
            return MISSING
    return value


def _found(value: Any) -> Found:
    """As gjson would find it in the text of the value."""
    kind = type(value)
    if kind is str:
        return Found("string", value)
    if kind is int:
        return Found("number", str(value))
    if kind is bool:
        return Found("bool", "true" if value else "false")
    if value is None:
        return Found("null", "null")
    raw = orjson.dumps(value).decode()
    # A float that JSON cannot say is written as null.
    return Found("null" if raw == "null" else "number" if kind is float else "json", raw)
