"""The graph of sensors as a picture, by the layout that draws runs: boxes from left to right, each a link. Pure.

A graph of many is folded: sensors that come from the same and lead to the same are one box, as are a sensor's triggers
and it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from pipelines.pictures.ink import COLOURS, Ink, escaped, text, width_of
from pipelines.pictures.layers import Layout, lay_out
from pipelines.pictures.reading import plain, short
from retrain.app.sensing.sensor_graph import Graph, Kind, Node

MOST = 80
"""Boxes of a picture that anybody can read; a graph of more is folded."""
ALIKE = 3
"""So many boxes that look the same are one, where the graph is folded."""
NAMED = 12
"""Members of a folded box that are named where the pointer rests."""
HEIGHT, GAP, BETWEEN, MARGIN = 42.0, 12.0, 52.0, 16.0
SIZE, SMALL, LETTERS = 12.5, 10.5, 30
INKS: Mapping[Kind, Ink] = {
    "source": COLOURS["Suspended"],
    "sensor": COLOURS["Running"],
    "trigger": COLOURS["Pending"],
    "workflow": COLOURS["Skipped"],
    "promotion": COLOURS["Succeeded"],
}
MARKS: Mapping[Kind, str] = {"source": "⇢", "sensor": "◇", "trigger": "⚡", "workflow": "▶", "promotion": "✔"}
"""What a box is, is told by its mark and its words, and only then by its colour."""
UNITS: Mapping[Kind, str] = {
    "source": "events",
    "sensor": "firings",
    "trigger": "firings",
    "workflow": "runs",
    "promotion": "promotions",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or several (`members`) that look the same."""

    node: Node
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folded:
    """What is drawn. `folded`: it is not each node by itself."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]
    folded: bool = False


def fold(graph: Graph) -> Folded:
    """The boxes of a graph: each node, or fewer where those are too many."""
    boxes = tuple(Box(one) for one in graph.nodes)
    if len(boxes) <= MOST:
        return Folded(boxes, graph.edges)
    merged = _without_triggers(graph)
    for kind in ("sensor", "source", "workflow", "promotion"):
        merged = _alike(merged, kind)
    return replace(merged, folded=True)


def _without_triggers(graph: Graph) -> Folded:
    """Triggers are part of their sensors: what leads to one leads to what it does."""
    kinds = {one.id: one.kind for one in graph.nodes}
    owner = {end: start for start, end in graph.edges if kinds[end] == "trigger"}
    edges = {(owner.get(start, start), owner.get(end, end)): None for start, end in graph.edges}
    boxes = tuple(Box(one) for one in graph.nodes if one.kind != "trigger" or one.id not in owner)
    return Folded(boxes, tuple(edge for edge in edges if edge[0] != edge[1]))


def _alike(drawn: Folded, kind: str) -> Folded:
    """One box for all of this kind that come from the same and lead to the same."""
    before: dict[str, set[str]] = {}
    after: dict[str, set[str]] = {}
    for start, end in drawn.edges:
        before.setdefault(end, set()).add(start)
        after.setdefault(start, set()).add(end)
    groups: dict[tuple[frozenset[str], frozenset[str]], list[Box]] = {}
    for box in drawn.boxes:
        if box.node.kind == kind and not box.members:
            around = frozenset(before.get(box.node.id, ())), frozenset(after.get(box.node.id, ()))
            groups.setdefault(around, []).append(box)
    stands_for: dict[str, Box] = {}
    for members in groups.values():
        if len(members) >= ALIKE:
            one = _one_of([box.node for box in members])
            stands_for |= {box.node.id: one for box in members}
    boxes = {box.node.id: box for box in (stands_for.get(box.node.id, box) for box in drawn.boxes)}
    ids = {name: box.node.id for name, box in stands_for.items()}
    edges = {(ids.get(start, start), ids.get(end, end)): None for start, end in drawn.edges}
    return Folded(tuple(boxes.values()), tuple(edges))


def _one_of(nodes: Sequence[Node]) -> Box:
    first, counts = nodes[0], [one.count for one in nodes if one.count is not None]
    name = f"{len(nodes)} {first.kind}s: {first.name}, …"
    whole = replace(
        first,
        name=name,
        under="",
        state="",
        count=sum(counts) if counts else None,
        failed=sum(one.failed for one in nodes),
        most=any(one.most for one in nodes),
    )
    return Box(whole, tuple(one.name for one in nodes))


def where(node: Node) -> str:
    """The view of a node."""
    name = quote(node.name, safe="")
    match node.kind:
        case "source":
            source, _, event = node.name.partition("/")
            known = node.under not in {"platform", "pattern", "API"}
            listed = f"/ui/events?source={quote(source, safe='')}&subject={quote(event, safe='')}"
            return f"/ui/source?name={quote(source, safe='')}" if known else listed
        case "sensor":
            return f"/ui/sensor?name={name}"
        case "trigger":
            sensor, _, trigger = node.name.partition("/")
            return f"/ui/firings?sensor={quote(sensor, safe='')}&trigger={quote(trigger, safe='')}"
        case "workflow":
            return f"/ui/runs?workflow={name}"
        case "promotion":
            return f"/ui/promotions?name={name}"


def picture(graph: Graph) -> str:
    """The graph as SVG, to stand in a page."""
    drawn = fold(graph)
    layout = lay_out({box.node.id: HEIGHT for box in drawn.boxes}, drawn.edges, GAP)
    widths = _widths(drawn.boxes, layout)
    left = [MARGIN]
    for width in widths:
        left.append(left[-1] + width + BETWEEN)
    parts = [_edge(edge, layout, left, widths) for edge in drawn.edges]
    parts += [
        _box(
            one, left[layout.layer[one.node.id]], layout.middle[one.node.id] + MARGIN, widths[layout.layer[one.node.id]]
        )
        for one in drawn.boxes
    ]
    return _page(max(left[-1] - BETWEEN + MARGIN, 200), layout.length + 2 * MARGIN, parts)


def _page(width: float, height: float, parts: Iterable[str]) -> str:
    box = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    background = f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    # No picture to a reader aloud, but a group of links; the same stands in a table beside it.
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="group" aria-label="Graph">'
    return "\n".join((begin, background, *parts, "</svg>\n"))


def _widths(boxes: Iterable[Box], layout: Layout) -> list[float]:
    widths = [0.0] * layout.layers
    for box in boxes:
        number = layout.layer[box.node.id]
        label = width_of(short(box.node.name, LETTERS), SIZE)
        widths[number] = max(widths[number], label + 44, width_of(_under(box.node), SMALL) + 44)
    return widths


def _under(node: Node) -> str:
    unit = UNITS[node.kind] if node.count != 1 else UNITS[node.kind].removesuffix("s")
    counted = "" if node.count is None else f"{node.count}{'+' if node.most else ''} {unit}"
    failed = f"{node.failed} failed" if node.failed else ""
    return short(" · ".join(part for part in (node.under, counted, failed) if part), LETTERS + 8)


def _box(box: Box, x: float, middle: float, width: float) -> str:
    node, ink, y = box.node, INKS[box.node.kind], middle - HEIGHT / 2
    line = COLOURS["Failed"].line if node.failed else ink.line
    style = f'fill="{ink.fill}" stroke="{line}" stroke-width="1.3"'
    if node.state in {"suspended", "shadow", "waiting", "stopped"}:
        style += ' stroke-dasharray="4 3"'
    round_ = HEIGHT / 2 if node.kind == "source" else 6
    behind = f'<rect x="{x + 4:.1f}" y="{y - 4:.1f}" width="{width:.1f}" height="{HEIGHT}" rx="6" {style}/>'
    name = short(plain(node.name), LETTERS)
    return "".join(
        (
            f'<a href="{escaped(_link(box))}"><title>{escaped(_tip(box))}</title>',
            behind if box.members else "",
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{HEIGHT}" rx="{round_:g}" {style}/>',
            text(x + 13, y + 18, MARKS[node.kind], size=SIZE, fill=ink.text),
            text(x + 30, y + 18, name, size=SIZE, fill=ink.text),
            text(x + 30, y + 33.5, plain(_under(node)), size=SMALL, fill="#57606a"),
            "</a>",
        )
    )


def _link(box: Box) -> str:
    return f"/ui/graph?near={quote(box.node.id, safe='')}" if box.members else where(box.node)


def _tip(box: Box) -> str:
    more = len(box.members) - NAMED
    named = [*box.members[:NAMED], *([f"and {more} more"] if more > 0 else [])]
    return "\n".join(plain(part) for part in (box.node.kind, box.node.name, _under(box.node), *named) if part)


def _edge(edge: tuple[str, str], layout: Layout, left: Sequence[float], widths: Sequence[float]) -> str:
    start, end = edge
    x, y = left[layout.layer[start]] + widths[layout.layer[start]], layout.middle[start] + MARGIN
    path = [f"M{x:.1f} {y:.1f}"]
    for layer, middle in (*layout.bends[edge], (layout.layer[end], layout.middle[end])):
        to, down = left[layer], middle + MARGIN
        path.append(f"C{x + BETWEEN / 2:.1f} {y:.1f} {to - BETWEEN / 2:.1f} {down:.1f} {to:.1f} {down:.1f}")
        x, y = to, down
        if layer != layout.layer[end]:
            x += widths[layer]
            path.append(f"H{x:.1f}")
    arrow = f"M{x - 6:.1f} {y - 3.5:.1f}L{x:.1f} {y:.1f}L{x - 6:.1f} {y + 3.5:.1f}"
    return f'<path d="{"".join(path)}{arrow}" fill="none" stroke="#8c959f" stroke-width="1.2"/>'
