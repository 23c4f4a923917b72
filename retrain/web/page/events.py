"""Views of events and firings, and what becomes of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app import queries
from retrain.app.answers import answers
from retrain.store.events import EventFilter
from retrain.store.firings import FiringFilter, FiringState
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, event_key
from retrain.web.run_routes import Cursor, Limit

LONGEST_CURL = 20_000
"""Letters of an event that is offered as a command."""


def add_event_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    ask = frame.services.ask

    @page.get("/ui/events")
    async def events(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        source: str = "",
        subject: str = "",
        type: str = "",
        text: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        which = EventFilter(source or None, subject or None, type or None, text or None)
        found = await ask(queries.list_events, which, cursor, limit)
        said = await ask(answers, [event_key(one) for one in found["items"]])
        more = {"which": which, "answers": said, "filtered": which != EventFilter(), **found}
        return frame.show(request, View("events.html", "Events", _events(which), ["events"]), **more)

    @page.get("/ui/event")
    async def event(request: Request, id: str) -> Response:
        found = await ask(queries.show_event, id)
        heard = {one["sensor"] for one in found["decisions"]}
        silent = [one["name"] for one in frame.services.sensing.rows() if one["name"] not in heard]
        title = f"Event {found['event']['id']}"
        more = {"silent": silent, "curl": _curl(frame, request, found["event"]), **found}
        said = command("events", "show", id)
        return frame.show(request, View("event.html", title, said, ["sensors", "firings"]), **more)

    @page.get("/ui/firings")
    async def firings(
        request: Request, sensor: str = "", state: str = "", cursor: Cursor = None, limit: Limit = 50
    ) -> Response:
        which = FiringFilter(sensor or None, state or None)
        found = await ask(queries.list_firings, which, cursor, limit)
        said = command("firings", "list", *_given(sensor=sensor, state=state))
        more = {"which": which, "states": [one.value for one in FiringState], **found}
        return frame.show(request, View("firings.html", "Firings", said, ["firings"]), **more)

    @page.get("/ui/firing")
    async def firing(request: Request, id: str) -> Response:
        found = await ask(queries.show_firing, id)
        said = command("firings", "show", id)
        return frame.show(request, View("firing.html", f"Firing {id}", said, ["firings"]), one=found)


def _events(which: EventFilter) -> str:
    given = _given(source=which.source, subject=which.subject, type=which.type, text=which.text)
    return command("events", "list", *given)


def _given(**words: str | None) -> list[str]:
    return [part for name, value in words.items() if value for part in (f"--{name}", value)]


def _curl(frame: Frame, request: Request, event: Mapping[str, Any]) -> str:
    """The event as a command that sends it once more; "" where it is long, or the platform's own."""
    body = orjson.dumps({name: one for name, one in event.items() if name == "retrainobject" or "retrain" not in name})
    if event["source"] == "retrain" or len(body) > LONGEST_CURL:
        return ""
    token = ' -H "Authorization: Bearer $RETRAIN_SERVER_TOKEN"' if frame.access.wanted else ""
    url = shlex.quote(f"{request.url.scheme}://{request.url.netloc}/api/v1/events")
    kind = "-H 'Content-Type: application/cloudevents+json'"
    return f"curl {url}{token} {kind} -d {shlex.quote(body.decode())}"
