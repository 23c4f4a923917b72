"""The overview, what is found, traces, dead letters, and what people did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app import queries
from retrain.app.changes import TOPICS
from retrain.app.finding import find
from retrain.app.overview import overview
from retrain.app.services import Services
from retrain.app.trace import trace
from retrain.web.page.chains import columns
from retrain.web.page.frame import Frame, View, see
from retrain.web.page.words import MOODS, command, path
from retrain.web.run_routes import Cursor, Limit

Json = dict[str, Any]


def add_other_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, ask = frame.services, frame.services.ask

    @page.get("/ui/")
    async def glance(request: Request) -> Response:
        found = await ask(overview, services.clock.now())
        held = [one for one in services.sensing.rows() if one["held"]]
        more = {
            "parts": [one for one in services.states() if not one.ready],
            "held": held,
            "bars": bars,
            "columns": towers,
            **found,
        }
        return frame.show(request, View("overview.html", "Overview", command("doctor"), TOPICS), **more)

    @page.get("/ui/find")
    async def look(request: Request, q: str = "") -> Response:
        found = await ask(find, q, _sensors(services))
        if found["exact"] and len(found["items"]) == 1:
            return see(path(found["items"][0]["kind"], found["items"][0]["id"]))
        said = command("trace", q) if q else ""
        return frame.show(request, View("find.html", f"“{q.strip()[:80]}”", said), items=found["items"], q=q.strip())

    @page.get("/ui/trace")
    async def way(request: Request, id: str = "") -> Response:
        steps = columns((await ask(trace, id)).to_json(), id) if id else []
        title, said = (f"Trace of {id[:80]}", command("trace", id)) if id else ("Trace", "")
        return frame.show(request, View("trace.html", title, said, TOPICS if id else ()), steps=steps, id=id)

    @page.get("/ui/deadletters")
    async def letters(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
        found = await ask(queries.list_deadletters, cursor, limit)
        said = command("deadletters", "list")
        return frame.show(request, View("deadletters.html", "Dead letters", said, ["deadletters"]), **found)

    @page.get("/ui/deadletter")
    async def letter(request: Request, id: str) -> Response:
        one = queries.deadletter(await ask(queries.dead_letter, id))
        more, said = {"one": one, "operates": frame.who(request).may("operator")}, command("deadletters", "show", id)
        return frame.show(request, View("deadletter.html", f"Dead letter {id}", said), **more)

    @page.get("/ui/audit")
    async def deeds(request: Request, subject: str = "", cursor: Cursor = None, limit: Limit = 50) -> Response:
        found = await ask(queries.list_deeds, subject or None, cursor, limit)
        return frame.show(request, View("audit.html", "Audit", topics=["promotions"]), subject=subject, **found)


def _sensors(services: Services) -> list[str]:
    return [str(one["name"]) for one in services.sensing.rows()]


def towers(counts: Sequence[int]) -> list[Json]:
    """Columns for a picture of 100 by 24, the highest as high as it."""
    most = max([1, *counts])
    tall = [24 * count / most for count in counts]
    width = 100 / max(1, len(counts))
    return [
        {"x": f"{n * width:.2f}", "width": f"{width * 0.8:.2f}", "y": f"{24 - high:.2f}", "height": f"{high:.2f}"}
        for n, high in enumerate(tall)
    ]


def bars(counts: Mapping[str, int]) -> list[Json]:
    """A bar of 100 in parts as long as the counts, by how their states are to be taken."""
    total, x = sum(counts.values()), 0.0
    parts: list[Json] = []
    for word, count in counts.items():
        width = 100 * count / total
        parts.append({"mood": MOODS.get(word, "idle"), "x": f"{x:.2f}", "width": f"{width:.2f}"})
        x += width
    return parts
