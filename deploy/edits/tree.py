"""A YAML text as nodes that know their span, built from libyaml's events.

Events and not `yaml.compose`, which forgets where aliases stand and overruns the C stack on deep nesting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.cyaml import CParser  # pyright: ignore[reportAttributeAccessIssue] - a compiled module's

from deploy.edits.scalars import Scalar
from retrain.manifests import scalars

MAX_DEPTH = 100
_TAG = "tag:yaml.org,2002:"


class Unparsable(ValueError):
    """The text is not the YAML that can be edited. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column = line, column


@dataclass(slots=True)
class Node:
    """One value. `start` and `end` are its span in characters, anchor and tag included.

    `pairs` of a mapping are in the file's order, with duplicates; an alias has `alias` and nothing else. `shared`: an
    alias somewhere in the document means this very node.
    """

    kind: str
    start: int
    end: int
    line: int
    column: int
    event: int
    value: str = ""
    style: str | None = None
    tag: str | None = None
    anchor: str | None = None
    alias: str | None = None
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    shared: bool = False

    @property
    def scalar(self) -> Scalar:
        """What a scalar means to Kubernetes; text where it means nothing."""
        if self.kind != "scalar":
            return None
        if self.style and self.tag is None:
            return self.value
        try:
            return scalars.to_json(scalars.resolve(self.value, self.tag))
        except ValueError:
            return self.value

    def get(self, key: str) -> list[Node]:
        """The values under a key: one, none, or several where the key is there twice."""
        return [value for name, value in self.pairs if name.kind == "scalar" and name.value == key]

    def names(self) -> list[str]:
        """The mapping's plain keys."""
        return [name.value for name, _ in self.pairs if name.kind == "scalar"]


Signature = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """All documents of a text, and one signature for each event: what must not change."""

    documents: list[Node]
    signatures: list[Signature]


def parse(text: str) -> Tree:
    """Read all documents.

    Raises:
        Unparsable: it is no YAML, or nests too deep.
    """
    builder = _Builder(text)
    try:
        return Tree(list(builder.documents()), builder.signatures)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        why = str(getattr(error, "problem", None) or error).splitlines()[0]
        hint = "; this is a template, edit the values file instead" if "{{" in text else ""
        raise Unparsable(line, column, f"is not YAML: {why}{hint}") from error


class _Builder:
    def __init__(self, text: str) -> None:
        self.parser = CParser(text)
        self.signatures: list[Signature] = []
        self.anchors: dict[str, Node] = {}

    def next(self) -> Any:
        event: Any = self.parser.get_event()
        signature: Signature = (type(event).__name__, *(getattr(event, name, None) for name in _SIGNED))
        self.signatures.append(signature)
        return event

    def documents(self) -> Iterator[Node]:
        while True:
            event = self.next()
            if event is None or isinstance(event, yaml.StreamEndEvent):
                return
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                yield self.node(self.next(), 0)

    def node(self, event: Any, depth: int) -> Node:
        start = event.start_mark
        if depth > MAX_DEPTH:
            raise Unparsable(start.line + 1, start.column + 1, f"nests deeper than {MAX_DEPTH} levels")
        node = Node(
            "alias", start.index, event.end_mark.index, start.line + 1, start.column + 1, len(self.signatures) - 1
        )
        if isinstance(event, yaml.AliasEvent):
            node.alias = event.anchor
            if target := self.anchors.get(event.anchor):
                target.shared = True
            return node
        node.anchor, node.tag = event.anchor, event.tag
        if node.anchor is not None:
            self.anchors[node.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.kind, node.value, node.style = "scalar", event.value, event.style
        elif isinstance(event, yaml.SequenceStartEvent):
            self.sequence(node, depth)
        else:
            self.mapping(node, depth)
        return node

    def sequence(self, node: Node, depth: int) -> None:
        node.kind = "sequence"
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            node.items.append(self.node(event, depth + 1))
        node.end = event.end_mark.index

    def mapping(self, node: Node, depth: int) -> None:
        node.kind = "mapping"
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            node.pairs.append((key, self.node(self.next(), depth + 1)))
        node.end = event.end_mark.index


_SIGNED = ("anchor", "tag", "implicit", "value", "style", "flow_style", "explicit", "version", "tags")
