"""JSON as a tree. Not by libyaml: it takes what JSON forbids, and no surrogate pairs."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # pyright: ignore[reportAttributeAccessIssue]
from typing import Any

from yaml.events import MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from deploy.edits.tree import MAX_DEPTH, Node, Signature, Tree, Unparsable

_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")


def parse(text: str) -> Tree:
    """Read the document; an own reading beside the standard library's, which must agree.

    Raises:
        Unparsable: it is no JSON, has a key twice, or nests too deep.
    """
    reader = _Reader(text)
    root = reader.document()
    try:
        known = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unparsable(getattr(error, "pos", 0), f"is not JSON: {error}") from error
    if plain(root) != known:
        raise Unparsable(0, "is JSON that is read in two ways; it is not edited")
    return Tree("json", text, reader.signatures, lambda: [root])


def plain(node: Node) -> Any:
    """The node as the standard library reads it."""
    if node.kind == "mapping":
        return {key.value: plain(value) for key, value in zip(node.children[::2], node.children[1::2], strict=True)}
    if node.kind == "sequence":
        return [plain(item) for item in node.children]
    return node.value if node.style else json.loads(node.value)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.signatures: list[Signature] = []

    def document(self) -> Node:
        self.skip()
        node = self.value(0)
        self.skip()
        if self.at != len(self.text):
            raise self.wrong("more after the end")
        return node

    def wrong(self, what: str) -> Unparsable:
        hint = "; JSON has no comments" if self.text.startswith(("//", "/*", "#"), self.at) else ""
        return Unparsable(self.at, f"is not JSON: {what}{hint}")

    def skip(self) -> str:
        """The next character that says something."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Unparsable(self.at, f"nests deeper than {MAX_DEPTH} levels")
        match self.text[self.at : self.at + 1]:
            case "{":
                return self.collection("mapping", "}", depth)
            case "[":
                return self.collection("sequence", "]", depth)
            case '"':
                return self.string()
            case _:
                return self.word()

    def string(self) -> Node:
        start = self.at
        try:
            value, self.at = scanstring(self.text, start + 1, True)
        except ValueError as error:
            raise self.wrong(str(error)) from error
        return self.scalar(start, value, '"')

    def word(self) -> Node:
        match = _WORD.match(self.text, self.at)
        if match is None:
            raise self.wrong("a value is missing" if self.skip() else "it ends too early")
        start, self.at = self.at, match.end()
        return self.scalar(start, match[0], None)

    def scalar(self, start: int, value: str, style: str | None) -> Node:
        self.signatures.append((ScalarEvent, None, None, None, value, style))
        number = len(self.signatures)
        return Node("scalar", start, self.at, number - 1, number, value, style)

    def collection(self, kind: Any, close: str, depth: int) -> Node:
        begin, end = (
            (MappingStartEvent, MappingEndEvent) if kind == "mapping" else (SequenceStartEvent, SequenceEndEvent)
        )
        node = Node(kind, self.at, self.at, len(self.signatures), 0, flow=True)
        self.signatures.append((begin, None, None))
        self.at += 1
        if self.skip() != close:
            self.members(node, close, depth)
        self.at += 1
        self.signatures.append((end,))
        node.end, node.stop = self.at, len(self.signatures)
        return node

    def members(self, node: Node, close: str, depth: int) -> None:
        names: set[str] = set()
        while True:
            if node.kind == "mapping":
                node.children.append(self.key(names))
            node.children.append(self.value(depth + 1))
            if (mark := self.skip()) == close:
                return
            if mark != ",":
                raise self.wrong(f", or {close} is missing")
            self.at += 1
            self.skip()

    def key(self, names: set[str]) -> Node:
        if self.text[self.at : self.at + 1] != '"':
            raise self.wrong("a key in double quotes is missing")
        node = self.string()
        if node.value in names:
            raise Unparsable(node.start, f"has the key {node.value!r} twice; JSON readers take one or the other")
        names.add(node.value)
        if self.skip() != ":":
            raise self.wrong(": is missing")
        self.at += 1
        self.skip()
        return node
