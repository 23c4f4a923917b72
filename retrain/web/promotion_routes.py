"""The API's routes of promotions and holds."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.looking.paging import paged
from retrain.app.promotions import gate_pictures
from retrain.app.runs.filters import time_of
from retrain.app.services import Services
from retrain.errors import ConfigError, NotFound
from retrain.store.promotions import PromotionFilter
from retrain.web.access import principal
from retrain.web.asking import After, Limit, act, listed, read_words, shown
from retrain.web.openapi import answers, takes
from retrain.web.shapes.asked import PromotionBody
from retrain.web.shapes.promotions import Done, HoldPage, PromotionPage, PromotionSeen

PICTURE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}
"""Of a picture whose words came from outside: opened by itself it runs nothing and loads nothing."""
SVG = answers(of="image/svg+xml", text="A picture")
VERBS = ("approve", "reject", "retry", "waive", "propose", "rollback", "hold", "release")
Verb = Annotated[str, Path(json_schema_extra={"enum": list(VERBS)}, description="What is to be done")]
Name = Annotated[str | None, Query(description="The name of the promotion's document")]
Environment = Annotated[str | None, Query(description="An environment")]
State = Annotated[str | None, Query(description="awaiting, committed, rejected, failed, ...")]

Since = Annotated[str | None, Query(description="Begun since: an age such as 2h, or a time")]


def add_promotion_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/promotions", responses=answers(PromotionPage))
    async def list_promotions(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        name: Name = None,
        environment: Environment = None,
        state: State = None,
        since: Since = None,
        cursor: After = None,
        limit: Limit = 50,
    ) -> Response:
        begun = time_of(since, "since", services.clock.now()) if since else None
        which = PromotionFilter(name, environment, state, begun)
        return listed(request, await services.ask(queries.list_promotions, which, cursor, limit))

    @api.get("/api/v1/holds", responses=answers(HoldPage))
    async def list_holds(request: Request, cursor: After = None, limit: Limit = 50) -> Response:
        found = await services.ask(queries.list_holds)
        return listed(request, paged(found["items"], lambda one: f"{one['name']}/{one['environment']}", cursor, limit))

    @api.get("/api/v1/promotions/{name}", responses=answers(PromotionSeen))
    async def show_promotion(name: str) -> Response:
        return shown(await services.ask(queries.show_promotion, name))

    @api.get("/api/v1/promotions/{name}/gates.svg", response_class=Response, responses=SVG)
    async def picture_of_gates(name: str) -> Response:
        found = await services.ask(queries.show_promotion, name)
        picture = gate_pictures.svg(found["candidate"], found["gates"])
        if picture is None:
            raise NotFound(f"{name}: its run gave neither curves nor slices to draw (evaluation.curves, .slices)")
        return Response(picture, media_type="image/svg+xml", headers=PICTURE)

    @api.post("/api/v1/promotions/{name}/{verb}", responses=answers(Done), openapi_extra=takes(PromotionBody))
    async def act_on_promotion(name: str, verb: Verb, request: Request) -> Response:
        words = await read_words(request)
        if "by" in words:
            raise ConfigError("`by` is not yours to say: a token of your own says it, or `actor`")
        by = principal(request.scope, words.pop("actor", ""))
        return shown(await act(services, f"promotions.{verb}", name, by=by, **words))
