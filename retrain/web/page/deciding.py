"""Forms of promotions, models and dead letters. Whose word counts, the desk says."""

from __future__ import annotations

from typing import Literal

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.promotions.planning import candidate_of
from retrain.errors import ConfigError
from retrain.web.page.acts import act, said, speaker
from retrain.web.page.forms import Fields, read_form
from retrain.web.page.frame import Frame, View, see
from retrain.web.page.words import path, query

GATE = "gate:"
"""What the name of a gate's box begins with."""
WORDS = ("kind", "origin", "text", "since", "until", "state")
"""What letters are chosen by."""


def add_decisions(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    _on_promotions(page, frame)
    _on_targets(page, frame)
    _on_letters(page, frame)


def _on_promotions(page: FastAPI, frame: Frame) -> None:
    @page.post("/ui/promotions/approve")
    async def approve(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        # What was looked at, and nothing else, is approved.
        more = {**said(request, form), "subject": form.need("subject")}
        found = await act(frame, "promotions.approve", form.need("id"), **more)
        return see(path("promotion", found["id"]))

    @page.post("/ui/promotions/waive")
    async def waive(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        words = {"gates": orjson.dumps(chosen(form)).decode(), "lasts": form.get("for", "").strip()}
        found = await act(frame, "promotions.waive", form.need("id"), **said(request, form), **words)
        return see(path("promotion", found["id"]))

    @page.post("/ui/promotions/{verb}")
    async def decide(request: Request, verb: Literal["reject", "retry"]) -> Response:
        form = await read_form(frame.sessions, request)
        found = await act(frame, f"promotions.{verb}", form.need("id"), **said(request, form))
        return see(path("promotion", found["id"]))


def chosen(form: Fields) -> list[str]:
    """The gates whose boxes are ticked. Pure.

    Raises:
        ConfigError: none is.
    """
    gates = [name.removeprefix(GATE) for name in form if name.startswith(GATE)]
    if not gates:
        raise ConfigError("choose the gates that are waived")
    return gates


def _on_targets(page: FastAPI, frame: Frame) -> None:
    @page.post("/ui/targets/propose")
    async def propose(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        run = await frame.services.ask(queries.show_run, form.need("run"))
        candidate = orjson.dumps(candidate_of(run)).decode()
        by = speaker(request, form)
        found = await act(frame, "promotions.propose", form.need("id"), by=by, candidate=candidate)
        return see(path("promotion", found["id"]))

    @page.post("/ui/targets/{verb}")
    async def target(request: Request, verb: Literal["rollback", "hold", "release"]) -> Response:
        form = await read_form(frame.sessions, request)
        name, _, environment = form.need("id").rpartition("/")
        words = {"environment": environment, **said(request, form)}
        found = await act(frame, f"promotions.{verb}", name, **words)
        return see(path("promotion", found["id"]) if verb == "rollback" else path("model", name))


def _on_letters(page: FastAPI, frame: Frame) -> None:
    @page.post("/ui/deadletters/redrive")
    async def redrive(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        found = await act(frame, "deadletters.redrive", form.need("id"), by=speaker(request, form))
        return see(path("firing", found["firing"]))

    @page.post("/ui/deadletters/redrive-all")
    async def redrive_all(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        words = {name: form[name] for name in WORDS if form.get(name)}
        found = await act(frame, "deadletters.redrive_all", **said(request, form), **words)
        following = query("/ui/deadletters/redrive", **words) if found["left"] else ""
        view = View("redriven.html", "Redriven")
        return frame.show(request, view, following=following, **found)
