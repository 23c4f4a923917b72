"""YAML text -> values with their positions, built straight from libyaml's events.

Events, not PyYAML's `compose`: one walk gives the value, its positions, duplicate keys and the bounds that keep a
hostile file harmless. Nothing here knows what a manifest is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from yaml import CSafeLoader, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from retrain.events import JsonValue
from retrain.manifests.document import Spot
from retrain.manifests.scalars import resolve, to_json, to_key

MAX_DEPTH = 100
"""Levels of nesting. Real manifests stay under 30."""

MAX_ALIASED = 100_000
"""Values that the aliases of one document may stand for, all together."""

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_YAML = re.compile(r"(\\\\)|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|([\x85\u2028\u2029])")


class Unreadable(ValueError):
    """The text cannot be read on from here. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, code: str, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.code, self.message = line, column, code, message


@dataclass(frozen=True, slots=True)
class Read:
    """One document: its value and where it stands, and what is wrong with it but does not stop the reading."""

    value: JsonValue
    spot: Spot
    complaints: tuple[Unreadable, ...]


def decode(data: bytes) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        Unreadable: another encoding, or a character that YAML does not allow.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(1, 1, "bad-encoding", "this is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace").removeprefix("\ufeff")
        byte = f"byte 0x{data[error.start]:02x}"
        raise Unreadable(*_place(before), "bad-encoding", f"{byte} is not UTF-8; save the file as UTF-8") from error
    if match := _CONTROL.search(text):
        message = f"the control character U+{ord(match[0]):04X} is not allowed; write it as an escape in double quotes"
        raise Unreadable(*_place(text[: match.start()]), "bad-character", message)
    return text


def read(text: str) -> Iterator[Read]:
    """The documents of a text, empty ones left out.

    Raises:
        Unreadable: at the first place that is no YAML, after the documents before it were given.
    """
    parser = CSafeLoader(_json_for_yaml(text))
    try:
        while True:
            event: Any = parser.get_event()
            if isinstance(event, DocumentStartEvent):
                builder = _Builder(parser)
                value, spot, _ = builder.node(parser.get_event(), 0)
                if value is not None:
                    yield Read(value, spot, tuple(builder.complaints))
            elif event is None or isinstance(event, StreamEndEvent):
                return
    except YAMLError as error:
        raise _translate(error, text) from error
    finally:
        parser.dispose()


Node = tuple[JsonValue, Spot, int]
"""A value, its spot, and how many values it holds, itself included."""


class _Builder:
    """Builds one document. Anchors live as long as it does."""

    def __init__(self, parser: CSafeLoader) -> None:
        self.parser = parser
        self.anchors: dict[str, Node | None] = {}  # None while the anchored value is still open
        self.aliased = 0
        self.complaints: list[Unreadable] = []

    def node(self, event: Any, depth: int) -> Node:
        if type(event) is AliasEvent:
            return self.alias(event)
        if depth > MAX_DEPTH:
            raise _at(event, "too-deep", f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if type(event) is ScalarEvent:
            line, column = _start(event)
            node: Node = (self.scalar(event), Spot(line, column), 1)
        elif type(event) is MappingStartEvent:
            node = self.mapping(event, depth)
        else:
            node = self.sequence(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def scalar(self, event: Any) -> JsonValue:
        try:
            return to_json(_resolve(event))
        except ValueError as error:
            self.complaints.append(_at(event, "bad-scalar", str(error)))
            return event.value

    def alias(self, event: Any) -> Node:
        """The anchored value again, copied: what reads one place may change it without changing the other."""
        name: str = event.anchor
        if name not in self.anchors:
            raise _at(event, "unknown-alias", f"*{name} has no anchor &{name} before it")
        found = self.anchors[name]
        if found is None:
            raise _at(event, "recursive-alias", f"*{name} stands inside its own anchor &{name}")
        value, spot, size = found
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise _at(event, "too-many-aliases", f"the aliases stand for more than {MAX_ALIASED:,} values")
        line, column = _start(event)
        return _copy(value), Spot(line, column, None, spot.children), size

    def sequence(self, event: Any, depth: int) -> Node:
        values: list[JsonValue] = []
        spots: list[Spot] = []
        total = 1
        while type(inner := self.parser.get_event()) is not SequenceEndEvent:
            value, spot, size = self.node(inner, depth + 1)
            values.append(value)
            spots.append(spot)
            total += size
        line, column = _start(event)
        return values, Spot(line, column, None, spots), total

    def mapping(self, event: Any, depth: int) -> Node:
        values: dict[str, JsonValue] = {}
        spots: dict[str, Spot] = {}
        merged: set[str] = set()
        total = 1
        while type(key_event := self.parser.get_event()) is not MappingEndEvent:
            if _is_merge(key_event):
                total += self.merge(values, spots, merged, depth)
                continue
            key = self.key(key_event, depth)
            value, spot, size = self.node(self.parser.get_event(), depth + 1)
            total += size + 1
            place = _start(key_event)
            if key in values and key not in merged:
                first, _ = spots[key].key or (0, 0)
                message = f"the key {key!r} is there twice: first in line {first}, again in line {place[0]}"
                self.complaints.append(_at(key_event, "duplicate-key", message))
                continue
            merged.discard(key)
            values[key] = value
            spots[key] = replace(spot, key=place)
        line, column = _start(event)
        return values, Spot(line, column, None, spots), total

    def key(self, event: Any, depth: int) -> str:
        if type(event) is AliasEvent:
            value = self.node(event, depth)[0]
        elif type(event) is ScalarEvent:
            if event.anchor is not None:
                self.anchors[event.anchor] = (self.scalar(event), Spot(*_start(event)), 1)
            value = self._resolve_key(event)
        else:
            value = event
        if isinstance(value, str | int | float):
            return to_key(value)
        if value is None:
            raise _at(event, "bad-key", "a key cannot be null; give it a name")
        message = 'a key must be text, not a mapping or a list; a value that starts with {{ must be quoted: "{{...}}"'
        raise _at(event, "bad-key", message)

    def _resolve_key(self, event: Any) -> JsonValue:
        try:
            return _resolve(event)
        except ValueError as error:
            raise _at(event, "bad-key", str(error)) from error

    def merge(self, values: dict[str, JsonValue], spots: dict[str, Spot], merged: set[str], depth: int) -> int:
        """`<<: *base`: the base's keys, where the mapping has none of its own. Returns how many values came in.

        A key before the `<<` that the base has too is refused: YAML says that it wins, Kubernetes' reader that it
        loses.
        """
        event = self.parser.get_event()
        value, spot, size = self.node(event, depth + 1)
        bases = list(zip(value, spot.children or [], strict=True)) if isinstance(value, list) else [(value, spot)]
        incoming: dict[str, tuple[JsonValue, Spot]] = {}
        for base, base_spot in reversed(bases):  # the first of a list wins
            if (
                not isinstance(base, dict)
                or not isinstance(base_spot, Spot)
                or not isinstance(base_spot.children, dict)
            ):
                raise _at(event, "bad-merge", "<< takes a mapping or a list of mappings, mostly an alias like *base")
            incoming.update({key: (member, base_spot.children[key]) for key, member in base.items()})
        for key, (member, member_spot) in incoming.items():
            if key in values and key not in merged:
                message = f"the key {key!r} stands before a << that has it too; put << first, so that the key wins"
                self.complaints.append(_at(event, "duplicate-key", message))
                continue
            values[key], spots[key] = member, member_spot
            merged.add(key)
        return size


def _resolve(event: Any) -> JsonValue:
    if event.tag is None:
        return resolve(event.value) if event.implicit[0] else event.value
    return resolve(event.value, event.tag)


def _is_merge(event: Any) -> bool:
    if type(event) is not ScalarEvent or event.value != "<<":
        return False
    return event.implicit[0] or event.tag == "tag:yaml.org,2002:merge"


def _copy(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _copy(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_copy(member) for member in value]
    return value


def _start(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1


def _at(event: Any, code: str, message: str) -> Unreadable:
    return Unreadable(*_start(event), code, message)


def _place(before: str) -> tuple[int, int]:
    """Line and column of the character after `before`."""
    lines = re.split("\r\n|[\r\n]", before)
    return len(lines), len(lines[-1]) + 1


_HINTS = {
    "mapping values are not allowed": "a second ': ' in a value that is not quoted, or a wrong indentation",
    "expected <document start>": "the document ended before this line, which stands further left than its first one",
    "unexpected end of stream": "a quote or bracket is not closed",
}


def _translate(error: YAMLError, text: str) -> Unreadable:
    """libyaml's complaint with a hint at what to do, where we know."""
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    message = f"not YAML: {problem}"
    context, start = getattr(error, "context", None), getattr(error, "context_mark", None)
    if "cannot start any token" in problem:
        message = f"not YAML: {_misplaced(text, line, column)}"
    elif context and start:
        message += f" {context} that starts in line {start.line + 1}"
    if hint := next((hint for part, hint in _HINTS.items() if part in problem), None):
        message += f" ({hint})"
    return Unreadable(line + 1, column + 1, "bad-yaml", message)


def _misplaced(text: str, line: int, column: int) -> str:
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text.removeprefix("\ufeff"))
    character = lines[line][column : column + 1] if line < len(lines) else ""
    if character == "\t":
        return "a tab; YAML is indented with spaces"
    return f"a value cannot start with {character!r}; put it in quotes"


def _json_for_yaml(text: str) -> str:
    r"""JSON that YAML reads otherwise, rewritten: two escapes for one character (`\ud83d\ude00`), odd line breaks.

    Kubernetes too tries JSON first where a text starts with a brace.
    """
    if not text.lstrip().startswith(("{", "[")) or not _NOT_YAML.search(text):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return _NOT_YAML.sub(_rewrite, text)


def _rewrite(match: re.Match[str]) -> str:
    backslash, high, low, line_break = match.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00))
    return backslash or f"\\u{ord(line_break):04x}"
