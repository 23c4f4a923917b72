"""What people do at the page: forms, each of which asks for the action that the API asks for, as the same person."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app import queries
from retrain.errors import NotFound
from retrain.identity import Principal
from retrain.web.access import principal
from retrain.web.page.forms import Fields, read_form
from retrain.web.page.frame import Frame, see
from retrain.web.page.words import path
from retrain.web.run_bodies import ResubmitBody, ResumeBody, RetryBody, StopBody

REQUESTS: dict[str, Any] = {
    "stop": lambda: StopBody().request(),
    "resume": lambda: ResumeBody().request(),
    "retry": lambda: RetryBody().options(),
    "resubmit": lambda: ResubmitBody().options(),
}
"""What an action on a run is told beside the run."""


def add_forms(page: FastAPI, frame: Frame) -> None:
    """Add their routes. Who may what, the door says before; whose word counts, the desk."""
    _on_promotions(page, frame)

    @page.post("/ui/runs/{verb}")
    async def run(request: Request, verb: Literal["stop", "suspend", "resume", "retry", "resubmit"]) -> Response:
        form = await read_form(frame.sessions, request)
        row = await frame.services.ask(queries.find_run, form.need("id"))
        words = [REQUESTS[verb]()] if verb in REQUESTS else []
        made = await _act(frame, f"runs.{verb}", row, *words)
        return see(path("run", made.name if verb == "resubmit" else row.name))

    @page.post("/ui/deadletters/redrive")
    async def redrive(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        found = await _act(frame, "deadletters.redrive", form.need("id"))
        return see(path("firing", found["firing"]))


def _on_promotions(page: FastAPI, frame: Frame) -> None:
    @page.post("/ui/promotions/approve")
    async def approve(request: Request) -> Response:
        form = await read_form(frame.sessions, request)
        # What was looked at, and nothing else, is approved.
        more = {**_said(request, form), "subject": form.need("subject")}
        found = await _act(frame, "promotions.approve", form.need("id"), **more)
        return see(path("promotion", found["id"]))

    @page.post("/ui/promotions/{verb}")
    async def decide(request: Request, verb: Literal["reject", "retry"]) -> Response:
        form = await read_form(frame.sessions, request)
        found = await _act(frame, f"promotions.{verb}", form.need("id"), **_said(request, form))
        return see(path("promotion", found["id"]))

    @page.post("/ui/targets/{verb}")
    async def target(request: Request, verb: Literal["rollback", "hold", "release"]) -> Response:
        form = await read_form(frame.sessions, request)
        name, _, environment = form.need("id").partition("/")
        words = {"environment": environment, **_said(request, form)}
        found = await _act(frame, f"promotions.{verb}", name, **words)
        return see(path("promotion", found["id"]) if verb == "rollback" else "/ui/promotions")


def _said(request: Request, form: Fields) -> dict[str, str | Principal]:
    """Who says so, and why."""
    return {"by": principal(request.scope, form.get("actor", "").strip()), "reason": form.need("reason")[:2000]}


async def _act(frame: Frame, name: str, *words: Any, **more: Any) -> Any:
    action = frame.services.actions.get(name)
    if action is None:
        raise NotFound(f"{name}: this process of the platform cannot do that")
    return await action(*words, **more)
