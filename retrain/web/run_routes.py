"""The API's routes of runs: lists, one run, its logs and artifacts, and what people ask of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from retrain.app import queries
from retrain.app.run_filters import Wish, time_of
from retrain.app.run_logs import Logs, LogWish, StepLine
from retrain.app.services import Services
from retrain.errors import NotFound
from retrain.web.run_bodies import ResubmitBody, ResumeBody, RetryBody, SetBody, StopBody

Act = Callable[..., Awaitable[Any]]
"""Does an action of the platform by its name."""
Batches = AsyncGenerator[list[StepLine]]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items of one page")]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]
PLAIN_VERBS = ("terminate", "suspend", "delete")
"""What may be asked of a run without saying how."""
EVENT_STREAM = "text/event-stream"
LOG_TYPES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Lines as text, or as Server-Sent Events for whoever accepts these",
        "content": {"text/plain": {"schema": {"type": "string"}}, EVENT_STREAM: {"schema": {"type": "string"}}},
    }
}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The artifact as it lies; a directory as one tar",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def add_run_routes(api: FastAPI, services: Services, act: Act) -> None:
    """Add all of them."""
    _lists(api, services)
    _streams(api, services, act)
    _requests(api, services, act)
    _again(api, services, act)


def _lists(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/runs")
    async def list_runs(  # noqa: PLR0913 - one for each word of the query
        phase: str | None = None,
        workflow: str | None = None,
        prefix: str | None = None,
        labels: str | None = None,
        since: str | None = None,
        older: str | None = None,
        running: bool = False,
        completed: bool = False,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        wish = Wish(phase, workflow, prefix, labels, since, older, running, completed)
        return await services.ask(queries.list_runs, wish, services.clock.now(), cursor, limit)

    @api.get("/api/v1/runs/{name}")
    async def show_run(name: str) -> dict[str, Any]:
        return await services.ask(queries.show_run, name)


def _streams(api: FastAPI, services: Services, act: Act) -> None:
    @api.get("/api/v1/runs/{name}/logs", response_class=PlainTextResponse, responses=LOG_TYPES)
    async def run_logs(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        name: str,
        node: str | None = None,
        nodeFieldSelector: str | None = None,
        container: str | None = None,
        grep: str | None = None,
        since: str | None = None,
        tail: Annotated[int | None, Query(ge=0)] = None,
        timestamps: bool = False,
        follow: bool = False,
    ) -> StreamingResponse:
        row = await services.ask(queries.find_run, name)
        start = time_of(since, "since", services.clock.now()) if since is not None else None
        wish = LogWish(node, nodeFieldSelector, container, grep, start, tail, follow)
        found: Logs = await act("runs.logs", row, wish)
        if EVENT_STREAM in request.headers.get("accept", ""):
            headers = {"cache-control": "no-store"}
            return StreamingResponse(_events(services, found), media_type=EVENT_STREAM, headers=headers)
        text = _text(services, found, timestamps=timestamps)
        return StreamingResponse(text, media_type="text/plain; charset=utf-8")

    @api.get("/api/v1/runs/{name}/artifacts/{node}/{artifact}", response_class=StreamingResponse, responses=BYTES)
    async def run_artifact(name: str, node: str, artifact: str) -> StreamingResponse:
        row = await services.ask(queries.find_run, name)
        found = await act("runs.artifacts", row, node, artifact)
        # Never shown by a browser as a page of ours: what a step wrote is not ours.
        headers = {
            "content-disposition": f'attachment; filename="{found.name}"',
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
        }
        return StreamingResponse(found.parts, media_type="application/octet-stream", headers=headers)


def _requests(api: FastAPI, services: Services, act: Act) -> None:
    @api.post("/api/v1/runs/{name}/stop")
    async def stop_run(name: str, how: StopBody | None = None) -> dict[str, Any]:
        row = await services.ask(queries.find_run, name)
        await act("runs.stop", row, (how or StopBody()).request())
        return {"name": row.name, "asked": "stop"}

    @api.post("/api/v1/runs/{name}/resume")
    async def resume_run(name: str, how: ResumeBody | None = None) -> dict[str, Any]:
        row = await services.ask(queries.find_run, name)
        await act("runs.resume", row, (how or ResumeBody()).request())
        return {"name": row.name, "asked": "resume"}

    @api.post("/api/v1/runs/{name}/set")
    async def set_nodes(name: str, how: SetBody) -> dict[str, Any]:
        row = await services.ask(queries.find_run, name)
        await act("runs.set", row, how.request())
        return {"name": row.name, "asked": "set"}


def _again(api: FastAPI, services: Services, act: Act) -> None:
    @api.post("/api/v1/runs/{name}/retry")
    async def retry_run(name: str, how: RetryBody | None = None) -> dict[str, Any]:
        row = await services.ask(queries.find_run, name)
        await act("runs.retry", row, (how or RetryBody()).options())
        return {"name": row.name, "asked": "retry"}

    @api.post("/api/v1/runs/{name}/resubmit")
    async def resubmit_run(name: str, how: ResubmitBody | None = None) -> dict[str, Any]:
        row = await services.ask(queries.find_run, name)
        made = await act("runs.resubmit", row, (how or ResubmitBody()).options())
        return {"name": made.name, "asked": "resubmit", "run": made.id, "of": row.name}

    @api.post("/api/v1/runs/{name}/{verb}")
    async def control_run(name: str, verb: str) -> dict[str, Any]:
        if verb not in PLAIN_VERBS:
            raise NotFound(f"runs.{verb}: there is no such action; there are {', '.join(PLAIN_VERBS)}")
        row = await services.ask(queries.find_run, name)
        await act(f"runs.{verb}", row)
        return {"name": row.name, "asked": verb}


async def _events(services: Services, found: Logs) -> AsyncGenerator[bytes]:
    # At once, so that the client knows that it is heard.
    yield b"event: steps\ndata: %s\n\n" % orjson.dumps({"many": found.many})
    async for batch in _while_up(services, found.batches):
        yield b"".join(b"data: %s\n\n" % line.to_json() for line in batch)
    yield b"event: end\ndata: {}\n\n"


async def _text(services: Services, found: Logs, *, timestamps: bool) -> AsyncGenerator[bytes]:
    async for batch in _while_up(services, found.batches):
        yield "".join(_line(one, prefix=found.many, timestamps=timestamps) for one in batch).encode()


async def _while_up(services: Services, batches: Batches) -> Batches:
    """The batches that have lines, until the platform stops: whoever only listens must not hold that up."""
    async with aclosing(batches):
        async for batch in batches:
            if services.closing.is_set():
                return
            if batch:
                yield batch


def _line(one: StepLine, *, prefix: bool, timestamps: bool) -> str:
    name = f"{one.node.get('displayName')}: " if prefix else ""
    time = f"{one.line.time.isoformat().replace('+00:00', 'Z')} " if timestamps else ""
    return f"{name}{time}{one.line.text}\n"
