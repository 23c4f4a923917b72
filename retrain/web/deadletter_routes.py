"""The API's routes of dead letters."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import Response

from retrain.app.looking import letters
from retrain.app.services import Services
from retrain.web.access import principal
from retrain.web.asking import After, Limit, act, listed, read_words, shown
from retrain.web.openapi import answers, takes
from retrain.web.shapes.asked import LettersBody
from retrain.web.shapes.events import DeadLetter, DeadLetterPage, Redriven, RedrivenAll

Words = dict[str, str | None]
BODY = answers(of="application/octet-stream", text="The bytes as they came")


def chosen(
    kind: Annotated[str | None, Query(description="firing, message or event")] = None,
    origin: Annotated[str | None, Query(description="a source, a sensor, or sensor/trigger")] = None,
    text: Annotated[str | None, Query(description="in the reason")] = None,
    since: Annotated[str | None, Query(description="an age such as 2h, or a time")] = None,
    until: Annotated[str | None, Query(description="an age such as 2h, or a time")] = None,
    state: Annotated[Literal["waiting", "redriven"] | None, Query(description="whether it was redriven")] = None,
) -> Words:
    """What a query says of the letters that are meant."""
    return {"kind": kind, "origin": origin, "text": text, "since": since, "until": until, "state": state}


Chosen = Annotated[Words, Depends(chosen)]


def add_deadletter_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/deadletters", responses=answers(DeadLetterPage))
    async def list_deadletters(request: Request, words: Chosen, cursor: After = None, limit: Limit = 50) -> Response:
        which = letters.read_filter(services.clock.now(), **words)
        return listed(request, await services.ask(letters.list_letters, which, cursor, limit))

    @api.get("/api/v1/deadletters/{letter_id}", responses=answers(DeadLetter))
    async def show_deadletter(letter_id: str) -> Response:
        return shown(await services.ask(letters.show_letter, letter_id))

    @api.get("/api/v1/deadletters/{letter_id}/body", response_class=Response, responses=BODY)
    async def deadletter_body(letter_id: str) -> Response:
        body = await services.ask(letters.body_of, letter_id)
        # Whatever it is, a browser keeps it and does not show it: it came from outside.
        return Response(body, media_type="application/octet-stream", headers={"Content-Disposition": "attachment"})

    @api.post("/api/v1/deadletters/redrive", responses=answers(RedrivenAll), openapi_extra=takes(LettersBody))
    async def redrive_deadletters(request: Request) -> Response:
        words = await read_words(request)
        by = principal(request.scope, words.pop("actor", ""))
        return shown(await act(services, "deadletters.redrive_all", by=by, **words))

    @api.post("/api/v1/deadletters/{letter_id}/redrive", responses=answers(Redriven))
    async def redrive_deadletter(letter_id: str, request: Request) -> Response:
        return shown(await act(services, "deadletters.redrive", letter_id, by=principal(request.scope, "")))
