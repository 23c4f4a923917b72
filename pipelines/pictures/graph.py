"""A run as a graph: what followed from what.

Groups that do nothing themselves are left out and their edges are joined, but for those between many and many: there
a group is a junction, or 100 steps before 100 others would be 10,000 edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.pictures.reading import (
    GROUPS,
    Node,
    Nodes,
    children_of,
    depths,
    in_order,
    label_of,
    lasted,
    members_of,
    nodes_of,
    plain,
    waits_for_people,
)

MOST_VERTICES = 300
"""A graph of more is drawn with loops folded: nobody can read it, and few programs can lay it out."""
FOLDED = 6
"""So many members that look the same are drawn as one, where loops are folded."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """A node, or several that look the same (`count`). `under` is the second line: template and time.

    A junction has neither label nor second line.
    """

    id: str
    label: str
    under: str
    phase: str
    kind: str
    message: str = ""
    count: int = 1

    @property
    def junction(self) -> bool:
        return not self.label


@dataclass(frozen=True, slots=True)
class Graph:
    """Vertices in the order in which they began, edges as pairs of their ids, cause first."""

    vertices: tuple[Vertex, ...]
    edges: tuple[tuple[str, str], ...]


def graph_of(workflow: Mapping[str, Any]) -> Graph:
    """The graph of a Workflow object; a large one with its loops folded."""
    nodes = nodes_of(workflow)
    led_to: dict[str, int] = {}
    for node in nodes.values():
        for child in children_of(node, nodes):
            led_to[child["id"]] = led_to.get(child["id"], 0) + 1
    shown = {key for key, node in nodes.items() if not _is_hidden(node, nodes, led_to.get(key, 0))}
    ordered = [node for node in in_order(nodes.values(), depths(nodes)) if node["id"] in shown]
    edges = _joined(ordered, nodes, shown)
    if len(ordered) > MOST_VERTICES:
        return _folded(ordered, edges)
    return Graph(tuple(_vertex(node) for node in ordered), tuple(edges))


def _is_hidden(node: Node, nodes: Nodes, led_to: int) -> bool:
    if node["type"] == "Retry":
        return len(members_of(node, nodes)) == 1
    return node["type"] in GROUPS and (led_to < 2 or len(node.get("children") or ()) < 2)


def _joined(ordered: Iterable[Node], nodes: Nodes, shown: set[str]) -> list[tuple[str, str]]:
    """Edges between nodes that are shown, through those that are not. Two ways through are one edge."""
    behind: dict[str, tuple[str, ...]] = {}

    def through(key: str) -> tuple[str, ...]:
        if key in shown:
            return (key,)
        if key not in behind:
            behind[key] = ()  # a way back, which no run has
            found = dict.fromkeys(one for child in children_of(nodes[key], nodes) for one in through(child["id"]))
            behind[key] = tuple(found)
        return behind[key]

    return [
        (node["id"], one)
        for node in ordered
        for one in dict.fromkeys(one for child in children_of(node, nodes) for one in through(child["id"]))
    ]


def _vertex(node: Node, count: int = 1) -> Vertex:
    if node["type"] in {"StepGroup", "TaskGroup"}:
        return Vertex(node["id"], "", "", str(node.get("phase") or "Pending"), str(node["type"]))
    template, took = plain(str(node.get("templateName") or "")), lasted(node)
    label = label_of(node)
    if count > 1:
        label, took = f"{label.partition('(')[0]} x{count}", ""
    if node.get("nodeFlag", {}).get("hooked"):
        template = f"hook {template}"
    return Vertex(
        id=node["id"],
        label=label,
        under=" · ".join(part for part in (template if template != label else "", took) if part),
        phase="Suspended" if waits_for_people(node) else str(node.get("phase") or "Pending"),
        kind=str(node["type"]),
        message=plain(str(node.get("message") or "")),
        count=count,
    )


def _folded(ordered: Iterable[Node], edges: list[tuple[str, str]]) -> Graph:
    """The graph with one vertex for all nodes of one template and phase that come from and lead to the same."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for start, end in edges:
        before.setdefault(end, []).append(start)
        after.setdefault(start, []).append(end)
    alike: dict[Any, list[Node]] = {}
    for node in ordered:
        around = (tuple(before.get(node["id"], ())), tuple(after.get(node["id"], ())))
        look = (node.get("templateName"), node.get("phase"), node["type"], node.get("boundaryID"))
        alike.setdefault((around, look), []).append(node)
    vertices: list[Vertex] = []
    stands_for: dict[str, str] = {}
    for members in alike.values():
        if len(members) >= FOLDED:
            vertices.append(_vertex(members[0], len(members)))
            stands_for |= {member["id"]: members[0]["id"] for member in members}
        else:
            vertices.extend(_vertex(member) for member in members)
    kept = dict.fromkeys((stands_for.get(start, start), stands_for.get(end, end)) for start, end in edges)
    return Graph(tuple(vertices), tuple(kept))
