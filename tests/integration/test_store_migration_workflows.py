"""A store of a Retrain before whole workflows is taken over with all that it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import retrain.store
from retrain.store import open_store, run_requests, runs

pytestmark = pytest.mark.anyio


def _config(connection: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(retrain.store.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _old_store(path: Path) -> None:
    engine = create_engine(f"sqlite:///{path}")
    run = text(
        "INSERT INTO runs (id, name, namespace, workflow, manifest, labels, phase, message, created, control, owner) "
        "VALUES (:id, :id, 'default', 'w', '{}', '{}', :phase, '', 1, :control, :owner)"
    )
    node = text("INSERT INTO nodes (run_id, node_id, body) VALUES (:run, :node, :body)")
    with engine.begin() as connection:
        command.upgrade(_config(connection), "0002")
        for row in (
            ("r-plain", "Running", None, "me"),
            ("r-stop", "Running", "stop", "me"),
            ("r-parked", "Running", "suspend", None),
            ("r-over", "Failed", "terminate", None),
        ):
            connection.execute(run, dict(zip(("id", "phase", "control", "owner"), row, strict=True)))
        for name, children in (("root", ["a", "b"]), ("a", ["c"]), ("b", []), ("c", [])):
            body = {"id": name, "name": name, "type": "Pod", "phase": "Running"}
            if children:
                body["children"] = children
            connection.execute(node, {"run": "r-plain", "node": name, "body": json.dumps(body)})
    engine.dispose()


async def test_children_become_edges_and_no_request_is_forgotten(tmp_path: Path) -> None:
    _old_store(tmp_path / "store.db")

    async with open_store(tmp_path / "store.db") as store:
        saved = await store.read(lambda c: runs.load_nodes(c, "r-plain"))
        edges = await store.read(lambda c: runs.load_edges(c, "r-plain"))
        asked = await store.read(
            lambda c: {one: run_requests.of_run(c, one) for one in ("r-plain", "r-stop", "r-over")}
        )
        parked = await store.read(lambda c: runs.get(c, "r-parked"))

    assert {key: body.get("children") for key, body in saved.items()} == {
        "root": ["a", "b"],
        "a": ["c"],
        "b": None,
        "c": None,
    }
    assert edges == {"root": ["a", "b"], "a": ["c"]}
    assert {one: [request.body for request in found] for one, found in asked.items()} == {
        "r-plain": [],
        "r-stop": [{"verb": "stop"}],
        "r-over": [],
    }
    assert parked is not None
    assert parked.parked == 1


async def test_the_way_back_gives_nodes_their_children_again(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    _old_store(path)
    async with open_store(path):
        pass

    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.downgrade(_config(connection), "0002")
        bodies = connection.execute(text("SELECT node_id, body FROM nodes")).all()
    engine.dispose()

    assert {node: json.loads(body).get("children") for node, body in bodies} == {
        "root": ["a", "b"],
        "a": ["c"],
        "b": None,
        "c": None,
    }
