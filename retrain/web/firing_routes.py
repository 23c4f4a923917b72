"""The API's routes of firings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from retrain.app.looking import queries
from retrain.app.sensing.event_filters import FiringWish, firing_filter
from retrain.app.services import Services
from retrain.errors import NotFound
from retrain.web.asking import After, Limit, act, listed, read_words, shown
from retrain.web.openapi import answers, takes
from retrain.web.shapes.asked import VerdictBody
from retrain.web.shapes.events import FiringAnswered, FiringPage, FiringSeen, HeldPage

EVENTS_AT_ONCE = 500
"""Events of a firing that are in memory at once."""
LINES = "application/x-ndjson"
VERDICTS = ("approve", "reject")
Verdict = Annotated[str, Path(json_schema_extra={"enum": list(VERDICTS)}, description="What is answered")]
Sensor = Annotated[str | None, Query(description="The name of a sensor")]
Trigger = Annotated[str | None, Query(description="The name of a trigger")]
Key = Annotated[str | None, Query(description="The key that it fired for")]
Since = Annotated[str | None, Query(description="Made since then: a time, or how long ago (2h)")]
Until = Annotated[str | None, Query(description="Made before then: a time, or how long ago (1h)")]
State = Annotated[str | None, Query(description="pending, running, done, dead, shadow, ...")]


def add_firing_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/firings", responses=answers(FiringPage))
    async def list_firings(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        sensor: Sensor = None,
        trigger: Trigger = None,
        key: Key = None,
        state: State = None,
        since: Since = None,
        until: Until = None,
        cursor: After = None,
        limit: Limit = 50,
    ) -> Response:
        words = (sensor, trigger, key, state, since, until)
        which = firing_filter(FiringWish(*(word or "" for word in words)), services.clock.now())
        return listed(request, await services.ask(queries.list_firings, which, cursor, limit))

    @api.get("/api/v1/held", responses=answers(HeldPage))
    async def list_held(request: Request) -> Response:
        return listed(request, {"items": await services.sensing.held(), "next": None})

    @api.get("/api/v1/firings/{firing_id}", responses=answers(FiringSeen))
    async def show_firing(firing_id: str) -> Response:
        return shown(await services.ask(queries.show_firing, firing_id))

    @api.get(
        "/api/v1/firings/{firing_id}/events",
        response_class=Response,
        responses=answers(of=LINES, text="Its events, one JSON object a line"),
    )
    async def firing_events(firing_id: str) -> StreamingResponse:
        keys = await services.ask(queries.keys_of_firing, firing_id)
        return StreamingResponse(_event_lines(services, keys), media_type=LINES)

    @api.post(
        "/api/v1/firings/{firing_id}/{verdict}", responses=answers(FiringAnswered), openapi_extra=takes(VerdictBody)
    )
    async def answer_firing(firing_id: str, verdict: Verdict, request: Request) -> Response:
        if verdict not in VERDICTS:
            raise NotFound(f"firings.{verdict}: there is no such action; there are {', '.join(VERDICTS)}")
        words = {"reason": "", "actor": "api", **await read_words(request)}
        return shown(await act(services, f"firings.{verdict}", firing_id, **words))


async def _event_lines(services: Services, keys: Sequence[str]) -> AsyncIterator[bytes]:
    """Events one a line, few at a time in memory however many there are."""
    for start in range(0, len(keys), EVENTS_AT_ONCE):
        yield b"".join(await services.ask(queries.event_lines, keys[start : start + EVENTS_AT_ONCE]))
