"""The API's routes that look at what runs have made: several side by side, and into an artifact."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.responses import Response

from pipelines.artifacts.looking import Entry
from retrain.app.looking import queries
from retrain.app.runs.asking import compare_named
from retrain.app.runs.previews import Looked, preview_of
from retrain.app.services import Services
from retrain.web.asking import act, shown
from retrain.web.openapi import answers
from retrain.web.shapes.compare import Comparison, Look

Names = Annotated[
    list[str], Query(description="Names or ids of two to five runs; the first is what others are held against")
]


def add_compare_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/compare", responses=answers(Comparison))
    async def compare_runs(name: Names) -> Response:
        return shown(await compare_named(services, name))

    @api.get("/api/v1/runs/{name}/artifacts/{node}/{artifact}/look", responses=answers(Look))
    async def look_at_artifact(
        name: str,
        node: str,
        artifact: str,
        path: Annotated[str, Query(description="What to look at in a directory or archive")] = "",
    ) -> Response:
        row = await services.ask(queries.find_run, name)
        return shown(_told(await act(services, "runs.look", row, node, artifact, path)))


def _told(looked: Looked) -> dict[str, Any]:
    found = preview_of(looked.look)
    entries = [_entry(one) for one in found.entries] if found.kind == "folder" else None
    text = found.text if found.kind in {"text", "json"} else None
    table = {"header": found.header, "rows": found.rows} if found.kind == "table" else None
    known = {"name": found.name, "kind": found.kind, "size": found.size, "cut": found.cut}
    return {**known, "entries": entries, "text": text, "table": table}


def _entry(one: Entry) -> dict[str, Any]:
    return {"name": one.name, "kind": one.kind, "size": one.size, "target": one.target or None}
