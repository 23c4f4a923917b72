"""Views of sensors and sources, and of what leads to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.projects.catalog import Item
from retrain.app.projects.project import Project
from retrain.app.sensing import graph_picture
from retrain.app.sensing.answers import decisions_page
from retrain.app.sensing.case_files import sensor_item
from retrain.app.sensing.event_filters import OUTCOMES
from retrain.app.sensing.sensor_graph import Graph, part_of, show_graph
from retrain.app.sensing.sensor_text import lines_of, lint_text, written
from retrain.app.sensing.source_view import show_source
from retrain.store.decisions import DecisionFilter
from retrain.web.asking import Cursor, Limit
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, drawing

Json = dict[str, Any]
SHOWN = 500
"""Sensors of one list; of more those that a filter names."""


def add_sensor_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, ask = frame.services, frame.services.ask
    _of_sources(page, frame)

    @page.get("/ui/sensors")
    async def sensors(request: Request, q: str = "") -> Response:
        items = [one for one in services.sensing.rows() if _has(one, q)]
        more = {"items": items[:SHOWN], "left": max(0, len(items) - SHOWN), "q": q, "sources": services.sources()}
        return frame.show(request, View("sensors.html", "Sensors", command("sensors", "list"), ["sensors"]), **more)

    @page.get("/ui/sensor")
    async def sensor(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        name: str,
        outcome: str = "",
        trigger: str = "",
        key: str = "",
        cursor: Cursor = None,
        older: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        which = DecisionFilter(outcome or None, trigger or None, key or None)
        found = await services.sensing.show(name, cursor, limit)
        record: Json = {
            "memory": await ask(queries.sensor_memory, name),
            "decided": await ask(decisions_page, name, which, older, limit),
            "held_back": [one for one in await services.sensing.held() if one["sensor"] == name],
            "open_keys": [one for one in found["waiting"] if one["need"] or not one["held"]],
            "words": {"name": name, "outcome": outcome, "trigger": trigger, "key": key},
            "outcomes": OUTCOMES,
            **await _text(sensor_item(services.sensing.items(), name), services.manifests()),
        }
        view = View("sensor.html", f"Sensor {name}", command("sensors", "show", name), ["sensors", "firings"])
        return frame.show(request, view, which=which, **found, **record)

    @page.get("/ui/graph")
    async def graph(request: Request, q: str = "", near: str = "") -> Response:
        project = services.manifests()
        whole = await ask(show_graph, project, services.sources(), services.clock.now())
        found = part_of(whole, q.strip(), near)
        drawn = graph_picture.fold(found)
        more = {"rows": _rows(found), "folded": drawn.folded, "q": q, "near": near, "back": _back(found)}
        view = View("graph.html", "What leads to what", command("sensors", "graph"), ["sensors", "firings"])
        return frame.show(request, view, picture=drawing(graph_picture.picture(found)), **more)


def _of_sources(page: FastAPI, frame: Frame) -> None:
    services = frame.services

    @page.get("/ui/source")
    async def source(request: Request, name: str) -> Response:
        now = services.clock.now()
        found = await services.ask(show_source, name, services.sources(), services.manifests(), now)
        tall = towers([one["count"] for one in found["hours"]])
        view = View("source.html", f"Source {name}", command("sources", "show", name), ["events"])
        return frame.show(request, view, towers=tall, **found)


async def _text(item: Item, project: Project) -> Json:
    """A sensor as it is written, line by line, with what the linter says. Reads its file."""
    text = await anyio.to_thread.run_sync(written, item)
    findings = await anyio.to_thread.run_sync(lint_text, text.text, project)
    lines = lines_of(text.text, findings, text.line)
    return {"lines": lines, "findings": len(findings), "from_file": text.from_file}


def _has(row: Mapping[str, Any], text: str) -> bool:
    words = (row["name"], row["mode"], *row["dependencies"], *row["triggers"])
    return any(text.strip().lower() in str(word).lower() for word in words)


def _rows(graph: Graph) -> list[Json]:
    """The graph as a table: each part, what leads to it, and what it leads to."""
    nodes = {one.id: one for one in graph.nodes}
    before: dict[str, list[Any]] = {}
    after: dict[str, list[Any]] = {}
    for start, end in graph.edges:
        before.setdefault(end, []).append(_link(nodes[start]))
        after.setdefault(start, []).append(_link(nodes[end]))
    return [
        {"node": one, **_link(one), "before": before.get(one.id, []), "after": after.get(one.id, [])}
        for one in graph.nodes
    ]


def _link(node: Any) -> Json:
    return {"name": node.name, "where": graph_picture.where(node), "unit": graph_picture.UNITS[node.kind]}


def _back(graph: Graph) -> Sequence[tuple[str, str]]:
    nodes = {one.id: one for one in graph.nodes}
    return [(nodes[start].name, nodes[end].name) for start, end in graph.back]


def towers(counts: Sequence[int]) -> list[Json]:
    """Columns for a picture of 100 by 24, the highest as high as it. Pure."""
    most, width = max([1, *counts]), 100 / max(1, len(counts))
    tall = [24 * count / most for count in counts]
    return [
        {"x": f"{n * width:.2f}", "width": f"{width * 0.8:.2f}", "y": f"{24 - high:.2f}", "height": f"{high:.2f}"}
        for n, high in enumerate(tall)
    ]
