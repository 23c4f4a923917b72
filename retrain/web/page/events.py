"""Views of events: the log, one event with every sensor's answer, and the event as a case."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.sensing.again import REPLAY_OF
from retrain.app.sensing.answers import answers, fired_of, whole_answer
from retrain.app.sensing.case_files import case_file, sensor_item
from retrain.app.sensing.event_filters import OUTCOMES, EventWish, event_filter
from retrain.web.asking import Cursor, Limit
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, event_key, given

LONGEST_CURL = 20_000
"""Letters of an event that is offered as a command."""
SILENT = 20
"""Sensors whose silence is told; of more, those nearest to the event."""


def add_event_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, ask = frame.services, frame.services.ask

    @page.get("/ui/events")
    async def events(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        source: str = "",
        subject: str = "",
        type: str = "",
        text: str = "",
        since: str = "",
        until: str = "",
        outcome: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        wish = EventWish(source, subject, type, text, since, until, outcome)
        found = await ask(queries.list_events, event_filter(wish, services.clock.now()), cursor, limit)
        keys = [event_key(one) for one in found["items"]]
        said = {"answers": await ask(answers, keys), "fired": await ask(fired_of, keys)}
        more = {"which": wish, "words": wish.words, "outcomes": OUTCOMES, **said, **found}
        return frame.show(request, View("events.html", "Events", _command(wish), ["events"]), **more)

    @page.get("/ui/event")
    async def event(request: Request, id: str) -> Response:
        items = services.sensing.items()
        found = await ask(whole_answer, id, [one.model for one in items])
        more = {
            "curl": _curl(frame, request, found["event"]),
            "operates": frame.who(request).may("operator") and found["event"]["source"] != "retrain",
            "replay_of": found["event"].get(REPLAY_OF),
            "cases": _cases(found, {one.model.name for one in items}),
            "most_silent": SILENT,
        }
        view = View(
            "event.html", f"Event {found['event']['id']}", command("events", "show", id), ["sensors", "firings"]
        )
        return frame.show(request, view, **more, **found)

    @page.get("/ui/event/case")
    async def case(id: str, sensor: str) -> Response:
        text = await ask(case_file, id, sensor_item(services.sensing.items(), sensor))
        return as_file(text, f"{sensor}.test.yaml")


def as_file(text: str, name: str) -> Response:
    """A text as a file that a browser keeps, and does not show."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)[:120]
    headers = {"Content-Disposition": f'attachment; filename="{plain}"'}
    return Response(text, media_type="application/yaml", headers=headers)


def _cases(found: Mapping[str, Any], known: set[str]) -> list[str]:
    """Sensors of this project that the event concerns: those that decided, and those that ask for it now."""
    decided = [one["sensor"] for one in found["decisions"]]
    asking = [one["sensor"] for one in found["silent"] if one["asks"]]
    return [name for name in dict.fromkeys([*decided, *asking]) if name in known]


def _command(wish: EventWish) -> str:
    words = dict(wish.words)
    words = {"name" if word == "subject" else word: value for word, value in words.items()}
    return command("events", "list", *given(**words))


def _curl(frame: Frame, request: Request, event: Mapping[str, Any]) -> str:
    """The event as a command that sends it once more; "" where it is long, or the platform's own."""
    body = orjson.dumps({name: one for name, one in event.items() if name == "retrainobject" or "retrain" not in name})
    if event["source"] == "retrain" or len(body) > LONGEST_CURL:
        return ""
    token = ' -H "Authorization: Bearer $RETRAIN_SERVER_TOKEN"' if frame.access.wanted else ""
    url = shlex.quote(f"{request.url.scheme}://{request.url.netloc}/api/v1/events")
    kind = "-H 'Content-Type: application/cloudevents+json'"
    return f"curl {url}{token} {kind} -d {shlex.quote(body.decode())}"
