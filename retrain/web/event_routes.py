"""The API's routes of events."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.sensing.answers import whole_answer
from retrain.app.sensing.case_files import case_file, sensor_item
from retrain.app.sensing.event_filters import EventWish, event_filter
from retrain.app.services import Services
from retrain.errors import ConfigError
from retrain.web.access import principal
from retrain.web.argo_events import ArgoEvents
from retrain.web.asking import After, Limit, act, listed, read_words, shown
from retrain.web.intake import Intake
from retrain.web.openapi import answers, takes
from retrain.web.room import Room
from retrain.web.shapes.asked import AgainBody
from retrain.web.shapes.events import EmittedAgain, EventPage, EventSeen, Nothing, Taken
from retrain.web.shapes.intake import ARGO_INTAKE, INTAKE
from retrain.web.tail import STREAM, Tail

MOST = 2**63 - 1
SensorName = Annotated[str, Query(description="The name of a sensor")]
Source = Annotated[str | None, Query(description="The source, whole")]
Subject = Annotated[str | None, Query(description="The subject, whole")]
Type = Annotated[str | None, Query(description="The type, whole")]
Text = Annotated[str | None, Query(description="What is looked for in newer events")]
Since = Annotated[str | None, Query(description="Arrived since then: a time, or how long ago (2h)")]
Until = Annotated[str | None, Query(description="Arrived before then: a time, or how long ago (1h)")]
Decided = Annotated[str | None, Query(description="How some sensor decided: fired, filtered, waiting, unmatched, ...")]
Position = Annotated[int | None, Query(ge=0, le=MOST, description="A position of the log; left out: its end")]
LastId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=MOST, description="The `id` heard last")]


def add_event_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""
    _intake(api, services)

    @api.get("/api/v1/events", responses=answers(EventPage))
    async def list_events(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        source: Source = None,
        subject: Subject = None,
        type: Type = None,
        text: Text = None,
        since: Since = None,
        until: Until = None,
        outcome: Decided = None,
        cursor: After = None,
        limit: Limit = 50,
    ) -> Response:
        words = (source, subject, type, text, since, until, outcome)
        which = event_filter(EventWish(*(word or "" for word in words)), services.clock.now())
        return listed(request, await services.ask(queries.list_events, which, cursor, limit))

    @api.get("/api/v1/events/tail", response_class=Tail, status_code=200, responses=STREAM)
    async def tail_events(after: Position = None, last_id: LastId = None) -> Tail:
        wanted = last_id if last_id is not None else after
        return Tail(services, wanted if wanted is not None else (await services.bus.bounds()).last)

    @api.get("/api/v1/event", responses=answers(EventSeen))
    async def show_event(id: Annotated[str, Query(description="An id, a key or an object")]) -> Response:
        models = [one.model for one in services.sensing.items()]
        return shown(await services.ask(whole_answer, id, models))

    _once_more(api, services)


def _once_more(api: FastAPI, services: Services) -> None:
    @api.get(
        "/api/v1/event/case",
        response_class=Response,
        responses=answers(of="text/yaml", text="A file of cases for `retrain sensors test`"),
    )
    async def show_case(id: Annotated[str, Query(description="An id or a key")], sensor: SensorName) -> Response:
        item = sensor_item(services.sensing.items(), sensor)
        return Response(await services.ask(case_file, id, item), media_type="text/yaml")

    @api.post("/api/v1/event/again", responses=answers(EmittedAgain), openapi_extra=takes(AgainBody, needed=True))
    async def emit_again(request: Request) -> Response:
        words = await read_words(request)
        if not words.get("id") or words.keys() - {"id", "reason", "actor"}:
            raise ConfigError("say which event (id, which is its id or key), and reason and actor if you like")
        by = principal(request.scope, words.get("actor", ""))
        return shown(await act(services, "events.again", words["id"], by=by, reason=words.get("reason", "")))


def _intake(api: FastAPI, services: Services) -> None:
    """What takes events in. The door goes there by itself; these are the same two on the long way."""

    @api.post("/api/v1/events", status_code=202, responses=answers(Taken, status=202), openapi_extra=INTAKE)
    async def send_events() -> Room:
        return Room(Intake(services.bus, services.clock, services.settings.server.max_body))

    @api.post("/api/v1/events/{namespace}/{discriminator}", responses=answers(Nothing), openapi_extra=ARGO_INTAKE)
    async def send_argo_event(namespace: str, discriminator: str) -> Room:
        del namespace, discriminator  # it reads them itself
        return Room(ArgoEvents(services.bus, services.clock, services.settings.server.max_body))
