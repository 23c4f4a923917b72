"""TOML as a tree: tables, dotted keys, inline tables and lists, by place. What it says must agree with `tomllib`."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from yaml.events import MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from deploy.edits.tree import MAX_DEPTH, Node, Signature, Tree, Unparsable

TABLE = "table"
"""The style of a mapping that has lines of its own: the root, and what a header begins."""

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|$)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'([^\'\n]*)\'')
_LONG = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}', re.DOTALL)
_WORD = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+(?:[Zz]|[-+][0-9:]+)?|[-+0-9A-Za-z_.:]+")


def parse(text: str) -> Tree:
    """Read the document.

    Raises:
        Unparsable: it is no TOML, or uses what is not known here.
    """
    try:
        known = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unparsable(0, f"is not TOML: {error}") from error
    reader = _Reader(text)
    root = reader.document()
    if not _agrees(root, known):
        raise Unparsable(0, "is TOML that is read in two ways; it is not edited")
    return Tree("toml", text, reader.signatures, lambda: [root])


def _agrees(node: Node, known: Any) -> bool:
    if node.kind == "mapping":
        inside = dict(zip((key.value for key in node.children[::2]), node.children[1::2], strict=True))
        return (
            isinstance(known, dict)
            and list(inside) == list(known)
            and all(_agrees(value, known[key]) for key, value in inside.items())
        )
    if node.kind == "sequence":
        return (
            isinstance(known, list)
            and len(known) == len(node.children)
            and all(_agrees(item, now) for item, now in zip(node.children, known, strict=True))
        )
    if node.style:
        return known == node.value
    return repr(tomllib.loads(f"x = {node.value}")["x"]) == repr(known)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.signatures: list[Signature] = []
        self.root = Node("mapping", 0, 0, 0, 0, style=TABLE)

    def document(self) -> Node:
        table = self.root
        while self.skip(_BLANK):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.line(table)
            if not self.match(_LINE_END):
                raise self.wrong("more on the line than one value")
        self.root.stop = len(self.signatures)
        return self.root

    def wrong(self, what: str) -> Unparsable:
        return Unparsable(self.at, f"is not TOML as it is known here: {what}")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def skip(self, pattern: re.Pattern[str] = _SPACE) -> str:
        """The next character that says something."""
        self.match(pattern)
        return self.text[self.at : self.at + 1]

    def header(self) -> Node:
        start = self.at
        many = self.text.startswith("[[", start)
        self.at += 2 if many else 1
        keys = self.keys()
        self.at += 2 if many else 1
        self.signatures.append(("header", many, *(key.value for key in keys)))
        node = self.root
        for key in keys[:-1]:
            node = self.inside(node, key, start)
        table = self.table(node, keys[-1], start, many)
        table.start, table.end, table.style = start, self.at, TABLE
        table.first = len(self.signatures) - 1
        return table

    def table(self, node: Node, key: Node, start: int, many: bool) -> Node:
        if not many:
            return self.inside(node, key, start)
        if not (found := node.get(key.value)):
            node.children += [key, Node("sequence", start, start, key.first, key.first)]
            found = [len(node.children) - 1]
        table = Node("mapping", start, start, key.first, key.first)
        node.children[found[0]].children.append(table)
        return table

    def inside(self, node: Node, key: Node, start: int) -> Node:
        """The table under a key, made if there is none; of a list of tables the last."""
        if found := node.get(key.value):
            inner = node.children[found[0]]
            return inner.children[-1] if inner.kind == "sequence" else inner
        inner = Node("mapping", start, start, key.first, key.first)
        node.children += [key, inner]
        return inner

    def line(self, table: Node) -> None:
        keys, value = self.member(0)
        self.put(table, keys, value)
        table.end = value.end

    def put(self, node: Node, keys: list[Node], value: Node) -> None:
        for key in keys[:-1]:
            node = self.inside(node, key, key.start)
        node.children += [keys[-1], value]

    def member(self, depth: int) -> tuple[list[Node], Node]:
        keys = self.keys()
        self.signatures += [(ScalarEvent, None, None, None, key.value, "key") for key in keys]
        for key in keys:
            key.first = key.stop = len(self.signatures) - len(keys)
        if self.skip() != "=":
            raise self.wrong("= is missing")
        self.at += 1
        self.skip()
        return keys, self.value(depth)

    def keys(self) -> list[Node]:
        keys: list[Node] = []
        while True:
            self.skip()
            start = self.at
            if match := self.match(_BARE):
                name = match[0]
            elif match := self.match(_QUOTED):
                name = _string(match)
            else:
                raise self.wrong("a key is missing")
            keys.append(Node("scalar", start, self.at, len(self.signatures), len(self.signatures), name, "key"))
            if self.skip() != ".":
                return keys
            self.at += 1

    def value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Unparsable(self.at, f"nests deeper than {MAX_DEPTH} levels")
        start, character = self.at, self.text[self.at : self.at + 1]
        if character in {"{", "["}:
            return self.collection(character, depth)
        if match := self.match(_LONG):
            known = tomllib.loads(f"x = {match[0]}")["x"]
            return self.scalar(start, "other", known, match[0][:3])
        if match := self.match(_QUOTED):
            return self.scalar(start, "scalar", _string(match), match[0][0])
        if match := self.match(_WORD):
            known = tomllib.loads(f"x = {match[0].strip()}")["x"]
            kind = "scalar" if isinstance(known, bool | int | float) and known - known == 0 else "other"
            return self.scalar(start, kind, match[0], None)
        raise self.wrong("a value is missing")

    def scalar(self, start: int, kind: Any, value: str, style: str | None) -> Node:
        self.signatures.append((ScalarEvent, None, None, None, value, style))
        return Node(kind, start, self.at, len(self.signatures) - 1, len(self.signatures), value, style)

    def collection(self, opening: str, depth: int) -> Node:
        close, kind, begin, end = _COLLECTIONS[opening]
        node = Node(kind, self.at, self.at, len(self.signatures), 0, flow=True)
        self.signatures.append((begin, None, None))
        self.at += 1
        while self.skip(_BLANK) != close:
            if opening == "{":
                self.put(node, *self.member(depth + 1))
            else:
                node.children.append(self.value(depth + 1))
            if self.skip(_BLANK) == ",":
                self.at += 1
            elif self.skip() != close:
                raise self.wrong(f", or {close} is missing")
        self.at += 1
        self.signatures.append((end,))
        node.end, node.stop = self.at, len(self.signatures)
        return node


_COLLECTIONS: dict[str, tuple[str, Any, type[Any], type[Any]]] = {
    "{": ("}", "mapping", MappingStartEvent, MappingEndEvent),
    "[": ("]", "sequence", SequenceStartEvent, SequenceEndEvent),
}


def _string(match: re.Match[str]) -> str:
    return match[2] if match[2] is not None else tomllib.loads(f"x = {match[0]}")["x"]
