"""Views of runs: lists, one with its graph and steps, and logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response

from pipelines.pictures.gantt import gantt_svg
from pipelines.pictures.reading import label_of
from pipelines.pictures.svg import svg
from pipelines.pictures.tree import rows
from retrain.app import queries
from retrain.app.changes import Topic
from retrain.app.run_filters import PHASES, Wish
from retrain.app.run_logs import Logs, LogWish
from retrain.store.runs import OPEN
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, drawing, path, query
from retrain.web.run_routes import Cursor, Limit

Json = dict[str, Any]
STEPS = 400
"""Steps of one run that are listed; of more the first."""
DRAWN = 2000
"""Nodes of a run that is drawn; nobody can read the picture of more."""
LINES = 500
"""Lines of each step's log that are shown."""
IN_ALL = 5000
"""Lines that are shown of all steps together."""


def add_run_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services = frame.services

    @page.get("/ui/runs")
    async def runs(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        phase: str = "",
        workflow: str = "",
        prefix: str = "",
        labels: str = "",
        since: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        which = Wish(phase or None, workflow or None, prefix or None, labels or None, since or None)
        found = await services.ask(queries.list_runs, which, services.clock.now(), cursor, limit)
        more = {"which": which, "phases": PHASES, "template_of": template_of, "filtered": which != Wish(), **found}
        return frame.show(request, View("runs.html", "Runs", command("runs", "list"), ["runs"]), **more)

    @page.get("/ui/run")
    async def run(request: Request, name: str, node: str = "") -> Response:
        found = await services.ask(queries.show_run, name)
        operates = frame.who(request).may("operator")
        more = {"run": found, "node": node, "operates": operates, "verbs": _verbs(found), **_shown(frame, found, node)}
        title, said = f"Run {found['metadata']['name']}", command("runs", "get", name)
        topics: Sequence[Topic] = ["runs"] if found["status"]["phase"] in OPEN else []
        return frame.show(request, View("run.html", title, said, topics), template_of=template_of, **more)

    @page.get("/ui/run/log")
    async def log(request: Request, name: str, node: str = "", grep: str = "") -> Response:
        row = await services.ask(queries.find_run, name)
        wish = LogWish(node=node or None, grep=grep or None, tail=LINES)
        found: Logs = await services.actions["runs.logs"](row, wish)
        more = {"name": row.name, "node": node, "grep": grep, "many": found.many, "lines": await _lines(found)}
        follow = _follow(row.name, node, grep) if row.phase in OPEN else ""
        said = command("runs", "logs", row.name, *([node] if node else []))
        return frame.show(request, View("log.html", f"Log of {row.name}", said), follow=follow, last=LINES, **more)


def template_of(run: Mapping[str, Any]) -> str:
    """What a run is of: its template's name, or its own that others are numbered from."""
    spec, metadata = run["spec"], run["metadata"]
    return (spec.get("workflowTemplateRef") or {}).get("name") or metadata.get("generateName") or metadata["name"]


def _shown(frame: Frame, run: Json, node: str) -> Json:
    nodes: Mapping[str, Any] = run["status"].get("nodes") or {}
    drawn = len(nodes) <= DRAWN
    listed = list(islice((one for one in rows(run) if one.node is not None), STEPS))
    return {
        "labels": run["metadata"].get("labels") or {},
        "graph": drawing(svg(run)) if nodes and drawn else f"{len(nodes)} nodes: too many to draw",
        "gantt": drawing(gantt_svg(run, frame.services.clock.now())) if nodes and drawn else "",
        "nodes": [_step(one.prefix, one.node) for one in listed if one.node is not None],
        "left": max(0, len(nodes) - STEPS),
        "chosen": nodes.get(node),
    }


def _step(prefix: str, node: Mapping[str, Any]) -> Json:
    return {
        "prefix": prefix,
        "id": node["id"],
        "name": label_of(node),
        "phase": node.get("phase") or "Pending",
        "template": node.get("templateName"),
        "started": node.get("startedAt"),
        "finished": node.get("finishedAt"),
        "message": node.get("message"),
        "pod": node.get("type") == "Pod",
    }


def _verbs(run: Json) -> list[tuple[str, str]]:
    """What may be asked of a run as it is."""
    if run["status"]["phase"] not in OPEN:
        failed = run["status"]["phase"] in {"Failed", "Error"}
        return [*([("retry", "Retry what failed")] if failed else []), ("resubmit", "Run it again")]
    suspended = run["spec"].get("suspend") is True or run["status"].get("parked")
    return [("resume", "Resume") if suspended else ("suspend", "Suspend"), ("stop", "Stop")]


async def _lines(found: Logs) -> list[Json]:
    lines: list[Json] = []
    async for batch in found.batches:
        lines += [orjson.loads(one.to_json()) for one in batch]
        lines = lines[-IN_ALL:]
    return [{**one, "text": f"{one['text'][:4000]} …" if len(one["text"]) > 4000 else one["text"]} for one in lines]


def _follow(name: str, node: str, grep: str) -> str:
    where = f"/api/v1/runs/{path('run', name).partition('=')[2]}/logs"
    return query(where, follow="true", tail=LINES, node=node, grep=grep)
