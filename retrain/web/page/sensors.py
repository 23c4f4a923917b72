"""Views of sensors and sources."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app import queries
from retrain.app.services import Services
from retrain.manifests.writing import to_yaml
from retrain.store.decisions import DecisionFilter
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command
from retrain.web.run_routes import Cursor, Limit
from sensors.core.outcome import Outcome


def add_sensor_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""
    services = frame.services

    @page.get("/ui/sensors")
    async def sensors(request: Request) -> Response:
        more = {"items": services.sensing.rows(), "sources": services.sources()}
        said = command("sensors", "list")
        return frame.show(request, View("sensors.html", "Sensors", said, ["sensors"]), **more)

    @page.get("/ui/sensor")
    async def sensor(
        request: Request, name: str, outcome: str = "", key: str = "", cursor: Cursor = None, limit: Limit = 50
    ) -> Response:
        which = DecisionFilter(outcome or None, None, key or None)
        found = await services.sensing.show(name, cursor, limit)
        memory = await services.ask(queries.sensor_memory, name)
        decided = await services.ask(queries.list_decisions, name, limit, which)
        record: dict[str, Any] = {"memory": memory, "decisions": decided, "which": which, "yaml": _yaml(services, name)}
        record["outcomes"] = [one.value for one in Outcome]
        said = command("sensors", "show", name)
        return frame.show(
            request, View("sensor.html", f"Sensor {name}", said, ["sensors", "firings"]), **found, **record
        )


def _yaml(services: Services, name: str) -> str:
    documents = (one.document.body for one in services.sensing.items() if one.model.name == name)
    return next((to_yaml(body) for body in documents), "")
