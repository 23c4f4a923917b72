"""What each error is in HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from retrain.errors import ConfigError, EventError, Forbidden, NotFound, Permanent, Refused, RetrainError, Transient
from retrain.web.jsons import dumps
from retrain.web.sessions import TooManyTries

STATUS: tuple[tuple[type[RetrainError], int], ...] = (
    (EventError, 400),
    (ConfigError, 422),
    (NotFound, 404),
    (Forbidden, 403),
    (TooManyTries, 429),
    (Refused, 409),
    (Transient, 503),
    (Permanent, 422),
)
"""The first that fits counts."""
LONGEST_NAME = 100
"""Letters of a path, or of a name, that an error repeats."""


def status_of(error: Exception) -> int:
    """The status of an answer that says this error."""
    return next((code for kind, code in STATUS if isinstance(error, kind)), 500)


def add_errors(api: FastAPI) -> None:
    """Say errors of routes as `{"error": ...}`; the envelope makes problems of them."""
    api.add_exception_handler(RetrainError, _complain)
    api.add_exception_handler(RequestValidationError, _misread)
    api.add_exception_handler(HTTPException, _elsewhere)


async def _complain(_request: Request, error: Exception) -> Response:
    return _say(status_of(error), {"error": str(error)})


async def _misread(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_error(one) for one in error.errors()]
    said = "; ".join(f"{one.get('parameter') or one.get('pointer') or 'body'}: {one['detail']}" for one in errors)
    return _say(422, {"error": said, "errors": errors})


def _error(one: Any) -> dict[str, str]:
    """Where it is, as RFC 9457 shows it: a parameter by its name, a part of the body by its JSON pointer."""
    where, *path = (str(part)[:LONGEST_NAME] for part in one["loc"])
    said = one["msg"].removeprefix("Value error, ")
    if where == "body":
        return {"pointer": "#" + "".join(f"/{part}" for part in path), "detail": said}
    return {"parameter": path[0] if path else where, "in": where, "detail": said}


async def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    here = path if len(path) <= LONGEST_NAME else f"{path[:LONGEST_NAME]}…"
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return _say(404, {"error": f"{here}: there is no such route; /openapi.json has all of them"}, headers)
    if error.status_code == 405:
        allow = ", ".join(allowed(request.app, path))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": allow})
        said = f"{request.method} is not done at {here}, but {allow}"
        return _say(405, {"error": said}, {**headers, "Allow": allow})
    return _say(error.status_code, {"error": str(error.detail)}, headers)


def allowed(api: FastAPI, path: str) -> Sequence[str]:
    """The methods of a path: of the routes that name it most exactly."""
    fits = [one for one in api.routes if isinstance(one, Route) and one.path_regex.match(path)]
    least = min((len(one.param_convertors) for one in fits), default=0)
    found = {method for one in fits if len(one.param_convertors) == least for method in one.methods or ()}
    return sorted(found | ({"HEAD"} if "GET" in found else set()) | {"OPTIONS"})


def _say(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(dumps(body), status, headers, media_type="application/json")
