"""A run as `argo get` draws it: each step under the Steps or DAG that it belongs to, in the order in which they began.

A group of parallel steps is drawn by its corner (`├─┬─✔ a`), a Retry with one attempt as that attempt; what was omitted
is not drawn.

Source: cmd/argo/commands/common/get.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.pictures.reading import GROUPS, Node, Nodes, depths, in_order, members_of, nodes_of

Keep = Callable[[Node], bool]


@dataclass(frozen=True, slots=True)
class Corners:
    """What branches are drawn with: only member, first of several, middle, last; a bar that goes on."""

    only: str
    first: str
    middle: str
    last: str
    bar: str
    blank: str = "  "


UTF8 = Corners("──", "┬─", "├─", "└─", "│ ")
ASCII = Corners("--", "+-", "|-", "`-", "| ")


@dataclass(frozen=True, slots=True)
class Row:
    """A node, and what is drawn before it. `node` None is an empty line between the workflow and its handlers."""

    prefix: str
    node: Node | None


def rows(workflow: Mapping[str, Any], *, utf8: bool = True, keep: Keep | None = None) -> Iterator[Row]:
    """The tree line by line; with `keep` only nodes that fit, and what they are in."""
    grove = Grove(nodes_of(workflow), keep)
    for index, root in enumerate(grove.roots()):
        if index:
            yield Row("", None)
        yield from _draw(grove, root, " ", " ", UTF8 if utf8 else ASCII)


class Grove:
    """Which node is drawn under which."""

    def __init__(self, nodes: Nodes, keep: Keep | None = None) -> None:
        self._nodes = nodes
        self._depths = depths(nodes)
        self._grouped: set[str] = set()
        self._below: dict[str, list[Node]] = {}
        self._gather()
        self._kept = self._that_fit(keep) if keep is not None else None

    def roots(self) -> list[Node]:
        """The workflow's own node, then its handlers."""
        found = in_order(self._below.get("", []), self._depths)
        return self._shown(sorted(found, key=lambda node: node.get("displayName") != node["id"]))

    def below(self, node: Node) -> list[Node]:
        """What is drawn under a node, in order."""
        # The members of a group in the order in which it names them, whichever of them began first.
        of_group = members_of(node, self._nodes) if node["type"] in GROUPS else []
        return self._shown([*of_group, *in_order(self._below.get(node["id"], []), self._depths)])

    def _gather(self) -> None:
        for node in self._nodes.values():
            if node["type"] in GROUPS:
                self._grouped.update(member["id"] for member in members_of(node, self._nodes))
        for node in self._nodes.values():
            if node["id"] not in self._grouped:
                boundary = node.get("boundaryID") or ""
                self._below.setdefault(boundary if boundary in self._nodes else "", []).append(node)

    def _shown(self, some: list[Node]) -> list[Node]:
        """Without what is not drawn; a TaskGroup and a Retry with one attempt are what is in them."""
        found: list[Node] = []
        for node in some:
            if node.get("phase") == "Omitted" or (self._kept is not None and node["id"] not in self._kept):
                continue
            attempts = members_of(node, self._nodes) if node["type"] == "Retry" else []
            if node["type"] == "TaskGroup" or len(attempts) == 1:
                found.extend(self.below(node))
            elif node["type"] != "StepGroup" or self.below(node):
                found.append(node)
        return found

    def _that_fit(self, keep: Keep) -> set[str]:
        """The nodes that fit, and all that they are in."""
        inside: dict[str, str] = {}
        for node in self._nodes.values():
            if node["type"] in GROUPS:
                inside |= {member["id"]: node["id"] for member in members_of(node, self._nodes)}
        found: set[str] = set()
        for node in self._nodes.values():
            at = node["id"] if keep(node) else ""
            while at and at not in found:
                found.add(at)
                at = inside.get(at) or self._nodes[at].get("boundaryID") or ""
                at = at if at in self._nodes else ""
        return found


def _draw(grove: Grove, node: Node, here: str, under: str, corners: Corners) -> Iterator[Row]:
    hidden = node["type"] == "StepGroup"
    if not hidden:
        yield Row(here, node)
    below = grove.below(node)
    last = len(below) - 1
    for index, child in enumerate(below):
        bar = corners.blank if index == last else corners.bar
        if hidden and not index:
            yield from _draw(grove, child, here + (corners.first if last else corners.only), under + bar, corners)
        else:
            corner = corners.last if index == last else corners.middle
            yield from _draw(grove, child, under + corner, under + bar, corners)
