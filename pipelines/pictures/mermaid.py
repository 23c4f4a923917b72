"""A run as a Mermaid flowchart, which wikis and Git forges draw inside of Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.pictures.graph import Vertex, graph_of
from pipelines.pictures.ink import COLOURS, colours_of

_PLAIN = re.compile(r"[^\w .,:;/+*=@·…-]", re.ASCII)
"""What Mermaid might take for its own or for HTML; it is written as a number."""


def mermaid(workflow: Mapping[str, Any]) -> str:
    """The graph of a run as a flowchart, from left to right."""
    graph = graph_of(workflow)
    number = {vertex.id: f"n{index}" for index, vertex in enumerate(graph.vertices)}
    used = dict.fromkeys(vertex.phase for vertex in graph.vertices)
    lines = [
        "flowchart LR",
        *(f"  {number[vertex.id]}{_shape(vertex)}:::{_class(vertex.phase)}" for vertex in graph.vertices),
        *(f"  {number[start]} --> {number[end]}" for start, end in graph.edges),
        *(f"  classDef {_class(phase)} {_style(phase)}" for phase in used),
    ]
    return "\n".join(lines) + "\n"


def _shape(vertex: Vertex) -> str:
    if vertex.junction:
        return '((" "))'
    label = "<br/>".join(_escaped(part) for part in (vertex.label, vertex.under) if part)
    return f'(["{label}"])' if vertex.kind in {"DAG", "Steps"} else f'("{label}")'


def _escaped(text: str) -> str:
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", text)


def _class(phase: str) -> str:
    return phase.lower() if phase in COLOURS else "pending"


def _style(phase: str) -> str:
    ink = colours_of(phase)
    dashes = ",stroke-dasharray:4 3" if ink.dashed else ""
    return f"fill:{ink.fill},stroke:{ink.line},color:{ink.text}{dashes}"
