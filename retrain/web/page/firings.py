"""Views of firings: what sensors set off, what became of it, and what is held back until somebody approves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.sensing.answers import names_of
from retrain.app.sensing.event_filters import FiringWish, firing_filter
from retrain.errors import NotFound
from retrain.store.firings import FiringState
from retrain.web.asking import Cursor, Limit
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, given

SHOWN = 100
"""Events of one firing that are named."""


def add_firing_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    ask, sensing = frame.services.ask, frame.services.sensing

    @page.get("/ui/firings")
    async def firings(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        sensor: str = "",
        trigger: str = "",
        key: str = "",
        state: str = "",
        since: str = "",
        until: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        wish = FiringWish(sensor, trigger, key, state, since, until)
        which = firing_filter(wish, frame.services.clock.now())
        found = await ask(queries.list_firings, which, cursor, limit)
        held = [] if cursor else [one for one in await sensing.held() if _fits(one, wish)]
        more = {"which": wish, "words": wish.words, "states": [one.value for one in FiringState], "held": held, **found}
        said = command("firings", "list", *given(**wish.words))
        return frame.show(request, View("firings.html", "Firings", said, ["firings", "sensors"]), **more)

    @page.get("/ui/firing")
    async def firing(request: Request, id: str) -> Response:
        try:
            found = await ask(queries.show_firing, id)
        except NotFound:
            return await _held(frame, request, id)
        names = await ask(names_of, found["events"][:SHOWN])
        said = command("firings", "show", id)
        view = View("firing.html", f"Firing {id}", said, ["firings"])
        return frame.show(request, view, one=found, names=names, shown=SHOWN)


async def _held(frame: Frame, request: Request, id: str) -> Response:
    """A firing that is not one yet: it is held back."""
    found = next((one for one in await frame.services.sensing.held() if one["firing"] == id), None)
    if found is None:
        raise NotFound(f"{id}: no such firing; `retrain firings list` shows the ids")
    approves = frame.who(request).may("approver")
    view = View("held.html", f"Firing {id}", command("firings", "held"), ["sensors", "firings"])
    return frame.show(request, view, one=found, approves=approves)


def _fits(one: Mapping[str, Any], wish: FiringWish) -> bool:
    """Whether what is held is among what is asked for; it has no state of a firing yet."""
    asked = (wish.sensor, one["sensor"]), (wish.trigger, one["trigger"]), (wish.key, one["key"])
    return not (wish.state or wish.since or wish.until) and all(said in ("", known) for said, known in asked)
