"""A run as an SVG picture: boxes from left to right in the order in which one followed from the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.pictures.graph import Graph, Vertex, graph_of
from pipelines.pictures.ink import colours_of, escaped, page, text, width_of
from pipelines.pictures.layers import Layout, lay_out
from pipelines.pictures.reading import lasted, name_of, plain, short

HEIGHT, LOW, DOT = 42.0, 28.0, 9.0
"""Of a box with two lines of text, with one, and of a junction."""
GAP, BETWEEN = 14.0, 56.0
"""Between two boxes of a layer, and between two layers."""
MARGIN, TITLE = 24.0, 34.0
MOST_LETTERS = 34
SIZE, SMALL = 12.5, 10.5


def svg(workflow: Mapping[str, Any]) -> str:
    """The graph of a run as an SVG document, with a title line; a message is shown where the pointer rests."""
    graph = graph_of(workflow)
    layout = lay_out({vertex.id: _height(vertex) for vertex in graph.vertices}, graph.edges, GAP)
    widths = _widths(graph, layout)
    left = [MARGIN]
    for width in widths:
        left.append(left[-1] + width + BETWEEN)
    top = MARGIN + TITLE
    parts = [_title(workflow)]
    parts.extend(_edge(edge, layout, left, widths, top) for edge in graph.edges)
    parts.extend(
        _box(vertex, left[layout.layer[vertex.id]], layout.middle[vertex.id] + top, widths[layout.layer[vertex.id]])
        for vertex in graph.vertices
    )
    wide = max(left[-1] - BETWEEN + MARGIN, 2 * MARGIN + width_of(_heading(workflow), 15))
    return page(wide, top + layout.length + MARGIN, name_of(workflow), parts)


def _height(vertex: Vertex) -> float:
    return DOT if vertex.junction else HEIGHT if vertex.under else LOW


def _widths(graph: Graph, layout: Layout) -> list[float]:
    widths = [0.0] * layout.layers
    for vertex in graph.vertices:
        number = layout.layer[vertex.id]
        widths[number] = max(widths[number], _width(vertex))
    return widths


def _width(vertex: Vertex) -> float:
    if vertex.junction:
        return DOT
    label = width_of(short(vertex.label, MOST_LETTERS), SIZE) + 22
    return max(label, width_of(short(vertex.under, MOST_LETTERS), SMALL) + 22) + 20


def _heading(workflow: Mapping[str, Any]) -> str:
    status = workflow.get("status") or {}
    words = [name_of(workflow), str(status.get("phase") or "Pending"), lasted(status)]
    return plain(" · ".join(word for word in words if word))


def _title(workflow: Mapping[str, Any]) -> str:
    return text(MARGIN, MARGIN + 12, _heading(workflow), size=15, more=' font-weight="600"')


def _box(vertex: Vertex, x: float, middle: float, width: float) -> str:
    ink, height = colours_of(vertex.phase), _height(vertex)
    if vertex.junction:
        return f'<circle cx="{x + width / 2:.1f}" cy="{middle:.1f}" r="{DOT / 2:g}" fill="{ink.line}"/>'
    y = middle - height / 2
    style = f'fill="{ink.fill}" stroke="{ink.line}" stroke-width="1.3"' + (
        ' stroke-dasharray="4 3"' if ink.dashed else ""
    )
    round_ = height / 2 if vertex.kind in {"DAG", "Steps"} else 6
    parts = [f"<g><title>{escaped(_tip(vertex))}</title>"]
    if vertex.count > 1:  # a second box behind it
        parts.append(f'<rect x="{x + 4:.1f}" y="{y - 4:.1f}" width="{width:.1f}" height="{height}" rx="6" {style}/>')
    parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="{round_:g}" {style}/>')
    first = y + (18 if vertex.under else 18.5)
    parts.append(text(x + 12, first, ink.mark, size=SIZE, fill=ink.line))
    parts.append(text(x + 30, first, short(vertex.label, MOST_LETTERS), size=SIZE, fill=ink.text))
    if vertex.under:
        parts.append(text(x + 30, y + 33.5, short(vertex.under, MOST_LETTERS), size=SMALL, fill="#57606a"))
    return "".join([*parts, "</g>"])


def _tip(vertex: Vertex) -> str:
    return "\n".join(part for part in (vertex.label, vertex.under, vertex.phase, vertex.message) if part)


def _edge(edge: tuple[str, str], layout: Layout, left: Sequence[float], widths: Sequence[float], top: float) -> str:
    start, end = edge
    number = layout.layer[start]
    x, y = left[number] + widths[number], layout.middle[start] + top
    path = [f"M{x:.1f} {y:.1f}"]
    for layer, middle in (*layout.bends[edge], (layout.layer[end], layout.middle[end])):
        to, down = left[layer], middle + top
        path.append(f"C{x + BETWEEN / 2:.1f} {y:.1f} {to - BETWEEN / 2:.1f} {down:.1f} {to:.1f} {down:.1f}")
        x, y = to, down
        if layer != layout.layer[end]:  # straight through the layer that it passes
            x += widths[layer]
            path.append(f"H{x:.1f}")
    arrow = f"M{x - 6:.1f} {y - 3.5:.1f}L{x:.1f} {y:.1f}L{x - 6:.1f} {y + 3.5:.1f}"
    return f'<path d="{"".join(path)}{arrow}" fill="none" stroke="#8c959f" stroke-width="1.2"/>'
