"""`/healthz`, `/readyz`, `/metrics`: what may be asked by anybody. And how all of it is, for those who may look."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import Response

from retrain.app.keeping.health import health
from retrain.app.looking import queries
from retrain.app.parts import PartState, ready
from retrain.app.services import Services
from retrain.errors import Transient
from retrain.web import metrics
from retrain.web.asking import shown
from retrain.web.openapi import answers
from retrain.web.shapes.looking import Alive, Health, Ready


def add_health_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/healthz", responses=answers(Alive))
    async def healthz() -> Response:
        return shown({"status": "alive"})

    @api.get("/readyz", responses={**answers(Ready), **answers(Ready, "Not now", status=503)})
    async def readyz() -> Response:
        states = [await _store_state(services), *services.states()]
        parts = [{"name": s.name, "ready": s.ready, "waitingFor": s.waiting_for} for s in states]
        found = {"status": "ready" if ready(states) else "waiting", "parts": parts}
        return shown(found, status=200 if ready(states) else 503)

    @api.get("/api/v1/health", responses=answers(Health))
    async def show_health() -> Response:
        return shown(await health(services))

    @api.get("/metrics", response_class=Response, responses=answers(of="text/plain", text="Prometheus' text"))
    async def metrics_page() -> Response:
        return Response(await metrics.page(services), media_type=metrics.CONTENT_TYPE)


async def _store_state(services: Services) -> PartState:
    try:
        await services.ask(queries.log_cursor)
    except Transient as error:
        return PartState("store", ready=False, waiting_for=str(error), vital=True)
    return PartState("store", ready=True, vital=True)
