"""Views of runs: the list, and one with its graph, its steps as a tree and what waits in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from pipelines.pictures.gantt import gantt_svg
from pipelines.pictures.svg import svg
from retrain.app.looking.changes import Topic
from retrain.app.runs import table as run_table
from retrain.app.runs.drawing import picture_of
from retrain.app.runs.filters import PHASES, Wish
from retrain.app.runs.folding import Line, Opened, fold, parse_open, phase_of, spell_open
from retrain.app.runs.table import parse_sort
from retrain.app.runs.values import parse_columns
from retrain.app.runs.view import RunView, Trees, view
from retrain.web.asking import Cursor, Limit
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, drawing, given

Json = dict[str, Any]
FAILED = 10
"""Steps that failed, of which the beginning of a run's view tells."""
Opens = Annotated[
    list[str],
    Query(
        alias="open", default_factory=list, description="Nodes that are open: ID, ID:OFFSET, or -ID for one that is not"
    ),
]
ORDER = ("Failed", "Error", "Suspended", "Running", "Pending", "Succeeded", "Skipped", "Omitted")


def add_run_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, trees = frame.services, Trees()

    @page.get("/ui/runs")
    async def runs(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        phase: str = "",
        workflow: str = "",
        prefix: str = "",
        labels: str = "",
        since: str = "",
        until: str = "",
        namespace: str = "",
        columns: str = "",
        sort: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        words = {"phase": phase, "workflow": workflow, "prefix": prefix, "labels": labels, "since": since}
        words |= {"until": until, "namespace": namespace}
        which = _wish(words)
        found = await services.ask(run_table.list_runs, which, services.clock.now(), cursor, limit, columns, sort)
        shape = {"columns": columns, "sort": sort}
        said = command("runs", "list", *given(**words, **shape))
        more = {"which": which, "phases": PHASES, "filtered": which != Wish(), "words": {**words, **shape}, **found}
        heads = {"shown": [str(one) for one in parse_columns(columns)], "order": str(parse_sort(sort)), "turn": _turned}
        return frame.show(request, View("runs.html", "Runs", said, ["runs"]), template_of=template_of, **heads, **more)

    @page.get("/ui/run")
    async def run(request: Request, name: str, opens: Opens, node: str = "") -> Response:
        opened = parse_open(opens)
        found = await services.ask(view, name, node, trees)
        run = found.run
        more = _shown(frame, found, opened, node)
        title, said = f"Run {run['metadata']['name']}", command("runs", "get", name)
        topics: Sequence[Topic] = ["runs"] if found.open else []
        operates = frame.who(request).may("operator")
        return frame.show(request, View("run.html", title, said, topics), operates=operates, node=node, **more)


def _wish(words: Mapping[str, str]) -> Wish:
    said: Json = {name: word or None for name, word in words.items()}
    return Wish(**said)


def template_of(run: Mapping[str, Any]) -> str:
    """What a run is of: its template's name, or its own that others are numbered from."""
    spec, metadata = run["spec"], run["metadata"]
    return (spec.get("workflowTemplateRef") or {}).get("name") or metadata.get("generateName") or metadata["name"]


def _turned(sort: str, by: str) -> str:
    """The order that a click on the head of a column asks for: the greatest first, then the least."""
    return by if sort == f"-{by}" else f"-{by}"


# --- one run ---------------------------------------------------------------------------------------------------------


def _shown(frame: Frame, found: RunView, opened: Opened, node: str) -> Json:
    labels = found.run["metadata"].get("labels") or {}
    return {
        "run": found.run,
        "found": found,
        "labels": labels,
        "verbs": _verbs(found),
        "template_of": template_of,
        "chosen": found.chosen,
        "hours": _hours(found.used),
        "failed": found.tree.failed(FAILED),
        **_pictures(frame, found),
        **_lines(found, opened, node),
    }


def _pictures(frame: Frame, found: RunView) -> Json:
    now = frame.services.clock.now()
    picture = picture_of(found.tree, now)
    if not picture.nodes:
        return {"graph": "", "gantt": "", "picture": picture}
    run = {**found.run, "status": {**found.run["status"], "nodes": picture.nodes}}
    return {"graph": drawing(svg(run)), "gantt": drawing(gantt_svg(run, now)), "picture": picture}


def _lines(found: RunView, opened: Opened, node: str) -> Json:
    lines = fold(found.tree, opened)
    name = found.row.name

    def turn(line: Line, at: int | None = None) -> str:
        """This view with a node opened or closed, or with so many of its members before those that are shown."""
        now = {**opened, line.stub.id: (-1 if line.open else 0) if at is None else at}
        said = [("node", node)] if node else []
        return f"/ui/run?{urlencode([('name', name), *said, *(('open', one) for one in spell_open(now))])}"

    return {"lines": lines, "turn": turn, "tell": _tell, "phase_of": phase_of, "beside": _beside(lines)}


def _beside(lines: Sequence[Line]) -> bool:
    """Whether there are logs to lay side by side."""
    return sum(line.stub.kind == "Pod" for line in lines) > 1


def _tell(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """How many are in each phase, what is wrong first."""
    return [(phase, counts[phase]) for phase in ORDER if phase in counts]


def _verbs(found: RunView) -> list[tuple[str, str]]:
    """What may be asked of a run as it is, without saying more."""
    if not found.open:
        return [("retry", "Retry what failed")] if found.row.phase in {"Failed", "Error"} else []
    suspended = found.run["spec"].get("suspend") is True
    waits = suspended or (found.row.parked and not found.waiting)
    return [("resume", "Resume") if waits else ("suspend", "Suspend"), ("stop", "Stop"), ("terminate", "Terminate")]


def _hours(used: Mapping[str, float]) -> list[tuple[str, float]]:
    """Hours of processors that were asked for and used up: `resourcesDuration` without memory. Argo counts whole
    seconds, so short pods have used none."""
    processors = {name: seconds for name, seconds in used.items() if name == "cpu" or "gpu" in name.lower()}
    return [(name, seconds / 3600) for name, seconds in sorted(processors.items()) if seconds]
