"""`/openapi.json`: what FastAPI knows of the routes, what they answer (`shapes`), and what all of them share.

    @api.get("/api/v1/holds", responses=answers(HoldPage))

Ids of operations are the names of the routes' functions, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from retrain.web.problems import KINDS, PROBLEM_JSON
from retrain.web.sessions import COOKIE
from retrain.web.shapes.common import Problem

Json = dict[str, Any]
Answers = dict[int | str, Json]

ABOUT = """\
JSON in and out. Fields may be added, never renamed. Errors are `application/problem+json` (RFC 9457).

A page of a list is `{"items", "next"}`; `next` is the `cursor` of the page behind it, and `Link` leads there. Answers
to GET have an `ETag`: `If-None-Match` brings 304 while nothing is new, `If-Match` on what is done to a thing brings 412
where the thing has changed. `X-Request-Id` comes back, and stands in the log.
"""
TAGS: Mapping[str, str] = {
    "events": "What has happened",
    "sensors": "Sources and sensors: what is watched, and what is waited for",
    "firings": "What sensors have triggers do",
    "runs": "Workflow runs",
    "crons": "CronWorkflows",
    "promotions": "Models on their way to environments",
    "deadletters": "What nobody could take",
    "access": "Tokens and sessions: who may come in",
    "platform": "The platform as a whole",
}
NOUNS: Mapping[str, str] = {
    "event": "events",
    "sources": "sensors",
    "removed": "sensors",
    "graph": "sensors",
    "held": "firings",
    "compare": "runs",
    "holds": "promotions",
    "tokens": "access",
    "sessions": "access",
    "me": "access",
    "models": "promotions",
    "approvals": "promotions",
}
"""Tags of paths that begin with another word."""
OPEN = ("/healthz", "/readyz", "/metrics")
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of this platform"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Of the page's login; it only reads"},
}
REQUEST_ID: Json = {"description": "The request's id, in the log too", "schema": {"type": "string"}}
ETAG: Json = {"description": "The state of what is shown", "schema": {"type": "string"}}
LINK: Json = {"description": '`rel="next"`: the page behind this one', "schema": {"type": "string"}}


def answers(model: type[BaseModel] | None = None, text: str = "", *, status: int = 200, of: str = "") -> Answers:
    """What a route answers when all is well: JSON of this model, or content of the type `of`."""
    if model is None:
        binary = not of.startswith(("text/", "image/svg", "application/x-ndjson"))
        schema: Json = {"type": "string", "format": "binary"} if binary else {"type": "string"}
        if of == "text/yaml":
            schema = {"type": "object", "description": "A document in YAML"}
        return {status: {"description": text or "The content", "content": {of: {"schema": schema}}}}
    return {status: {"model": model, "description": text or (model.__doc__ or "").strip().partition("\n")[0]}}


def takes(model: type[BaseModel], *, needed: bool = False) -> Json:
    """`openapi_extra` of a route that reads the JSON of its body itself."""
    schema = model.model_json_schema(by_alias=True)
    return {"requestBody": {"required": needed, "content": {"application/json": {"schema": schema}}}}


def describe(api: FastAPI) -> None:
    """Make the API's description whole."""
    of_routes = api.openapi
    made: list[Json] = []

    def whole() -> Json:
        if not made:
            page = of_routes()
            _complete(page)
            made.append(page)
        return made[0]

    api.openapi = whole


def operation_id(route: APIRoute) -> str:
    """The id of a route's operation."""
    return route.name


def _complete(page: Json) -> None:
    page["info"]["description"] = ABOUT
    page["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    page["servers"] = [{"url": "/"}]
    page["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    parts = page.setdefault("components", {})
    parts["securitySchemes"] = SECURITY
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = _problem_schema(schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, methods in page["paths"].items():
        for method, operation in methods.items():
            _finish(path, method, operation)


def _problem_schema(schemas: Json) -> Json:
    made = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(made.pop("$defs", {}))
    return made


def _finish(path: str, method: str, operation: Json) -> None:
    noun = path.removeprefix("/api/v1/").split("/")[0]
    tag = NOUNS.get(noun, noun)
    operation.setdefault("tags", [tag if tag in TAGS else "platform"])
    if path in OPEN:
        operation["security"] = []
    else:  # without people and without a token whoever is at this machine may come in
        operation["security"] = [{"bearer": []}, {}] if method != "get" else [{"bearer": []}, {"session": []}, {}]
    said = operation["responses"]
    said.pop("422", None)
    for status, text in _errors(path, method, operation):
        said.setdefault(str(status), {"description": text, "content": _PROBLEM})
    for answer in said.values():
        answer.setdefault("headers", {})["X-Request-Id"] = REQUEST_ID
    if method == "get":
        _reading(operation, said)
    elif method == "post" and path.count("/") > 4:
        operation.setdefault("parameters", []).append(_header("If-Match", "The ETag of the thing it is done to"))


_PROBLEM: Json = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _errors(path: str, method: str, operation: Json) -> Iterable[tuple[int, str]]:
    """Statuses that the route may answer with, beside those that it names."""
    wanted = {400, 401, 403, 503} if path not in OPEN else {400}
    if path not in OPEN and "cursor" not in {one["name"] for one in operation.get("parameters", ())}:
        wanted.add(404)
    if operation.get("parameters") or method != "get":
        wanted |= {414, 422}
    if method != "get":
        wanted |= {404, 408, 409, 412, 413, 415}
    return ((status, KINDS[status].title) for status in sorted(wanted))


def _reading(operation: Json, said: Json) -> None:
    """What GET does with ETags, and with pages."""
    content: Json = said.get("200", {}).get("content", {})
    if "application/json" not in content and "image/svg+xml" not in content:
        return
    said["200"]["headers"]["ETag"] = ETAG
    said.setdefault("304", {"description": "It is as the client has it", "headers": {"ETag": ETAG}})
    said.setdefault("412", {"description": KINDS[412].title, "content": _PROBLEM})
    names = {one["name"] for one in operation.get("parameters", ())}
    if "cursor" in names:
        said["200"]["headers"]["Link"] = LINK
    operation.setdefault("parameters", []).append(_header("If-None-Match", "ETags that the client has"))


def _header(name: str, text: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
