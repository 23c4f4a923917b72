"""The API's routes of models, and of what waits for approvals."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from retrain.app.looking.paging import paged
from retrain.app.promotions import models
from retrain.app.promotions import pictures as model_pictures
from retrain.app.services import Services
from retrain.errors import NotFound
from retrain.identity import Principal
from retrain.web.access import principal
from retrain.web.asking import After, Limit, listed, shown
from retrain.web.openapi import answers
from retrain.web.promotion_routes import PICTURE, SVG
from retrain.web.shapes.models import AwaitingPage, ModelPage, ModelSeen

Metric = Annotated[str, Query(description="whose figures are drawn; left out: the first that a gate asks for")]


def add_model_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/models", responses=answers(ModelPage))
    async def list_models(request: Request, cursor: After = None, limit: Limit = 50) -> Response:
        found = await services.ask(models.list_models, services.promotions())
        return listed(request, paged(found["items"], lambda one: one["name"], cursor, limit))

    @api.get("/api/v1/models/{name}", responses=answers(ModelSeen))
    async def show_model(name: str, metric: Metric = "") -> Response:
        now = services.clock.now()
        return shown(await services.ask(models.show_model, services.promotions(), name, now, metric))

    @api.get("/api/v1/models/{name}/history.svg", response_class=Response, responses=SVG)
    async def picture_of_model(name: str, metric: Metric = "") -> Response:
        now = services.clock.now()
        found = await services.ask(models.show_model, services.promotions(), name, now, metric)
        picture = model_pictures.svg(found, now)
        if picture is None:
            raise NotFound(f"{name}: it was never live anywhere, so there is nothing to draw")
        return Response(picture, media_type="image/svg+xml", headers=PICTURE)

    @api.get("/api/v1/approvals", responses=answers(AwaitingPage))
    async def list_approvals(request: Request) -> Response:
        return listed(request, await awaiting(services, principal(request.scope)))


async def awaiting(services: Services, by: Principal) -> dict[str, Any]:
    """What waits for approvals; `by` asks."""
    documents = services.promotions()
    if not documents:
        return {"items": [], "next": None}
    from retrain.app.promotions.inbox import inbox

    return await services.ask(inbox, documents, people(services), by, services.clock.now())


def people(services: Services) -> dict[str, tuple[str, ...]]:
    """The people that the settings name, with their roles."""
    return {name: one.roles for name, one in services.settings.access.users.items()}
