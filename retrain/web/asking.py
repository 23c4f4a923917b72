"""What the API's routes share: pages of lists, the JSON of a request, an action of the platform by its name."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import orjson
from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator

from retrain.app.services import Services
from retrain.errors import ConfigError, NotFound
from retrain.web.cursors import LONGEST, seal, unseal
from retrain.web.jsons import dumps

Limit = Annotated[int, Query(ge=1, le=1000, description="Items of one page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
"""A place in a list, as its query gives it: the page's."""


def _place(cursor: str | None) -> str | None:
    return None if cursor is None else unseal(cursor)


After = Annotated[
    str | None, AfterValidator(_place), Query(description="`next` of the page before", max_length=LONGEST)
]
"""A cursor of the API, opened."""


def shown(body: Any, headers: dict[str, str] | None = None, *, status: int = 200) -> Response:
    """An answer in JSON. It goes out as it is: a model describes it in /openapi.json, and nothing reads it again."""
    return Response(dumps(body), status, headers, media_type="application/json")


def sealed(page: dict[str, Any], *names: str) -> dict[str, Any]:
    """A page whose cursors (`next`, and others of these names) are such as clients have."""
    return {**page, **{name: seal(page[name]) for name in ("next", *names) if name in page}}


def listed(request: Request, page: dict[str, Any]) -> Response:
    """A page of a list, with the way to the next one."""
    page = sealed(page)
    if page["next"] is None:
        return shown(page)
    following = request.url.include_query_params(cursor=page["next"])
    return shown(page, {"Link": f'<{following.path}?{following.query}>; rel="next"'})


async def act(services: Services, name: str, *words: Any, **more: Any) -> Any:
    """Do an action of the platform.

    Raises:
        NotFound: this process has no such action.
        ConfigError: it takes other words.
    """
    action = services.actions.get(name)
    if action is None:
        known = ", ".join(sorted(services.actions))
        raise NotFound(f"{name}: there is no such action here; there are {known}")
    try:
        inspect.signature(action).bind(*words, **more)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from None
    return await action(*words, **more)


async def read_words(request: Request) -> dict[str, str]:
    """The JSON object of texts in a request's body. JSON only: a form could be sent by any page that a browser shows.

    Raises:
        ConfigError: it is none.
    """
    body = await request.body()
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ConfigError("send application/json")
    try:
        words = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"the body is not JSON: {error}") from error
    if not isinstance(words, dict) or not all(isinstance(value, str) for value in words.values()):
        raise ConfigError("the body must be a JSON object of texts")
    return words
