"""The API's routes of CronWorkflows."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from retrain.app.looking.paging import paged
from retrain.app.services import Services
from retrain.web.asking import After, Limit, act, listed, shown
from retrain.web.openapi import answers
from retrain.web.shapes.runs import Cron, CronPage, CronSeen, RunMade

Namespace = Annotated[str | None, Query(description="Where several have the same name: which")]


class SuspendBody(BaseModel):
    """`by`: who says so."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    by: str = Field(default="api", min_length=1, max_length=200)


class StartBody(BaseModel):
    """`parameters`: values for the workflow's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    parameters: dict[str, str] = Field(default_factory=dict)


def add_cron_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/crons", responses=answers(CronPage))
    async def list_crons(request: Request, cursor: After = None, limit: Limit = 50) -> Response:
        found = await act(services, "crons.list")
        return listed(request, paged(found["items"], lambda one: f"{one['namespace']}/{one['name']}", cursor, limit))

    @api.get("/api/v1/crons/{name}", responses=answers(CronSeen))
    async def show_cron(name: str, namespace: Namespace = None) -> Response:
        return shown(await act(services, "crons.show", name, namespace))

    @api.post("/api/v1/crons/{name}/suspend", responses=answers(Cron))
    async def suspend_cron(name: str, how: SuspendBody | None = None, namespace: Namespace = None) -> Response:
        return shown(await act(services, "crons.suspend", name, namespace, (how or SuspendBody()).by))

    @api.post("/api/v1/crons/{name}/resume", responses=answers(Cron))
    async def resume_cron(name: str, namespace: Namespace = None) -> Response:
        return shown(await act(services, "crons.resume", name, namespace))

    @api.post("/api/v1/crons/{name}/run", responses=answers(RunMade))
    async def run_cron(name: str, how: StartBody | None = None, namespace: Namespace = None) -> Response:
        return shown(await act(services, "crons.run", name, namespace, (how or StartBody()).parameters))
