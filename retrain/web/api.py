"""The API behind the door: one short route for each thing; what it answers comes from `retrain.app.queries`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse

from retrain import __version__
from retrain.app import gate_pictures, queries
from retrain.app.finding import find
from retrain.app.overview import overview
from retrain.app.parts import PartState, ready
from retrain.app.replaying import read_request, replay_aside
from retrain.app.services import Services
from retrain.app.trace import trace
from retrain.errors import ConfigError, NotFound, RetrainError, Transient
from retrain.store.decisions import DecisionFilter
from retrain.store.events import EventFilter
from retrain.store.firings import FiringFilter
from retrain.store.promotions import PromotionFilter
from retrain.web import metrics
from retrain.web.access import principal
from retrain.web.cron_routes import add_cron_routes
from retrain.web.errors import status_of
from retrain.web.openapi import describe
from retrain.web.run_routes import Cursor, Limit, add_run_routes
from retrain.web.tail import Tail

PICTURE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}
"""Of a picture whose words came from outside: opened by itself it runs nothing and loads nothing."""

EVENTS_AT_ONCE = 500
"""Events of a firing that are in memory at once."""


def create_api(services: Services) -> FastAPI:
    """The API of a running platform."""
    api = FastAPI(title="Retrain", version=__version__, docs_url=None, redoc_url=None)
    api.add_exception_handler(RetrainError, _complain)
    _health(api, services)
    _events(api, services)
    _sensors(api, services)
    act = partial(_act, services)
    add_run_routes(api, services, act)
    add_cron_routes(api, act)
    _promotions(api, services)
    _rest(api, services)
    describe(api)
    return api


async def _complain(_request: Request, error: Exception) -> Response:
    return Response(orjson.dumps({"error": str(error)}), status_of(error), media_type="application/json")


def _health(api: FastAPI, services: Services) -> None:
    @api.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @api.get("/readyz", include_in_schema=False)
    async def readyz(response: Response) -> dict[str, Any]:
        states = [await _store_state(services), *services.states()]
        response.status_code = 200 if ready(states) else 503
        parts = [{"name": s.name, "ready": s.ready, "waitingFor": s.waiting_for} for s in states]
        return {"status": "ready" if ready(states) else "waiting", "parts": parts}

    @api.get("/metrics", include_in_schema=False)
    async def metrics_page() -> Response:
        return Response(await metrics.page(services), media_type=metrics.CONTENT_TYPE)


async def _store_state(services: Services) -> PartState:
    try:
        await services.ask(queries.log_cursor)
    except Transient as error:
        return PartState("store", ready=False, waiting_for=str(error), vital=True)
    return PartState("store", ready=True, vital=True)


def _events(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/events")
    async def list_events(
        source: str | None = None,
        subject: str | None = None,
        type: str | None = None,
        text: str | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        which = EventFilter(source, subject, type, text)
        return await services.ask(queries.list_events, which, cursor, limit)

    @api.get("/api/v1/events/tail", response_class=Tail, status_code=200)
    async def tail_events(after: Annotated[int | None, Query(ge=0)] = None) -> Tail:
        return Tail(services, after if after is not None else (await services.bus.bounds()).last)

    @api.get("/api/v1/event")
    async def show_event(id: str) -> dict[str, Any]:
        return await services.ask(queries.show_event, id)


def _sensors(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/sources")
    async def list_sources() -> dict[str, Any]:
        return {"items": services.sources(), "next": None}

    @api.get("/api/v1/sensors")
    async def list_sensors() -> dict[str, Any]:
        return {"items": services.sensing.rows(), "next": None}

    @api.get("/api/v1/removed")
    async def list_removed() -> dict[str, Any]:
        return await services.sensing.removed()

    @api.get("/api/v1/sensors/{name}")
    async def show_sensor(
        name: str,
        limit: Limit = 50,
        cursor: Cursor = None,
        outcome: str | None = None,
        trigger: str | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        found = await services.sensing.show(name, cursor, limit)
        which = DecisionFilter(outcome, trigger, key)
        decided = await services.ask(queries.list_decisions, name, limit, which)
        return {**found, "memory": await services.ask(queries.sensor_memory, name), "decisions": decided}

    @api.post("/api/v1/sensors/replay")
    async def replay_sensor(request: Request) -> dict[str, Any]:
        wanted = read_request(await _words(request))
        return await replay_aside(services.store.path, wanted, services.sensing.items(), services.clock.now())

    @api.get("/api/v1/firings")
    async def list_firings(
        sensor: str | None = None, state: str | None = None, cursor: Cursor = None, limit: Limit = 50
    ) -> dict[str, Any]:
        return await services.ask(queries.list_firings, FiringFilter(sensor, state), cursor, limit)

    @api.get("/api/v1/firings/{firing_id}")
    async def show_firing(firing_id: str) -> dict[str, Any]:
        return await services.ask(queries.show_firing, firing_id)

    @api.get("/api/v1/firings/{firing_id}/events", response_class=Response)
    async def firing_events(firing_id: str) -> StreamingResponse:
        keys = await services.ask(queries.keys_of_firing, firing_id)
        return StreamingResponse(_event_lines(services, keys), media_type="application/x-ndjson")

    @api.post("/api/v1/firings/{firing_id}/{verdict}")
    async def answer_firing(firing_id: str, verdict: Literal["approve", "reject"], request: Request) -> Any:
        words = {"reason": "", "actor": "api", **await _words(request)}
        return await _act(services, f"firings.{verdict}", firing_id, **words)


def _promotions(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/promotions")
    async def list_promotions(
        name: str | None = None,
        environment: str | None = None,
        state: str | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        which = PromotionFilter(name, environment, state)
        return await services.ask(queries.list_promotions, which, cursor, limit)

    @api.get("/api/v1/holds")
    async def list_holds() -> dict[str, Any]:
        return await services.ask(queries.list_holds)

    @api.get("/api/v1/promotions/{name}")
    async def show_promotion(name: str) -> dict[str, Any]:
        return await services.ask(queries.show_promotion, name)

    @api.get("/api/v1/promotions/{name}/gates.svg", response_class=Response)
    async def picture_of_gates(name: str) -> Response:
        found = await services.ask(queries.show_promotion, name)
        picture = gate_pictures.svg(found["candidate"])
        if picture is None:
            raise NotFound(f"{name}: its run gave neither curves nor slices to draw (evaluation.curves, .slices)")
        return Response(picture, media_type="image/svg+xml", headers=PICTURE)

    @api.post("/api/v1/promotions/{name}/{verb}")
    async def act_on_promotion(name: str, verb: str, request: Request) -> Any:
        words = await _words(request)
        if "by" in words:
            raise ConfigError("`by` is not yours to say: a token of your own says it, or `actor`")
        by = principal(request.scope, words.pop("actor", ""))
        return await _act(services, f"promotions.{verb}", name, by=by, **words)

    @api.get("/api/v1/audit")
    async def list_deeds(subject: str | None = None, cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
        return await services.ask(queries.list_deeds, subject, cursor, limit)


def _rest(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/overview")
    async def show_overview() -> dict[str, Any]:
        return await services.ask(overview, services.clock.now())

    @api.get("/api/v1/find")
    async def find_thing(q: str) -> dict[str, Any]:
        return await services.ask(find, q, [row["name"] for row in services.sensing.rows()])

    @api.get("/api/v1/trace")
    async def show_trace(id: str) -> dict[str, Any]:
        return (await services.ask(trace, id)).to_json()

    @api.get("/api/v1/deadletters")
    async def list_deadletters(cursor: Cursor = None, limit: Limit = 50) -> dict[str, Any]:
        return await services.ask(queries.list_deadletters, cursor, limit)

    @api.get("/api/v1/deadletters/{letter_id}")
    async def show_deadletter(letter_id: str) -> dict[str, Any]:
        return queries.deadletter(await services.ask(queries.dead_letter, letter_id))

    @api.get("/api/v1/deadletters/{letter_id}/body")
    async def deadletter_body(letter_id: str) -> Response:
        body = (await services.ask(queries.dead_letter, letter_id)).body
        # Whatever it is, a browser keeps it and does not show it: it came from outside.
        return Response(body, media_type="application/octet-stream", headers={"Content-Disposition": "attachment"})

    @api.post("/api/v1/reload")
    async def reload() -> Any:
        return await _act(services, "project.reload")

    @api.post("/api/v1/deadletters/{letter_id}/redrive")
    async def redrive(letter_id: str) -> Any:
        return await _act(services, "deadletters.redrive", letter_id)


async def _event_lines(services: Services, keys: Sequence[str]) -> AsyncIterator[bytes]:
    """Events one a line, few at a time in memory however many there are."""
    for start in range(0, len(keys), EVENTS_AT_ONCE):
        yield b"".join(await services.ask(queries.event_lines, keys[start : start + EVENTS_AT_ONCE]))


async def _act(services: Services, name: str, *words: Any, **more: Any) -> Any:
    action = services.actions.get(name)
    if action is None:
        known = ", ".join(sorted(services.actions))
        raise NotFound(f"{name}: there is no such action here; there are {known}")
    try:
        inspect.signature(action).bind(*words, **more)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from None
    return await action(*words, **more)


async def _words(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. JSON only: a form could be sent by any page that a browser shows."""
    body = await request.body()
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ConfigError("send application/json")
    try:
        words = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"the body is not JSON: {error}") from error
    if not isinstance(words, dict) or not all(isinstance(value, str) for value in words.values()):
        raise ConfigError("the body must be a JSON object of texts")
    return words
