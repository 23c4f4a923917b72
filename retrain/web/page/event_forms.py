"""Forms of events and firings: an event again, and a firing that waits for somebody's word."""

from __future__ import annotations

from typing import Literal

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.sensing.answers import names_of
from retrain.web.access import principal
from retrain.web.asking import act
from retrain.web.page.forms import Fields, read_form
from retrain.web.page.frame import Frame, see
from retrain.web.page.words import path

LONGEST = 2000
"""Letters of a reason."""
LOOKS, LOOK_S = 60, 0.05
"""How often it is looked whether the new event can be seen, and the seconds between."""


def add_event_forms(page: FastAPI, frame: Frame) -> None:
    """Add their routes. Who may what, the door says before."""

    @page.post("/ui/events/again")
    async def again(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        by, reason = principal(request.scope, _actor(form)), form.need("reason")[:LONGEST]
        made = await act(frame.services, "events.again", form.need("id"), by=by, reason=reason)
        return see(path("event", made["key"]) if await _is_read(frame, made["key"]) else "/ui/events")

    @page.post("/ui/firings/{verdict}")
    async def answer(request: Request, verdict: Literal["approve", "reject"]) -> Response:
        form = await read_form(frame.sessions, request)
        by, reason = principal(request.scope, _actor(form)), form.need("reason")[:LONGEST]
        said = await act(
            frame.services, f"firings.{verdict}", form.need("id"), reason=reason, actor=by.name or "shared token"
        )
        return see(path("sensor", said["sensor"]))


async def _is_read(frame: Frame, key: str) -> bool:
    """Whether the log has shown the event, which the bus has, within a moment. It shows it later else."""
    for _ in range(LOOKS):
        if await frame.services.ask(names_of, [key]):
            return True
        await anyio.sleep(LOOK_S)
    return False


def _actor(form: Fields) -> str:
    return form.get("actor", "").strip()[:200]
