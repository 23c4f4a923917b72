"""The API's routes of the whole platform: overview, search, trace, audit, loading its files again, kinds of
problems."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import PlainTextResponse, Response

from retrain.app.access.deed_filter import DeedWish, deed_filter
from retrain.app.looking import queries
from retrain.app.looking.finding import find
from retrain.app.looking.glance import glance, names_of
from retrain.app.looking.trace import trace
from retrain.app.services import Services
from retrain.errors import NotFound
from retrain.web import problems
from retrain.web.asking import After, Limit, act, listed, shown
from retrain.web.openapi import answers
from retrain.web.shapes.looking import Finding, Overview, Reloaded, Trace
from retrain.web.shapes.promotions import DeedPage

Subject = Annotated[str | None, Query(description="A promotion's id, or NAME/ENVIRONMENT")]


def add_looking_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/overview", responses=answers(Overview))
    async def show_overview() -> Response:
        return shown(await glance(services))

    @api.get("/api/v1/find", responses=answers(Finding))
    async def find_thing(q: Annotated[str, Query(description="An id, key, object, commit or name")]) -> Response:
        return shown(await services.ask(find, q, names_of(services)))

    @api.get("/api/v1/trace", responses=answers(Trace))
    async def show_trace(id: Annotated[str, Query(description="Of anything in the chain")]) -> Response:
        return shown((await services.ask(trace, id)).to_json())

    @api.get("/api/v1/audit", responses=answers(DeedPage))
    async def list_deeds(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        subject: Subject = None,
        actor: Annotated[str | None, Query(description="Who has done it")] = None,
        action: Annotated[str | None, Query(description="What: such as runs.stop, or runs for all of them")] = None,
        since: Annotated[str | None, Query(description="A time, or how long ago (2h)")] = None,
        until: Annotated[str | None, Query(description="A time, or how long ago (1h)")] = None,
        cursor: After = None,
        limit: Limit = 50,
    ) -> Response:
        which = deed_filter(DeedWish(subject, actor, action, since, until), services.clock.now())
        return listed(request, await services.ask(queries.list_deeds, which, cursor, limit))

    @api.post("/api/v1/reload", responses=answers(Reloaded))
    async def reload_project() -> Response:
        return shown(await act(services, "project.reload"))

    @api.get("/problems/{kind}", response_class=PlainTextResponse, responses=answers(of="text/plain", text="In words"))
    async def show_problem(kind: str) -> PlainTextResponse:
        if (text := problems.page(kind)) is None:
            known = ", ".join(one.name for one in problems.KINDS.values())
            raise NotFound(f"{kind}: there is no such kind of problem; there are {known}")
        return PlainTextResponse(text)
