"""The overview, what is found, traces, and what people did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import flow_picture
from retrain.app.looking.changes import TOPICS
from retrain.app.looking.finding import find
from retrain.app.looking.flow_picture import Stage, shares
from retrain.app.looking.glance import glance, names_of
from retrain.app.looking.overview import live_commits
from retrain.app.looking.trace import trace
from retrain.web.page.chains import columns
from retrain.web.page.frame import Frame, View, see
from retrain.web.page.words import MOODS, command, drawing, number, path, query

Json = dict[str, Any]


def add_other_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, ask = frame.services, frame.services.ask

    @page.get("/ui/")
    async def at_a_glance(request: Request) -> Response:
        found = await glance(services)
        picture = drawing(flow_picture.svg(stages(found["flow"], found["capped"]), number, mood_of))
        view = View("overview.html", "Overview", command("overview"), TOPICS)
        return frame.show(request, view, picture=picture, **found)

    @page.get("/ui/find")
    async def look(request: Request, q: str = "") -> Response:
        found = await ask(find, q, names_of(services))
        if found["exact"] and len(found["items"]) == 1:
            return see(path(found["items"][0]["kind"], found["items"][0]["id"]))
        said = command("trace", q) if q else ""
        return frame.show(request, View("find.html", f"“{q.strip()[:80]}”", said), items=found["items"], q=q.strip())

    @page.get("/ui/trace")
    async def way(request: Request, id: str = "") -> Response:
        found = (await ask(trace, id)).to_json() if id else {}
        steps = columns(found, id, await ask(live_commits)) if id else []
        around = {"id": id, "left": found.get("left"), "trace_id": found.get("trace")}
        title, said = (f"Trace of {id[:80]}", command("trace", id)) if id else ("Trace", "")
        return frame.show(request, View("trace.html", title, said, TOPICS if id else ()), steps=steps, **around)


DAY = "24h"


def stages(flow: Json, capped: int) -> list[Stage]:
    """The boxes of the day's picture. Pure; what was counted up to `capped` says that there may be more."""
    decided = flow["decisions"]
    outcomes = shares(decided["outcomes"], lambda word: query("/ui/events", outcome=word, since=DAY))
    of = "" if decided["of"] >= decided["count"] else f"of the newest {number(decided['of'])}"
    return [
        Stage("Events", flow["events"], number(flow["events"]), _day("/ui/events"), over=flow["eventsOverTime"]),
        Stage("Decisions", decided["count"], number(decided["count"]), _day("/ui/events"), outcomes, note=of),
        _stage("Firings", "/ui/firings", "state", flow["firings"], capped),
        _stage("Runs", "/ui/runs", "phase", flow["runs"], capped),
        _stage("Promotions", "/ui/promotions", "state", flow["promotions"], capped),
    ]


def _day(where: str) -> str:
    return query(where, since=DAY)


def _stage(name: str, where: str, word: str, counts: Mapping[str, int], capped: int) -> Stage:
    count = sum(counts.values())
    more = "+" if any(one >= capped for one in counts.values()) else ""
    listed = shares(counts, lambda state: query(where, **{word: state, "since": DAY}))
    return Stage(name, count, f"{number(count)}{more}", _day(where), listed)


def mood_of(word: str) -> str:
    """How a state is to be taken."""
    return MOODS.get(word, "idle")


def towers(counts: Sequence[int]) -> list[Json]:
    """Columns for a picture of 100 by 24, the highest as high as it."""
    most = max([1, *counts])
    tall = [24 * count / most for count in counts]
    width = 100 / max(1, len(counts))
    return [
        {"x": f"{n * width:.2f}", "width": f"{width * 0.8:.2f}", "y": f"{24 - high:.2f}", "height": f"{high:.2f}"}
        for n, high in enumerate(tall)
    ]
