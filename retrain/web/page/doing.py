"""What people do to runs at the page: forms to look at first, and the actions that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response

from pipelines.core.happenings import Resume, SetNodes, Stop
from pipelines.core.nodes import Outputs, Phase
from pipelines.host.control import ResubmitOptions, RetryOptions
from retrain.app.looking import queries
from retrain.app.runs.artifacts import node_of
from retrain.app.runs.values import parameters_of
from retrain.app.services import Services
from retrain.errors import ConfigError
from retrain.store.runs import OPEN, RunRow
from retrain.web.access import principal
from retrain.web.page.acts import act
from retrain.web.page.forms import Fields, read_form
from retrain.web.page.frame import Frame, View, see
from retrain.web.page.words import command, path

LONGEST = 4000
"""Letters of a parameter that can be changed in a form; a longer one stays as it is."""
PARAMETERS = 150
PREFIX, SUPPLIED = "p.", "o."
"""Before the names of parameters and of supplied outputs among the fields of a form."""


def add_forms(page: FastAPI, frame: Frame) -> None:
    """Add their routes. Who may what, the door and the action say."""
    _looked_at(page, frame)
    services = frame.services

    @page.post("/ui/runs/retry")
    async def retry(request: Request) -> Response:
        form, row = await _asked(request, frame)
        selector = await _selector(services, row, form) if form.get("node") else ""
        await act(frame, "runs.retry", row, RetryOptions(bool(selector), selector, changed(row, form)))
        return see(path("run", row.name))

    @page.post("/ui/runs/resubmit")
    async def resubmit(request: Request) -> Response:
        form, row = await _asked(request, frame)
        options = ResubmitOptions(parameters=changed(row, form), memoized=form.get("memoized") == "on")
        made = await act(frame, "runs.resubmit", row, options)
        return see(path("run", made.name))

    @page.post("/ui/runs/answer")
    async def answer(request: Request) -> Response:
        form, row = await _asked(request, frame)
        selector = await _selector(services, row, form)
        name, said = answered(form, selector, _name(request))
        await act(frame, name, row, said)
        return see(path("run", row.name))

    @page.post("/ui/runs/delete")
    async def delete(request: Request) -> Response:
        _, row = await _asked(request, frame)
        await act(frame, "runs.delete", row)
        return see("/ui/runs")

    @page.post("/ui/runs/{verb}")
    async def control(request: Request, verb: Literal["stop", "terminate", "suspend", "resume"]) -> Response:
        form, row = await _asked(request, frame)
        words = {"stop": [Stop("Stop", form.get("message", ""))], "resume": [Resume("", "", _name(request))]}
        await act(frame, f"runs.{verb}", row, *words.get(verb, []))
        return see(path("run", row.name))


def _looked_at(page: FastAPI, frame: Frame) -> None:
    services = frame.services

    @page.get("/ui/run/again")
    async def again(request: Request, name: str, verb: Literal["retry", "resubmit"], node: str = "") -> Response:
        row = await services.ask(queries.find_run, name)
        step = await services.ask(node_of, row, node) if node else None
        known = parameters_of(row)
        fields = {name: value for name, value in known.items() if len(value) <= LONGEST}
        fields = dict(list(fields.items())[:PARAMETERS])
        more = {"name": row.name, "id": row.id, "verb": verb, "step": step, "fields": fields, "phase": row.phase}
        more |= {"left": len(known) - len(fields), "prefix": PREFIX, "over": row.phase not in OPEN}
        more["operates"] = frame.who(request).may("operator")
        title = "Run again" if verb == "resubmit" else "Retry from a step" if step else "Retry what failed"
        return frame.show(request, View("again.html", f"{title}: {row.name}", command("runs", verb, row.name)), **more)

    @page.get("/ui/run/delete")
    async def sure(request: Request, name: str) -> Response:
        row = await services.ask(queries.find_run, name)
        more = {"name": row.name, "id": row.id, "over": row.phase not in OPEN, "phase": row.phase}
        more["operates"] = frame.who(request).may("operator")
        return frame.show(
            request, View("delete.html", f"Delete {row.name}", command("runs", "delete", row.name)), **more
        )


async def _asked(request: Request, frame: Frame) -> tuple[Fields, RunRow]:
    form = await read_form(frame.sessions, request)
    return form, await frame.services.ask(queries.find_run, form.need("id"))


async def _selector(services: Services, row: RunRow, form: Fields) -> str:
    """The node field selector for the step that a form names: its id, as it is in the run."""
    return f"id={(await services.ask(node_of, row, form.need('node')))['id']}"


def _name(request: Request) -> str:
    return principal(request.scope).name


def changed(row: RunRow, form: Mapping[str, str]) -> dict[str, str]:
    """The parameters that a form gives another value than they have. Pure."""
    now = parameters_of(row)
    given = {name.removeprefix(PREFIX): text for name, text in form.items() if name.startswith(PREFIX)}
    # A browser sends every line end as CR LF.
    plain = {name: text if "\r" in now.get(name, "") else text.replace("\r\n", "\n") for name, text in given.items()}
    return {name: text for name, text in plain.items() if text != now.get(name)}


def answered(form: Mapping[str, str], selector: str, by: str) -> tuple[str, Resume | SetNodes | Stop]:
    """The action that a form asks for of a step that waits, and what it is told. Pure.

    Raises:
        ConfigError: it says neither to go on nor to fail.
    """
    message = form.get("message", "").strip()[:2000]
    match form.get("as"):
        case "go":
            outputs = {key.removeprefix(SUPPLIED): text for key, text in form.items() if key.startswith(SUPPLIED)}
            outputs = {key: text for key, text in outputs.items() if text != ""}
            if not outputs:
                return "runs.resume", Resume(selector, message, by)
            said = "; ".join(part for part in (message, f"Resumed by: {by}" if by else "") if part)
            return "runs.set", SetNodes(selector, Phase.Succeeded, said, Outputs(outputs))
        case "fail":
            return "runs.stop", Stop("Stop", message or (f"Failed by: {by}" if by else ""), selector)
        case other:
            raise ConfigError(f"as {other!r}: a step that waits can be told to go on or to fail")
