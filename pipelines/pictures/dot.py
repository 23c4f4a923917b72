"""A run for Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.pictures.graph import Vertex, graph_of
from pipelines.pictures.ink import colours_of
from pipelines.pictures.reading import name_of


def dot(workflow: Mapping[str, Any]) -> str:
    """The graph of a run as a `digraph`, from left to right."""
    graph = graph_of(workflow)
    number = {vertex.id: f"n{index}" for index, vertex in enumerate(graph.vertices)}
    lines = [
        f"digraph {_quoted(name_of(workflow))} {{",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11];',
        '  edge [color="#8c959f"];',
        *(f"  {number[vertex.id]} [{_looks(vertex)}];" for vertex in graph.vertices),
        *(f"  {number[start]} -> {number[end]};" for start, end in graph.edges),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _looks(vertex: Vertex) -> str:
    ink = colours_of(vertex.phase)
    if vertex.junction:
        return f'label="", shape=point, color="{ink.line}"'
    style = ', style="rounded,filled,dashed"' if ink.dashed else ""
    label = "\\n".join(_escaped(part) for part in (vertex.label, vertex.under) if part)
    tip = _quoted(" ".join(part for part in (vertex.phase, vertex.message) if part))
    return f'label="{label}", fillcolor="{ink.fill}", color="{ink.line}", fontcolor="{ink.text}", tooltip={tip}{style}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
