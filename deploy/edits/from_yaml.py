"""YAML as a tree, from libyaml's events.

Events and not `yaml.compose`, which forgets where aliases stand and overruns the C stack on deep nesting.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any

import yaml
from yaml.cyaml import CParser  # pyright: ignore[reportAttributeAccessIssue] - a compiled module's
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from deploy.edits.tree import MAX_DEPTH, Node, Signature, Tree, Unparsable

_COLLECTION = attrgetter("__class__", "anchor", "tag", "implicit", "flow_style")
_CLASS = attrgetter("__class__")


def _bare(event: Any) -> Signature:
    return (_CLASS(event),)


_SIGN: dict[type[Any], Callable[[Any], Signature]] = {
    ScalarEvent: attrgetter("__class__", "anchor", "tag", "implicit", "value", "style"),
    MappingStartEvent: _COLLECTION,
    SequenceStartEvent: _COLLECTION,
    AliasEvent: attrgetter("__class__", "anchor"),
    DocumentStartEvent: attrgetter("__class__", "explicit", "version", "tags"),
    DocumentEndEvent: attrgetter("__class__", "explicit"),
    **dict.fromkeys((MappingEndEvent, SequenceEndEvent, StreamStartEvent, StreamEndEvent), _bare),
}


def parse(text: str) -> Tree:
    """Read all documents.

    Raises:
        Unparsable: it is no YAML; or it nests too deep, which may be said when its nodes are asked for.
    """
    try:
        events = _events(text)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        why = str(getattr(error, "problem", None) or error).splitlines()[0]
        hint = "; this is a template, edit the values file instead" if "{{" in text else ""
        raise Unparsable(mark.index if mark else 0, f"is not YAML: {why}{hint}") from error
    return Tree("yaml", text, [_SIGN[event.__class__](event) for event in events], partial(_grow, events))


def _events(text: str) -> list[Any]:
    parser = CParser(text)
    events: list[Any] = []
    get, add = parser.get_event, events.append
    if text.count("[") + text.count("{") > MAX_DEPTH:
        return _shallow(parser)
    while (event := get()) is not None:
        add(event)
    return events


def _shallow(parser: Any) -> list[Any]:
    """The events, as long as they do not nest too deep: libyaml takes minutes over 100,000 brackets."""
    events: list[Any] = []
    depth = 0
    while (event := parser.get_event()) is not None:
        events.append(event)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise Unparsable(event.start_mark.index, f"nests deeper than {MAX_DEPTH} levels")
    return events


def _grow(events: list[Any]) -> list[Node]:
    grower = _Grower()
    place = grower.place
    for number, event in enumerate(events):
        if event.__class__ is ScalarEvent:
            start, end = event.start_mark.index, event.end_mark.index
            node = Node("scalar", start, end, number, number + 1, event.value, event.style, event.tag, event.anchor)
            place(node)
        else:
            grower.take(number, event)
    return grower.documents


class _Grower:
    def __init__(self) -> None:
        self.documents: list[Node] = []
        self.open: list[Node] = []
        self.anchors: dict[str, Node] = {}
        self.members = self.documents

    def take(self, number: int, event: Any) -> None:
        kind = event.__class__
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            self.begin(number, event)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            node = self.open.pop()
            node.end, node.stop = event.end_mark.index, number + 1
            self.members = self.open[-1].children if self.open else self.documents
        elif kind is AliasEvent:
            self.alias(number, event)
        elif kind is DocumentStartEvent:
            self.anchors = {}

    def alias(self, number: int, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        self.place(Node("alias", start, end, number, number + 1, alias=event.anchor))
        if (target := self.anchors.get(event.anchor)) and target.used_at < 0:
            target.used_at = start

    def begin(self, number: int, event: Any) -> None:
        start = event.start_mark.index
        if len(self.open) >= MAX_DEPTH:
            raise Unparsable(start, f"nests deeper than {MAX_DEPTH} levels")
        above = self.open[-1] if self.open else None
        if above and above.kind == "mapping" and above.flow and start == above.start + 1:
            raise Unparsable(start, "{{ begins a template here; edit the values file instead")
        kind = "mapping" if event.__class__ is MappingStartEvent else "sequence"
        node = Node(kind, start, start, number, number, tag=event.tag, anchor=event.anchor, flow=event.flow_style)
        self.place(node)
        self.open.append(node)
        self.members = node.children

    def place(self, node: Node) -> None:
        if node.anchor is not None:
            self.anchors[node.anchor] = node
        self.members.append(node)
