"""What people do to runs at the page: forms, each of which asks for the action that the API asks for."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app import queries
from retrain.web.page.acts import act
from retrain.web.page.forms import read_form
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

    @page.post("/ui/runs/{verb}")
    async def run(request: Request, verb: Literal["stop", "suspend", "resume", "retry", "resubmit"]) -> Response:
        form = await read_form(frame.sessions, request)
        row = await frame.services.ask(queries.find_run, form.need("id"))
        words = [REQUESTS[verb]()] if verb in REQUESTS else []
        made = await act(frame, f"runs.{verb}", row, *words)
        return see(path("run", made.name if verb == "resubmit" else row.name))
