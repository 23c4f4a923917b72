"""Views of logs: a whole run's or one step's, followed while it is written; and those of a few steps side by side."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from pipelines.pictures.reading import moment
from retrain.app.looking import queries
from retrain.app.runs.artifacts import node_of
from retrain.app.runs.beside import Clock, beside, in_step, written
from retrain.app.runs.folding import Tree
from retrain.app.runs.logs import Logs, LogWish
from retrain.errors import ConfigError
from retrain.store import run_outlines
from retrain.store.run_outlines import Stub
from retrain.store.runs import OPEN, RunRow
from retrain.web.page.acts import act
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, path, query

Json = dict[str, Any]
LINES = 500
"""Lines of each step's log that are shown."""
IN_ALL = 5000
"""Lines that are shown of all steps together."""
LETTERS = 4000
"""Letters of a line that are shown."""
STEPS = 60
"""Steps of a run whose logs are shown one after the other without being looked for."""
NAMED = 20
"""Steps of a larger run that are named in their place."""
SIDES = (2, 4)
SIDE_LINES = 300
Nodes = Annotated[list[str], Query(alias="node", default_factory=list, description="Ids of two to four steps")]


def add_log_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services = frame.services

    @page.get("/ui/run/log")
    async def log(request: Request, name: str, node: str = "", grep: str = "") -> Response:
        row = await services.ask(queries.find_run, name)
        many = 0 if node or grep else await services.ask(run_outlines.count, row.id)
        if many > STEPS:
            return await _choose(request, frame, row, many)
        found: Logs = await act(frame, "runs.logs", row, LogWish(node=node or None, grep=grep or None, tail=LINES))
        more = {"name": row.name, "node": node, "grep": grep, "many": found.many, "lines": await _lines(found)}
        follow = _follow(row.name, node, grep) if row.phase in OPEN else ""
        said = command("runs", "logs", row.name, *([node] if node else []))
        return frame.show(request, View("log.html", f"Log of {row.name}", said), follow=follow, last=LINES, **more)

    @page.get("/ui/run/logs")
    async def logs(request: Request, name: str, nodes: Nodes, grep: str = "", by: Clock = "clock") -> Response:
        chosen = list(dict.fromkeys(nodes))
        if not SIDES[0] <= len(chosen) <= SIDES[1]:
            raise ConfigError(f"logs side by side: choose {SIDES[0]} to {SIDES[1]} steps, not {len(chosen)}")
        row = await services.ask(queries.find_run, name)
        steps = [await services.ask(node_of, row, one) for one in chosen]
        sides = [await _side(frame, row, step["id"], grep) for step in steps]
        moments = beside(sides, [moment(step.get("startedAt")) for step in steps], by)
        more = {"name": row.name, "steps": steps, "moments": moments, "grep": grep, "by": by, "in_step": in_step}
        view = View("beside.html", f"Logs of {len(steps)} steps", command("runs", "logs", row.name), [])
        return frame.show(request, view, last=SIDE_LINES, **more)


async def _choose(request: Request, frame: Frame, row: RunRow, many: int) -> Response:
    """Where there are too many logs for one view: steps to choose from, what failed and what runs first."""
    failed, running = await frame.services.ask(_steps, row.id)
    more = {"name": row.name, "failed": failed, "running": running, "many": many}
    return frame.show(request, View("logs.html", f"Logs of {row.name}", command("runs", "logs", row.name)), **more)


def _steps(connection: Connection, run_id: str) -> tuple[list[Stub], list[Stub]]:
    tree = Tree(run_outlines.outline(connection, run_id))
    running = [one for one in tree.nodes.values() if one.kind == "Pod" and one.phase == "Running"]
    failed = [one for one in tree.failed(NAMED * 2) if one.kind == "Pod"]
    return failed[:NAMED], sorted(running, key=lambda one: one.started)[:NAMED]


async def _side(frame: Frame, row: RunRow, node: str, grep: str) -> list[Any]:
    found: Logs = await act(frame, "runs.logs", row, LogWish(node=node, grep=grep or None, tail=SIDE_LINES))
    return [written(one) for one in (await _lines(found))[-SIDE_LINES:]]


async def _lines(found: Logs) -> list[Json]:
    lines: list[Json] = []
    async for batch in found.batches:
        lines += [orjson.loads(one.to_json()) for one in batch]
        lines = lines[-IN_ALL:]
    return [{**one, "text": _cut(one["text"])} for one in lines]


def _cut(text: str) -> str:
    return f"{text[:LETTERS]} …" if len(text) > LETTERS else text


def _follow(name: str, node: str, grep: str) -> str:
    where = f"/api/v1/runs/{path('run', name).partition('=')[2]}/logs"
    return query(where, follow="true", tail=LINES, node=node, grep=grep)
