"""The view of how the platform is."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.keeping.health import health
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command

PATIENCE_S = 0.1
"""Seconds that a view waits for the first measure of the store."""


def add_health_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""

    @page.get("/ui/health")
    async def how_it_is(request: Request) -> Response:
        found = await health(frame.services, PATIENCE_S)
        said = command("doctor", "--server", str(request.base_url).rstrip("/"))
        return frame.show(request, View("health.html", "Health", said), **found)
