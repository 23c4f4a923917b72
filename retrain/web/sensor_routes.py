"""The API's routes of sources and sensors."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.looking.paging import paged
from retrain.app.sensing.answers import decisions_page
from retrain.app.sensing.replaying import read_request, replay_aside
from retrain.app.sensing.sensor_graph import part_of, show_graph
from retrain.app.sensing.source_view import show_source
from retrain.app.services import Services
from retrain.store.decisions import DecisionFilter
from retrain.web.asking import After, Limit, listed, read_words, sealed, shown
from retrain.web.openapi import answers, takes
from retrain.web.shapes.asked import ReplayBody
from retrain.web.shapes.sensors import (
    RemovedPage,
    Replayed,
    SensorGraph,
    SensorPage,
    SensorSeen,
    SourcePage,
    SourceSeen,
)

Outcome = Annotated[str | None, Query(description="Of decisions: their outcome")]
Trigger = Annotated[str | None, Query(description="Of decisions: the trigger that they are of")]
Key = Annotated[str | None, Query(description="Of decisions: the key that they are of")]


def add_sensor_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""
    _around(api, services)

    @api.get("/api/v1/sources", responses=answers(SourcePage))
    async def list_sources(request: Request, cursor: After = None, limit: Limit = 50) -> Response:
        rows = services.sources()
        return listed(request, paged(rows, lambda one: f"{one['source']}/{one['event']}", cursor, limit))

    @api.get("/api/v1/sensors", responses=answers(SensorPage))
    async def list_sensors(request: Request, cursor: After = None, limit: Limit = 50) -> Response:
        return listed(request, paged(services.sensing.rows(), lambda one: one["name"], cursor, limit))

    @api.get("/api/v1/removed", responses=answers(RemovedPage))
    async def list_removed(request: Request, cursor: After = None, limit: Limit = 50) -> Response:
        found = await services.sensing.removed()
        return listed(request, paged(found["items"], lambda one: one["name"], cursor, limit))

    @api.get("/api/v1/sensors/{name}", responses=answers(SensorSeen))
    async def show_sensor(  # noqa: PLR0913 - one for each word of the query
        name: str,
        limit: Limit = 50,
        cursor: After = None,
        older: After = None,
        outcome: Outcome = None,
        trigger: Trigger = None,
        key: Key = None,
    ) -> Response:
        found = await services.sensing.show(name, cursor, limit)
        which = DecisionFilter(outcome, trigger, key)
        decided = await services.ask(decisions_page, name, which, older, limit)
        memory = await services.ask(queries.sensor_memory, name)
        more = {"memory": memory, "decisions": decided["items"], "decisionsNext": decided["next"]}
        return shown(sealed({**found, **more}, "decisionsNext"))

    @api.post("/api/v1/sensors/replay", responses=answers(Replayed), openapi_extra=takes(ReplayBody, needed=True))
    async def replay_sensor(request: Request) -> Response:
        wanted = read_request(await read_words(request))
        items, now = services.sensing.items(), services.clock.now()
        return shown(await replay_aside(services.store.path, wanted, items, now))


def _around(api: FastAPI, services: Services) -> None:
    """What leads to sensors, and what they lead to."""

    @api.get("/api/v1/graph", responses=answers(SensorGraph))
    async def show_sensor_graph(
        q: Annotated[str, Query(description="What names have in them")] = "",
        near: Annotated[str, Query(description="The id of a node: it, what leads to it, and what it leads to")] = "",
    ) -> Response:
        now = services.clock.now()
        whole = await services.ask(show_graph, services.manifests(), services.sources(), now)
        return shown(part_of(whole, q, near).to_json())

    @api.get("/api/v1/sources/{name}", responses=answers(SourceSeen))
    async def show_one_source(name: str) -> Response:
        now = services.clock.now()
        return shown(await services.ask(show_source, name, services.sources(), services.manifests(), now))
