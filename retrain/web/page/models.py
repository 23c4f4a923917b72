"""Views of models, of what waits for approvals, and the form that proposes what a run has made."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.looking.overview import parked_runs
from retrain.app.promotions import models
from retrain.app.promotions import pictures as model_pictures
from retrain.app.promotions.planning import candidate_of
from retrain.web.model_routes import awaiting
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, drawing

Json = dict[str, Any]


def add_model_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, ask = frame.services, frame.services.ask

    @page.get("/ui/models")
    async def all_models(request: Request) -> Response:
        found = await ask(models.list_models, services.promotions())
        return frame.show(request, View("models.html", "Models", command("models", "list"), ["promotions"]), **found)

    @page.get("/ui/model")
    async def model(request: Request, name: str, metric: str = "") -> Response:
        now = services.clock.now()
        found = await ask(models.show_model, services.promotions(), name, now, metric)
        operates = frame.who(request).may("operator") and not found["gone"]
        more = {"model": found, "operates": operates, "picture": drawing(model_pictures.svg(found, now) or "")}
        view = View("model.html", f"Model {name}", command("models", "show", name), ["promotions"])
        return frame.show(request, view, **more)

    @page.get("/ui/approvals")
    async def approvals(request: Request) -> Response:
        waiting = await awaiting(services, frame.who(request))
        found = {**waiting, "held": await held(frame), "parked": await ask(parked_runs)}
        said = command("promotions", "inbox")
        view = View("approvals.html", "Approvals", said, ["promotions", "sensors", "runs"])
        return frame.show(request, view, **found)

    @page.get("/ui/propose")
    async def propose(request: Request, run: str) -> Response:
        found = await ask(queries.show_run, run)
        name = found["metadata"]["name"]
        more = {"run": name, "candidate": candidate_of(found), "targets": _targets(frame)}
        more["operates"] = frame.who(request).may("operator")
        said = command("promotions", "propose", "NAME", "--run", name)
        return frame.show(request, View("propose.html", f"Propose what {name} has made", said), **more)


async def held(frame: Frame) -> list[Json]:
    """The firings that wait for a person's leave, and not for something else."""
    return [one for one in await frame.services.sensing.held() if one["asks"]]


def _targets(frame: Frame) -> list[Json]:
    """Each model, and where a candidate of it enters."""
    return [{"name": name, "entry": one.entry} for name, one in sorted(frame.services.promotions().items())]
