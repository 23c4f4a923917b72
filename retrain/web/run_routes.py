"""The API's routes of runs: lists, one run, its logs and artifacts, and what people ask of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from retrain.app.looking import queries
from retrain.app.runs import table as run_table
from retrain.app.runs.filters import Wish, time_of
from retrain.app.runs.logs import Logs, LogWish
from retrain.app.services import Services
from retrain.errors import NotFound
from retrain.store.runs import OPEN
from retrain.web.asking import After, Limit, act, listed, shown
from retrain.web.conditional import not_modified
from retrain.web.log_stream import LONGEST, as_events, as_text, read_id
from retrain.web.openapi import answers
from retrain.web.run_bodies import ResubmitBody, ResumeBody, RetryBody, SetBody, StopBody
from retrain.web.shapes.runs import Asked, RunMade, RunPage, Workflow
from retrain.web.tail import EVENT_STREAM

LastId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=LONGEST, description="The `id` of the line heard last")
]
SSE_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
PLAIN_VERBS = ("terminate", "suspend", "delete")
"""What may be asked of a run without saying how."""
Verb = Annotated[str, Path(json_schema_extra={"enum": list(PLAIN_VERBS)}, description="What is asked of it")]
Age = Annotated[str | None, Query(description="An age such as 2h, or a time")]
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


def add_run_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""
    _lists(api, services)
    _streams(api, services)
    _requests(api, services)
    _again(api, services)


def _lists(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/runs", responses=answers(RunPage))
    async def list_runs(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        phase: Annotated[str | None, Query(description="Phases, with commas between")] = None,
        workflow: Annotated[str | None, Query(description="The workflow's name")] = None,
        prefix: Annotated[str | None, Query(description="The beginning of the run's name")] = None,
        labels: Annotated[str | None, Query(description="A label selector")] = None,
        since: Age = None,
        older: Age = None,
        running: bool = False,
        completed: bool = False,
        until: Age = None,
        namespace: Annotated[str | None, Query(description="A namespace")] = None,
        columns: Annotated[str | None, Query(description="Such as param:date,metric:accuracy")] = None,
        sort: Annotated[str | None, Query(description="created, duration or a column; with - downward")] = None,
        cursor: After = None,
        limit: Limit = 50,
    ) -> Response:
        wish = Wish(phase, workflow, prefix, labels, since, older, running, completed, until, namespace)
        now = services.clock.now()
        return listed(request, await services.ask(run_table.list_runs, wish, now, cursor, limit, columns, sort))

    @api.get("/api/v1/runs/{name}", responses=answers(Workflow))
    async def show_run(request: Request, name: str) -> Response:
        row = await services.ask(queries.find_run, name)
        # What is over does not change but by its row; its nodes may be ten thousand.
        tag, same = not_modified(request, row) if row.phase not in OPEN else ("", None)
        return same or shown(await services.ask(queries.show_run, row.id), {"etag": tag} if tag else None)


def _streams(api: FastAPI, services: Services) -> None:
    @api.get("/api/v1/runs/{name}/logs", response_class=PlainTextResponse, responses=LOG_TYPES)
    async def run_logs(  # noqa: PLR0913 - one for each word of the query
        request: Request,
        name: str,
        node: Annotated[str | None, Query(description="A step, by its id or name")] = None,
        nodeFieldSelector: Annotated[str | None, Query(description="Which steps, as Argo's tools say it")] = None,
        container: Annotated[str | None, Query(description="A container of it")] = None,
        grep: Annotated[str | None, Query(description="An RE2 pattern that lines must have")] = None,
        since: Annotated[str | None, Query(description="An age such as 2h, or a time")] = None,
        tail: Annotated[int | None, Query(ge=0, le=10**9, description="Lines from the end of each log")] = None,
        timestamps: bool = False,
        follow: bool = False,
        last_id: LastId = None,
    ) -> StreamingResponse:
        row, places = await services.ask(queries.find_run, name), read_id(last_id)
        start = time_of(since, "since", services.clock.now()) if since is not None else None
        wish = LogWish(node, nodeFieldSelector, container, grep, start, tail, follow, places)
        found: Logs = await act(services, "runs.logs", row, wish)
        if EVENT_STREAM in request.headers.get("accept", ""):
            events = as_events(services, found, places)
            return StreamingResponse(events, media_type=EVENT_STREAM, headers=SSE_HEADERS)
        text = as_text(services, found, timestamps=timestamps)
        return StreamingResponse(text, media_type="text/plain; charset=utf-8")

    @api.get("/api/v1/runs/{name}/artifacts/{node}/{artifact}", response_class=StreamingResponse, responses=BYTES)
    async def run_artifact(name: str, node: str, artifact: str) -> StreamingResponse:
        row = await services.ask(queries.find_run, name)
        found = await act(services, "runs.artifacts", row, node, artifact)
        # Never shown by a browser as a page of ours: what a step wrote is not ours.
        headers = {
            "content-disposition": f'attachment; filename="{found.name}"',
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
        }
        return StreamingResponse(found.parts, media_type="application/octet-stream", headers=headers)


def _requests(api: FastAPI, services: Services) -> None:
    @api.post("/api/v1/runs/{name}/stop", responses=answers(Asked))
    async def stop_run(name: str, how: StopBody | None = None) -> Response:
        row = await services.ask(queries.find_run, name)
        await act(services, "runs.stop", row, (how or StopBody()).request())
        return shown({"name": row.name, "asked": "stop"})

    @api.post("/api/v1/runs/{name}/resume", responses=answers(Asked))
    async def resume_run(name: str, how: ResumeBody | None = None) -> Response:
        row = await services.ask(queries.find_run, name)
        await act(services, "runs.resume", row, (how or ResumeBody()).request())
        return shown({"name": row.name, "asked": "resume"})

    @api.post("/api/v1/runs/{name}/set", responses=answers(Asked))
    async def set_nodes(name: str, how: SetBody) -> Response:
        row = await services.ask(queries.find_run, name)
        await act(services, "runs.set", row, how.request())
        return shown({"name": row.name, "asked": "set"})


def _again(api: FastAPI, services: Services) -> None:
    @api.post("/api/v1/runs/{name}/retry", responses=answers(Asked))
    async def retry_run(name: str, how: RetryBody | None = None) -> Response:
        row = await services.ask(queries.find_run, name)
        await act(services, "runs.retry", row, (how or RetryBody()).options())
        return shown({"name": row.name, "asked": "retry"})

    @api.post("/api/v1/runs/{name}/resubmit", responses=answers(RunMade))
    async def resubmit_run(name: str, how: ResubmitBody | None = None) -> Response:
        row = await services.ask(queries.find_run, name)
        made = await act(services, "runs.resubmit", row, (how or ResubmitBody()).options())
        return shown({"name": made.name, "asked": "resubmit", "run": made.id, "of": row.name})

    @api.post("/api/v1/runs/{name}/{verb}", responses=answers(Asked))
    async def control_run(name: str, verb: Verb) -> Response:
        if verb not in PLAIN_VERBS:
            raise NotFound(f"runs.{verb}: there is no such action; there are {', '.join(PLAIN_VERBS)}")
        row = await services.ask(queries.find_run, name)
        await act(services, f"runs.{verb}", row)
        return shown({"name": row.name, "asked": verb})
