"""Runs in a store for the tests of their views: one that failed in a fan-out, one that waits, large ones, artifacts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import Connection

from pipelines.artifacts import ArtifactRun, open_artifacts
from retrain.app.runs.actions import run_actions
from retrain.store import runs
from retrain.store.runs import RunRow
from tests.integration.page_house import House, house

NOW = datetime.now(UTC)
Node = dict[str, Any]
ASK: dict[str, Any] = {
    "name": "ask",
    "suspend": {},
    "inputs": {
        "parameters": [
            {"name": "verdict", "default": "no", "enum": ["yes", "no"], "description": "Shall it be deployed?"}
        ]
    },
    "outputs": {
        "parameters": [
            {"name": "verdict", "valueFrom": {"supplied": {}}},
            {"name": "why", "valueFrom": {"supplied": {}}},
        ]
    },
}
MAIN: dict[str, Any] = {"name": "main", "dag": {"tasks": [{"name": "ask", "template": "ask"}]}}


def node(run: str, key: str, **more: Any) -> Node:
    """A step of a run that succeeded, a second after the run began."""
    body = {
        "id": f"{run}-{key}" if key else run,
        "name": f"{run}.{key}" if key else run,
        "displayName": key or run,
        "type": "Pod" if key else "DAG",
        "phase": "Succeeded",
        "templateName": key or "main",
        "templateScope": f"local/{run}",
        "startedAt": (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "finishedAt": (NOW - timedelta(minutes=4)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "boundaryID": run if key else "",
    }
    return {**body, **more}


def fan_out(run: str, items: int, failed: frozenset[int] = frozenset()) -> dict[str, Node]:
    """`train`, once for each item, then `report`."""
    group = node(run, "train", type="TaskGroup", children=[f"{run}-{n}" for n in range(items)])
    pods = [
        node(
            run,
            str(n),
            name=f"{run}.train({n}:item-{n})",
            displayName=f"train({n}:item-{n})",
            templateName="train",
            phase="Failed" if n in failed else "Succeeded",
            message="exit code 1" if n in failed else "",
            resourcesDuration={"cpu": 3600, "memory": 1, "nvidia.com/gpu": 1800},
            children=[f"{run}-report"],
        )
        for n in range(items)
    ]
    report = node(run, "report")
    root = node(run, "", phase="Failed" if failed else "Succeeded", children=[f"{run}-train"])
    return {one["id"]: one for one in (root, group, *pods, report)}


def submit(connection: Connection, name: str, nodes: Mapping[str, Node], **more: Any) -> None:
    """Write a run down with these nodes."""
    parameters = more.pop("parameters", {})
    said = [{"name": key, "value": value} for key, value in parameters.items()]
    spec = {
        "entrypoint": "main",
        "arguments": {"parameters": said},
        "templates": [MAIN, ASK, *more.pop("templates", [])],
    }
    about = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    manifest: Any = {**about, "metadata": {"name": name}, "spec": spec}
    row = RunRow(
        f"r-{name}", name, "orders", manifest, more.pop("labels", {}), more.pop("created", NOW), phase="Pending"
    )
    runs.submit(connection, [row])
    runs.begin_with(connection, row.id, nodes, NOW - timedelta(minutes=5))
    phase, outputs = more.pop("phase", "Succeeded"), more.pop("outputs", {})
    if phase not in runs.OPEN:
        runs.claim(connection, "me", NOW, NOW, 10, only=[row.id])
        told = {"parameters": [{"name": key, "value": value} for key, value in outputs.items()]}
        seconds = more.pop("seconds", 60)
        begun = NOW - timedelta(minutes=5)
        assert runs.advance(
            connection,
            "me",
            row.id,
            phase=phase,
            outputs=told,
            started=begun,
            finished=begun + timedelta(seconds=seconds),
            **more,
        )


def evaluation(accuracy: float) -> str:
    """What a run says of its model."""
    points = [n / 10 for n in range(11)]
    curve = {"x": points, "y": [x ** (1 - accuracy) if x else 0.0 for x in points]}
    judged = {"dataset": "holdout-7", "metrics": {"accuracy": accuracy, "loss": 1 - accuracy}, "curves": {"roc": curve}}
    return orjson.dumps({"digest": "sha256:0", "evaluation": judged}).decode()


@asynccontextmanager
async def runs_house(place: Path, *, people: bool = False) -> AsyncGenerator[House]:
    """The page on a store, with the actions on runs and a place for artifacts."""
    async with house(place, people=people) as found:
        keeper = open_artifacts(place, {})
        actions = run_actions(found.store, found.services.clock, place, keeper)
        cast("dict[str, Any]", found.services.actions).update(actions)
        yield found


def keep(place: Path, run: str, key: str, file: Path) -> dict[str, Any]:
    """Keep a file as an artifact of a step; the artifact."""
    where = ArtifactRun(f"r-{run}", run, "default", f"{run}-{key}", f"{run}-{key}", uid=f"r-{run}")
    keeper = open_artifacts(place, {})
    return dict(keeper.save({"name": file.name, "path": f"/tmp/{file.name}"}, file, where))
