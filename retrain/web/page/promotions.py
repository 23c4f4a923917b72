"""Views of promotions: a list for each environment, and one with all that was said and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.responses import Response

from deploy.states import State
from retrain.app.looking import queries
from retrain.app.promotions import gate_pictures
from retrain.app.runs.filters import time_of
from retrain.app.services import Services
from retrain.store.promotions import PromotionFilter
from retrain.web.asking import Cursor, Limit
from retrain.web.model_routes import people
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, drawing

Json = dict[str, Any]
EACH = 15
"""Promotions of one environment, where all environments are shown."""
LONGEST = 2000
"""Lines of a diff that are shown."""


def add_promotion_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services = frame.services

    @page.get("/ui/promotions")
    async def promotions(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        name: str = "",
        environment: str = "",
        state: str = "",
        since: str = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        begun = time_of(since, "since", services.clock.now()) if since else None
        which = PromotionFilter(name or None, environment or None, state or None, begun)
        lists = await _lists(services, which, cursor, limit)
        held = await services.ask(queries.list_holds)
        more = {
            "which": which,
            "since": since,
            "lists": lists,
            "holds": held["items"],
            "states": get_args(State),
            **_house(services),
        }
        more["operates"] = frame.who(request).may("operator")
        said = command("promotions", "list", *given(name=name, environment=environment, state=state, since=since))
        return frame.show(request, View("promotions.html", "Promotions", said, ["promotions"]), **more)

    @page.get("/ui/promotion")
    async def promotion(request: Request, id: str) -> Response:
        from retrain.app.promotions.standing import standing

        found = await services.ask(queries.show_promotion, id)
        who = frame.who(request)
        rights = await services.ask(standing, services.promotions(), people(services), found["id"], who)
        more = {"one": found, "rights": rights, **await _around(services, found)}
        title = f"{found['name']} to {found['environment']}"
        said = command("promotions", "show", found["id"])
        return frame.show(request, View("promotion.html", title, said, ["promotions"]), **more)


def given(**words: str) -> list[str]:
    """Those words that say something, as a command's options. Pure."""
    return [part for name, one in words.items() if one for part in (f"--{name}", one)]


def _house(services: Services) -> Json:
    """The environments of the project's documents, and each model in each."""
    documents = services.promotions()
    targets = [f"{name}/{one}" for name, document in documents.items() for one in document.environments]
    return {"environments": list(dict.fromkeys(one.partition("/")[2] for one in targets)), "targets": targets}


async def _lists(services: Services, which: PromotionFilter, cursor: str | None, limit: int) -> Mapping[str, Json]:
    """The promotions of each environment; all in one list where one is asked for, or none is known."""
    there: list[str] = [] if which.environment else _house(services)["environments"]
    if not there:
        found = await services.ask(queries.list_promotions, which, cursor, limit)
        return {which.environment or "": found} if found["items"] or which.environment else {}
    each = {one: replace(which, environment=one) for one in there}
    return {one: await services.ask(queries.list_promotions, wish, None, EACH) for one, wish in each.items()}


async def _around(services: Services, found: Json) -> Json:
    held = (await services.ask(queries.list_holds))["items"]
    here = (found["name"], found["environment"])
    drawn = gate_pictures.svg(found["candidate"], found["gates"])
    return {
        "hold": next((one for one in held if (one["name"], one["environment"]) == here), None),
        "deeds": (await services.ask(queries.list_deeds, found["id"], None, 20))["items"],
        "picture": drawing(drawn or ""),
        "diff": list(_diff(found["diff"])),
    }


def _diff(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    for line in lines[:LONGEST]:
        header = line.startswith(("+++", "---"))
        yield ("" if header else line[:1]), line
    if len(lines) > LONGEST:
        yield "@", f"… {len(lines) - LONGEST} lines more"
