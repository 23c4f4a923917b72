"""A platform's doors with people of every kind, and things in a namespace that not all may look into."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Connection

from retrain.app.access.access_settings import AccessGroup
from retrain.app.access.minding import Ground, minded
from retrain.app.access.narrowing import seen_promotions, seen_sensors
from retrain.app.access.spaces import Spaces
from retrain.app.projects.project import load_project
from retrain.app.runs.actions import run_actions
from retrain.app.sensing.sensing import Sensing
from retrain.app.settings import Settings
from retrain.clock import SystemClock
from retrain.store import firings, promotions, runs
from retrain.store.firings import FiringRow
from retrain.store.promotions import Hold, PromotionRow
from retrain.store.runs import RunRow
from tests.integration.page_house import House, house, token_of

FORM = {"content-type": "application/x-www-form-urlencoded"}
NOW = datetime.now(UTC)
PEOPLE: dict[str, list[str]] = {
    "vic": ["viewer"],
    "nora": ["viewer@other"],
    "olga": ["operator@mine"],
    "eve": ["operator"],
    "ada": ["approver"],
    "root": ["admin"],
}
SENSOR = """
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: veiled-sensor, namespace: mine}
spec:
  dependencies: [{name: data, eventSourceName: lake, eventName: data}]
  triggers: [{template: {name: log, log: {}}}]
"""
PROMOTION = """
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: veiled-model, namespace: mine}
spec:
  repo: {url: "file:///tmp/deploy.git"}
  environment: staging
  edits: [{file: model.yaml, path: image, value: "{{candidate.digest}}"}]
"""


def access(**more: Any) -> Settings:
    users: dict[str, Any] = {name: {"token": token_of(name), "roles": roles} for name, roles in PEOPLE.items()}
    users["robot"] = {"token": token_of("robot"), "roles": ["operator", "approver"], "kind": "service"}
    return Settings(access=AccessGroup.model_validate({"users": users, **more}))


def fill(connection: Connection) -> None:
    """One of each, in the namespace `mine`."""
    manifest = {"metadata": {"generateName": "veiled-"}, "spec": {"entrypoint": "main"}}
    runs.submit(connection, [RunRow("veiled-run", "veiled-run", "veiled-flow", manifest, {}, NOW, namespace="mine")])
    manifest = {"metadata": {"generateName": "open-"}, "spec": {"entrypoint": "main"}}
    runs.submit(connection, [RunRow("open-run", "open-run", "open-flow", manifest, {}, NOW, namespace="other")])
    action = {"kind": "log"}
    firings.add(connection, [FiringRow("veiled-firing", "veiled-sensor", "log", "k", (), action, NOW)])
    row = PromotionRow(
        id="veiled-promotion",
        intent_key="k",
        name="veiled-model",
        environment="staging",
        candidate={"digest": "d"},
        created=NOW,
        updated=NOW,
        next_attempt=NOW,
    )
    promotions.propose(connection, row)
    promotions.hold(connection, Hold("veiled-model", "staging", "veiled why", "eve", NOW))


@asynccontextmanager
async def premises(place: Path, **more: Any) -> AsyncGenerator[House]:
    """The doors, with people, a project and something of each kind."""
    folder = place / "project"
    folder.mkdir()
    (folder / "sensor.yaml").write_text(SENSOR)
    (folder / "promotion.yaml").write_text(PROMOTION)
    project = load_project([folder])
    assert not project.errors, project.errors
    documents = {one.model.name: one.model for one in project.promotions}
    async with house(place, settings=access(**more), promotions=lambda: seen_promotions(documents)) as found:
        store, clock = found.store, SystemClock()
        await store.write(fill)
        services = found.services
        spaces = Spaces(store, lambda: project.sensors, lambda: documents)
        actions = minded(run_actions(store, clock, place, None), Ground(store, clock, spaces))
        object.__setattr__(services, "sensing", Sensing(store, None, lambda: seen_sensors(project.sensors)))
        object.__setattr__(services, "actions", actions)
        yield found


async def word_of(person: httpx2.AsyncClient) -> str:
    """What the forms of somebody's session bring along."""
    text = (await person.get("/ui/tokens")).text
    return text.partition('name="word" value="')[2].partition('"')[0]


async def log_in(person: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await person.post("/ui/login", content=f"token={token}", headers=FORM)
