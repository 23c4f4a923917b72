"""Artifacts of steps at the page: what there is of each, as a table, a text or a list, or in a frame of its own.

Pictures and pages that a step wrote are shown by the browser itself, and never as pages of ours: the frame is
sandboxed by its element and by the answer's own policy, so it has no origin, runs no script, sends no form, loads
nothing and leads nowhere. Opened by itself the answer is a download.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.looking import queries
from retrain.app.runs.previews import Looked, Preview, preview_of
from retrain.errors import ConfigError, NotFound
from retrain.store.runs import RunRow
from retrain.web.page.acts import act
from retrain.web.page.frame import POLICY, Frame, View
from retrain.web.page.words import command, query

FRAMED = f"{POLICY}; frame-src 'self'"
"""The policy of a view that shows such a frame: one of ours, and nothing from elsewhere, wherever it wants to go."""
BODY = {
    "content-security-policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-dns-prefetch-control": "off",
    "cache-control": "no-store",
}


def add_artifact_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""

    @page.get("/ui/run/artifact")
    async def artifact(request: Request, name: str, node: str, artifact: str, path: str = "") -> Response:
        row, looked = await _looked(frame, name, node, artifact, path)
        shown = preview_of(looked.look)
        title = f"Artifact {artifact}"
        view = View("artifact.html", title, command("runs", "cp", row.name, ".", "--artifact-name", artifact))
        more = _around(row, looked, artifact, path)
        answer = frame.show(request, view, shown=shown, **more)
        answer.headers["content-security-policy"] = FRAMED
        return answer

    @page.get("/ui/run/artifact/body")
    async def body(request: Request, name: str, node: str, artifact: str, path: str = "") -> Response:
        _, looked = await _looked(frame, name, node, artifact, path)
        shown = preview_of(looked.look)
        if not shown.type:
            raise ConfigError(f"{shown.name} is no picture and no page that can be shown; download it")
        return Response(looked.look.head, headers={**BODY, **_as(request, shown)})


def _as(request: Request, shown: Preview) -> dict[str, str]:
    """Shown in our frame, and else downloaded: a browser says what it wants it for."""
    framed = request.headers.get("sec-fetch-dest", "") in {"iframe", "frame", "image"}
    return {"content-type": shown.type, "content-disposition": "inline" if framed else "attachment"}


async def _looked(frame: Frame, name: str, node: str, artifact: str, path: str) -> tuple[RunRow, Looked]:
    if "\0" in path:
        raise NotFound("path: nothing has that name")
    row = await frame.services.ask(queries.find_run, name)
    return row, await act(frame, "runs.look", row, node, artifact, path)


def _around(row: RunRow, looked: Looked, artifact: str, path: str) -> dict[str, Any]:
    node = looked.node
    words = {"name": row.name, "node": node["id"], "artifact": artifact}
    download = (
        f"/api/v1/runs/{quote(row.id, safe='')}/artifacts/{quote(node['id'], safe='')}/{quote(artifact, safe='')}"
    )
    label = str(node.get("displayName") or node["name"])
    step = {"run": row.name, "node": node["id"], "label": label, "artifact": artifact, "inner": path}
    return {**step, "words": words, "download": download, "body": query("/ui/run/artifact/body", **words, path=path)}
