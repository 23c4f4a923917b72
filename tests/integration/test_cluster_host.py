"""Runs on a real API server: created, mirrored, and found again through outages, restarts and deletions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from retrain.store import checkpoints, runs
from tests.integration.cluster_host_world import World, open_world, stamp
from tests.servers.kube_server import KubeApi

pytestmark = [pytest.mark.integration, pytest.mark.anyio, pytest.mark.timeout(300)]

NODES = {
    "w": {"id": "w", "name": "w", "displayName": "w", "type": "Steps", "phase": "Running", "children": ["w-1"]},
    "w-1": {"id": "w-1", "name": "w[0].a", "displayName": "a", "type": "Pod", "phase": "Running"},
}


@pytest.fixture
async def world(kube_api: KubeApi, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(kube_api, tmp_path) as made:
        yield made


async def test_a_run_is_created_followed_and_told_of(world: World) -> None:
    async with world.hosted():
        await world.ask_for("w")
        await world.until_there("w")
        await world.say("w", "Running", nodes=NODES)
        await world.until_phase("w", "Running")
        await world.say("w", "Succeeded", nodes=NODES, outputs={"parameters": [{"name": "auc", "value": "0.9"}]})
        row = await world.until_phase("w", "Succeeded")

    assert await world.told() == ["r-w.started", "r-w.succeeded"]
    assert row.namespace == world.space
    assert row.outputs == {"parameters": [{"name": "auc", "value": "0.9"}]}
    assert await world.store.read(lambda c: runs.load_nodes(c, "r-w")) == NODES


async def test_the_object_has_our_labels_and_what_the_cluster_refuses_is_the_end(world: World) -> None:
    async with world.hosted():
        await world.ask_for("w")
        await world.ask_for("elsewhere", namespace="a-not-there")
        await world.until_there("w")
        row = await world.until_phase("elsewhere", "Error")
        found = await world.ask("GET", "w")

    assert found["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "retrain", "retrain.dev/run": "r-w"}
    assert 'namespaces "a-not-there" not found' in row.message
    assert await world.told() == ["r-elsewhere.failed"]


async def test_what_ended_while_the_platform_was_down_is_told_once(world: World) -> None:
    async with world.hosted():
        await world.ask_for("ended", "deleted", "ended-and-deleted", "runs")
        await world.until_there("ended")
        for name in ("ended", "deleted", "ended-and-deleted", "runs"):
            await world.say(name, "Running")
            await world.until_phase(name, "Running")
    await world.say("ended", "Failed", message="out of memory")
    await world.ask("DELETE", "deleted")
    await world.say("ended-and-deleted", "Succeeded")
    await world.ask("DELETE", "ended-and-deleted")

    async with world.hosted():
        ended = await world.until_phase("ended", "Failed")
        deleted = await world.until_phase("deleted", "Error")
        await world.until_phase("ended-and-deleted", "Succeeded")
        await world.say("runs", "Succeeded")
        await world.until_phase("runs", "Succeeded")

    assert ended.message == "out of memory"
    assert "was deleted from the cluster while it was Running" in deleted.message
    told = await world.told()
    assert sorted(told) == sorted(set(told))
    assert {one for one in told if not one.endswith("started")} == {
        "r-ended.failed",
        "r-deleted.failed",
        "r-ended-and-deleted.succeeded",
        "r-runs.succeeded",
    }


@pytest.mark.parametrize("version", ["1", "", "99999999999"])
async def test_a_version_that_is_too_old_or_unknown_lists_everything_anew(world: World, version: str) -> None:
    async with world.hosted():
        await world.ask_for("ended", "gone", "runs")
        await world.until_there("ended")
        for name in ("ended", "gone", "runs"):
            await world.say(name, "Running")
            await world.until_phase(name, "Running")
    await world.say("ended", "Succeeded")
    await world.ask("DELETE", "gone")
    place = f"argoproj.io/v1alpha1/Workflow/{world.space}"
    value: dict[str, Any] = {place: {"version": version}}
    await world.store.write(lambda c: checkpoints.save(c, "kubernetes", value))

    async with world.hosted():
        await world.until_phase("ended", "Succeeded")
        gone = await world.until_phase("gone", "Error")
        await world.say("runs", "Succeeded")
        await world.until_phase("runs", "Succeeded")

    assert "gone" in gone.message
    assert len([one for one in await world.told() if not one.endswith("started")]) == 3


async def test_deleted_by_its_ttl_a_run_stays_as_it_ended(world: World) -> None:
    async with world.hosted():
        await world.ask_for("w", "next")
        await world.until_there("w")
        await world.say("w", "Succeeded")
        before = await world.until_phase("w", "Succeeded")
        await world.ask("DELETE", "w")
        await world.say("next", "Succeeded")
        await world.until_phase("next", "Succeeded")

    assert await world.row("w") == before


async def test_an_object_of_that_name_that_is_not_ours_is_not_taken_for_it(world: World) -> None:
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}}
    await world.ask("POST", "", body)

    async with world.hosted():
        await world.ask_for("w")
        row = await world.until_phase("w", "Error")

    assert "it is another one" in row.message


async def test_the_same_run_that_is_there_already_is_followed(world: World) -> None:
    """A process that died between the creation and its row: the next one makes no second one."""
    async with world.hosted():
        await world.ask_for("w")
        await world.until_there("w")
    await world.say("w", "Succeeded")
    before = await world.ask("GET", "w")
    await world.store.write(lambda c: runs_without_object(c, "r-w"))

    async with world.hosted():
        row = await world.until_phase("w", "Succeeded")

    assert row.object is not None
    assert row.object["metadata"]["uid"] == before["metadata"]["uid"]


def runs_without_object(connection: Any, run_id: str) -> None:
    from retrain.store import elsewhere

    elsewhere.reflect(connection, run_id, {"object": None})


async def test_a_stopped_run_that_is_not_there_yet_never_comes(world: World) -> None:
    await world.ask_for("w")
    await world.store.write(lambda c: runs.ask(c, "r-w", "stop"))

    async with world.hosted():
        row = await world.until_phase("w", "Failed")

    assert row.message == "Stopped with strategy 'Stop'"
    assert (await world.ask("GET"))["items"] == []


async def test_what_the_store_asks_of_a_run_is_done_to_its_object(world: World) -> None:
    async with world.hosted():
        await world.ask_for("w")
        await world.until_there("w")
        await world.say("w", "Running")
        await world.until_phase("w", "Running")
        await world.store.write(lambda c: runs.ask(c, "r-w", "terminate"))
        world.store.signals.notify("runs")

        async def terminated() -> bool:
            return (await world.ask("GET", "w"))["spec"].get("shutdown") == "Terminate"

        await world.until(terminated, "it is terminated")


async def test_the_api_servers_outage_is_said_and_survived(world: World) -> None:
    async with world.hosted() as host:
        await world.ask_for("w", "next")
        await world.until_there("w")
        await world.say("w", "Running")
        await world.until_phase("w", "Running")
        await anyio.to_thread.run_sync(world.api.kill)
        try:

            async def said() -> bool:
                return "cannot be reached" in (host.trouble or "")

            await world.until(said, "the outage is said")
            await world.ask_for("meanwhile")
        finally:
            await anyio.to_thread.run_sync(world.api.start)
        await world.until_there("meanwhile")
        await world.say("w", "Succeeded")
        await world.until_phase("w", "Succeeded")

        async def well() -> bool:
            return host.trouble is None

        await world.until(well, "nothing is wrong any more")

    assert await world.told() == ["r-w.started", "r-w.succeeded"]


async def test_nodes_that_are_packed_are_unpacked(world: World) -> None:
    import base64
    import gzip

    import orjson

    packed = base64.b64encode(gzip.compress(orjson.dumps(NODES))).decode()
    async with world.hosted():
        await world.ask_for("w")
        await world.until_there("w")
        await world.say("w", "Running", compressedNodes=packed)
        await world.until_phase("w", "Running")

    assert await world.store.read(lambda c: runs.load_nodes(c, "r-w")) == NODES


async def test_a_run_that_was_tried_again_is_open_again(world: World) -> None:
    async with world.hosted():
        await world.ask_for("w")
        await world.until_there("w")
        await world.say("w", "Failed", nodes={**NODES, "w-2": {**NODES["w-1"], "id": "w-2"}})
        await world.until_phase("w", "Failed")
        await world.ask("PATCH", "w", {"status": None})
        await world.ask("PATCH", "w", {"status": {"phase": "Running", "startedAt": stamp(), "nodes": NODES}})
        row = await world.until_phase("w", "Running")
        assert (row.retries, row.finished) == (1, None)
        await world.say("w", "Succeeded", nodes=NODES)
        await world.until_phase("w", "Succeeded")

    assert await world.told() == ["r-w.started", "r-w.failed", "r-w.succeeded.1"]
    assert await world.store.read(lambda c: runs.load_nodes(c, "r-w")) == NODES
