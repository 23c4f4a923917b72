"""Views of dead letters: those that match, one, and the question before many are redriven."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import letters
from retrain.app.looking.queries import stamp
from retrain.web.asking import Cursor, Limit
from retrain.web.deadletter_routes import Chosen, Words
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command

SHOWN = 20_000
"""Bytes of a body that are shown; the rest is in the download."""


def add_letter_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services, ask = frame.services, frame.services.ask

    @page.get("/ui/deadletters")
    async def dead_letters(request: Request, words: Chosen, cursor: Cursor = None, limit: Limit = 50) -> Response:
        which = letters.read_filter(services.clock.now(), **words)
        found = await ask(letters.list_letters, which, cursor, limit)
        more = {"words": words, "filtered": any(words.values()), "operates": frame.who(request).may("operator")}
        said = command("deadletters", "list", *options(words))
        view = View("deadletters.html", "Dead letters", said, ["deadletters"])
        return frame.show(request, view, kinds=("firing", "message", "event"), **more, **found)

    @page.get("/ui/deadletter")
    async def letter(request: Request, id: str) -> Response:
        one = await ask(letters.show_letter, id, SHOWN)
        more, said = {"one": one, "operates": frame.who(request).may("operator")}, command("deadletters", "show", id)
        view = View("deadletter.html", f"Dead letter {id}", said, ["deadletters"])
        return frame.show(request, view, left=max(0, one["bytes"] - SHOWN), **more)

    @page.get("/ui/deadletters/redrive")
    async def confirm(request: Request, words: Chosen) -> Response:
        # What dies from now on is not among those that were counted.
        fixed = {**words, "until": words["until"] or stamp(services.clock.now()), "state": "waiting"}
        found = await ask(letters.what_redrives, letters.read_filter(services.clock.now(), **fixed))
        more: dict[str, Any] = {"words": {name: one for name, one in fixed.items() if one}, **found}
        more |= {"operates": frame.who(request).may("operator"), "most": letters.AT_ONCE}
        said = command("deadletters", "redrive", "--all", *options({**words, "state": None}))
        return frame.show(request, View("redrive.html", "Redrive dead letters", said), **more)


def options(words: Words) -> list[str]:
    """These words of a filter as a command's options. Pure."""
    names = {"origin": "from"}
    return [part for name, one in words.items() if one for part in (f"--{names.get(name, name)}", one)]
