"""What one run, one namespace or one answer of a server may not do to all the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest

from pipelines.kubernetes import installed
from pipelines.kubernetes.submitting import BATCH
from pipelines.kubernetes.versions import Version
from retrain.kube import cluster
from retrain.store import runs
from tests.integration.cluster_host_world import World, open_world
from tests.servers.kube_proxy import kube_proxy, spoil
from tests.servers.kube_server import KubeApi

pytestmark = [pytest.mark.integration, pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture
async def world(kube_api: KubeApi, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(kube_api, tmp_path) as made:
        yield made


async def another_namespace(api: KubeApi) -> str:
    name = f"b-{uuid4().hex[:8]}"
    await anyio.to_thread.run_sync(api.make_namespace, name)
    return name


def fill(api: KubeApi, space: str) -> None:
    """No Workflow has room in this namespace. Without a quota controller its status is written here."""
    none: dict[str, Any] = {"hard": {"count/workflows.argoproj.io": "0"}}
    path, quota = f"/api/v1/namespaces/{space}/resourcequotas", {"metadata": {"name": "q"}, "spec": none}
    api.ask("POST", path, quota)
    api.ask("PUT", f"{path}/q/status", {**quota, "status": {**none, "used": {"count/workflows.argoproj.io": "0"}}})


async def test_a_namespace_without_room_holds_up_no_other(world: World) -> None:
    await anyio.to_thread.run_sync(fill, world.api, world.space)
    other = await another_namespace(world.api)
    await world.ask_for(*(f"waits-{number}" for number in range(BATCH + 1)))
    await world.ask_for("goes", namespace=other)

    async with world.hosted() as host:

        async def gone() -> bool:
            return (await world.row("goes")).object is not None

        async def said() -> bool:
            return "exceeded quota" in (host.trouble or "")

        await world.until(gone, "the run of the other namespace is on the cluster")
        await world.until(said, "what the others wait for is said")

    assert (await world.row("waits-0")).object is None


async def test_a_run_that_cannot_be_asked_now_holds_up_no_other(world: World) -> None:
    async with kube_proxy(world.api) as proxy, world.hosted(server=f"https://{proxy.address}"):
        await world.ask_for("stuck", "w")
        await world.until_there("stuck", "w")
        proxy.spoils = (spoil("answer", "patch", part="/workflows/stuck"),)
        for name in ("stuck", "w"):
            await world.store.write(lambda c, name=name: runs.ask(c, f"r-{name}", "terminate"))
        world.store.signals.notify("runs")

        async def terminated() -> bool:
            return (await world.ask("GET", "w"))["spec"].get("shutdown") == "Terminate"

        await world.until(terminated, "the other one is terminated")
        assert "shutdown" not in (await world.ask("GET", "stuck"))["spec"]


async def test_a_watch_that_ends_as_soon_as_it_begins_is_said_and_not_asked_for_all_the_time(world: World) -> None:
    async with kube_proxy(world.api) as proxy, world.hosted(server=f"https://{proxy.address}") as host:
        proxy.spoils = (spoil("end", "watch"),)
        await world.ask_for("w")

        async def said() -> bool:
            return "ended as soon as it had begun" in (host.trouble or "")

        await world.until(said, "the trouble is said")
        proxy.spoils = ()
        await world.until_there("w")
        await world.say("w", "Succeeded")
        await world.until_phase("w", "Succeeded")


async def test_a_place_where_nothing_runs_any_more_is_not_watched_for_ever(world: World) -> None:
    other = await another_namespace(world.api)
    world.idle_s = 0.5
    async with world.hosted() as host:
        await world.ask_for("w", namespace=other)

        async def watched() -> bool:
            return any(one.namespace == other for one in host.watched)

        async def left() -> bool:
            return all(one.namespace != other for one in host.watched)

        await world.until(watched, "the other namespace is watched")
        await world.end_at(other, "w")
        await world.until_phase("w", "Succeeded")
        await world.until(left, "it is left")
        await world.ask_for("again", namespace=other)
        await world.until(watched, "it is watched again")
        await world.end_at(other, "again")
        await world.until_phase("again", "Succeeded")

    assert await world.told() == [
        f"r-{name}.{moment}" for name in ("w", "again") for moment in ("started", "succeeded")
    ]


async def test_a_version_that_was_told_counts_while_nobody_tells_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "AGAIN_S", 0.0)
    path = f"/apis/apps/v1/namespaces/{world.space}/deployments"
    labels = {"app": "workflow-controller"}
    container = {"name": "c", "image": "quay.io/argoproj/workflow-controller:v3.5.10"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    controller = {
        "metadata": {"name": "workflow-controller"},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }
    await anyio.to_thread.run_sync(world.api.ask, "POST", path, controller)
    try:
        async with kube_proxy(world.api) as proxy, cluster(proxy.kubeconfig) as opened:
            known = installed.Installed()
            first = await known.version(opened, world.space)
            proxy.spoils = (spoil("answer", "list", "get", part="/deployments"),)
            again = await known.version(opened, world.space)
    finally:
        await anyio.to_thread.run_sync(world.api.ask, "DELETE", f"{path}/workflow-controller")

    assert (first, again) == (Version(3, 5, 10), Version(3, 5, 10))
