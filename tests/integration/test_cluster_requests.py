"""What is asked of Workflows on a real API server, where the test is the controller: races, packed nodes, refusals."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.core.happenings import Resume, SetNodes, Stop, Suspend
from pipelines.core.nodes import Outputs
from pipelines.host import control
from pipelines.host.control import ResubmitOptions, RetryOptions
from pipelines.kubernetes.patching import packed
from pipelines.kubernetes.reading import unpacked
from pipelines.kubernetes.requests import TRIES, ClusterRequests
from retrain.errors import ConfigError, NotFound, Refused, Transient
from retrain.kube import Cluster, Conflict, cluster
from retrain.store import runs
from tests.integration.cluster_host_world import World, open_world
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


def nodes(name: str, **more: Any) -> dict[str, Any]:
    """A run with one step that waits."""
    root = {"id": name, "name": name, "displayName": name, "type": "Steps", "phase": "Running", "templateName": "main",
            "children": [f"{name}-1"]}  # fmt: skip
    step = {"id": f"{name}-1", "name": f"{name}.ask", "displayName": "ask", "type": "Suspend", "phase": "Running",
            "boundaryID": name, "templateName": "ask"}  # fmt: skip
    return {name: root, f"{name}-1": {**step, **more}}


def failed(name: str) -> dict[str, Any]:
    """A run whose second step failed."""
    found = nodes(name)
    found[name] |= {"phase": "Failed", "children": [f"{name}-1"]}
    found[f"{name}-1"] |= {"type": "Pod", "phase": "Succeeded", "children": [f"{name}-2"]}
    found[f"{name}-2"] = {**found[f"{name}-1"], "id": f"{name}-2", "name": f"{name}.bad", "displayName": "bad",
                          "phase": "Failed", "children": []}  # fmt: skip
    return found


@asynccontextmanager
async def begun(api: KubeApi, folder: Path, **status: Any) -> AsyncGenerator[tuple[World, ClusterRequests, Cluster]]:
    """A run `w` on the cluster, which says this of itself."""
    async with open_world(api, folder) as world, cluster(api.kubeconfig()) as connection, world.hosted():
        await world.ask_for("w", annotations={"workflows.argoproj.io/pod-name-format": "v1"})
        await world.until_there("w")
        await world.say("w", status.pop("phase", "Running"), **status)
        yield world, requests(world, connection), connection


def requests(world: World, connection: Cluster) -> ClusterRequests:
    async def opened() -> Cluster:
        return connection

    return ClusterRequests(world.store, world.clock, opened)


async def test_packed_nodes_are_changed_and_packed_again(kube_api: KubeApi, tmp_path: Path) -> None:
    found = nodes("w", outputs={"parameters": [{"name": "x", "valueFrom": {"supplied": {}}}]})
    async with begun(kube_api, tmp_path, compressedNodes=packed(found)) as (world, asked, _):
        await asked.ask(await world.row("w"), SetNodes("displayName=ask", outputs=Outputs({"x": "1"})))
        await asked.ask(await world.row("w"), Resume(by="ann"))

        there = await world.ask("GET", "w")
        step = unpacked(there)["status"]["nodes"]["w-1"]
        assert "nodes" not in there["status"]
        assert step["phase"] == "Succeeded"
        assert step["outputs"]["parameters"] == [{"name": "x", "value": "1"}]
        assert step["message"] == "Resumed by: map[User:ann]"


async def test_nodes_in_argos_database_are_refused_but_the_whole_can_be_ended(
    kube_api: KubeApi, tmp_path: Path
) -> None:
    async with begun(kube_api, tmp_path, offloadNodeStatusVersion="fnv:1") as (world, asked, _):
        row = await world.row("w")
        with pytest.raises(Refused, match="its nodes lie in Argo's database"):
            await asked.ask(row, Resume("displayName=ask"))

        await asked.ask(row, Suspend())
        await asked.ask(row, Stop("Terminate"))

        assert (await world.ask("GET", "w"))["spec"]["shutdown"] == "Terminate"
        assert (await world.row("w")).control == "terminate"
        with pytest.raises(Refused, match="was asked to terminate already; it cannot be asked to stop"):
            await asked.ask(row, Stop())


async def test_nodes_that_go_to_argos_database_in_a_run_are_not_shown_as_they_were(
    kube_api: KubeApi, tmp_path: Path
) -> None:
    async with begun(kube_api, tmp_path, nodes=nodes("w")) as (world, _, _):

        async def shown() -> bool:
            return bool(await world.store.read(lambda c: runs.load_nodes(c, "r-w")))

        await world.until(shown, "its nodes are known")
        await world.say("w", "Running", nodes=None, offloadNodeStatusVersion="fnv:1", message="as it says")

        async def named() -> bool:
            return (await world.row("w")).message.startswith("as it says; the controller keeps the nodes of this run")

        await world.until(named, "it is said")
        assert not await shown()
        assert (await world.row("w")).pods == ""
        await world.say("w", "Running", nodes=nodes("w"), offloadNodeStatusVersion=None)
        await world.until(shown, "they are back")
        await world.say("w", "Succeeded", nodes=None, offloadNodeStatusVersion="fnv:2")

        async def over() -> bool:
            return (await world.row("w")).phase == "Succeeded"

        await world.until(over, "it is over")
        assert not await shown()


class Busy:
    """A connection whose object somebody else changes before each of our first `times` changes."""

    def __init__(self, connection: Cluster, world: World, times: int) -> None:
        self._connection, self._world, self.times = connection, world, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def patch(self, path: str, body: Any, how: Any = "merge", **more: Any) -> Any:
        if self.times:
            self.times -= 1
            await self._world.ask("PATCH", "w", {"metadata": {"annotations": {"seen": str(self.times)}}})
        return await self._connection.patch(path, body, how, **more)


async def test_a_change_is_derived_again_where_somebody_was_quicker(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, nodes=nodes("w")) as (world, _, connection):
        busy: Any = Busy(connection, world, 3)

        await requests(world, busy).ask(await world.row("w"), Resume())

        there = await world.ask("GET", "w")
        assert there["status"]["nodes"]["w-1"]["phase"] == "Succeeded"
        assert there["metadata"]["annotations"]["seen"] == "0"


async def test_an_object_that_changes_all_the_time_is_given_up(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, nodes=nodes("w")) as (world, _, connection):
        busy: Any = Busy(connection, world, 10 * TRIES)

        with pytest.raises(Transient, match="is changed by others all the time"):
            await requests(world, busy).ask(await world.row("w"), Resume())

        assert (await world.ask("GET", "w"))["status"]["nodes"]["w-1"]["phase"] == "Running"


async def test_a_retry_opens_the_run_once_whoever_sees_it_first(kube_api: KubeApi, tmp_path: Path) -> None:
    """The watch runs beside it; both see the same object, and the second life is counted once."""
    async with begun(kube_api, tmp_path, phase="Failed", nodes=failed("w")) as (world, asked, _):
        await world.until_phase("w", "Failed")
        pod = {"metadata": {"name": "w-2"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
        pods = f"/api/v1/namespaces/{world.space}/pods"
        await anyio.to_thread.run_sync(make_account, world)
        await anyio.to_thread.run_sync(world.api.ask, "POST", pods, pod)

        await asked.retry(await world.row("w"), RetryOptions())

        assert (await world.row("w")).phase == "Running"
        there = (await world.ask("GET", "w"))["status"]
        assert there["nodes"].keys() == {"w", "w-1"}
        assert not await anyio.to_thread.run_sync(world.api.answers, f"{pods}/w-2")
        await world.say("w", "Succeeded")
        await world.until_phase("w", "Succeeded")
        assert (await world.row("w")).retries == 1
        assert await world.told() == ["r-w.started", "r-w.failed", "r-w.succeeded.1"]


def make_account(world: World) -> None:
    """Nobody makes it where no controllers are."""
    path = f"/api/v1/namespaces/{world.space}/serviceaccounts"
    if not world.api.answers(f"{path}/default"):
        world.api.ask("POST", path, {"metadata": {"name": "default"}})


async def test_no_pod_is_deleted_for_a_retry_that_is_refused(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, phase="Failed", nodes=failed("w")) as (world, _, connection):
        await world.until_phase("w", "Failed")
        deleted: list[str] = []

        class Refusing(Busy):
            async def patch(self, path: str, body: Any, how: Any = "merge", **more: Any) -> Any:
                raise Conflict("not now")

            async def delete(self, path: str, **more: Any) -> Any:
                deleted.append(path)

        refusing: Any = Refusing(connection, world, 0)
        with pytest.raises(Transient):
            await requests(world, refusing).retry(await world.row("w"), RetryOptions())

        assert deleted == []
        assert (await world.row("w")).phase == "Failed"


async def test_what_a_trigger_asks_is_done_on_the_cluster(kube_api: KubeApi, tmp_path: Path) -> None:
    """By way of the store: in the transaction of whoever asks, and then by the host."""
    async with begun(kube_api, tmp_path, phase="Failed", nodes=failed("w")) as (world, _, _connection):
        row = await world.until_phase("w", "Failed")

        await world.store.write(lambda c: control.retry(c, row, RetryOptions(depth=3), world.clock.now()))
        world.store.signals.notify("runs")
        again = await world.until_phase("w", "Running")
        await world.store.write(lambda c: control.ask(c, again, "stop"))
        world.store.signals.notify("runs")

        async def stopped() -> bool:
            return (await world.ask("GET", "w"))["spec"].get("shutdown") == "Stop"

        await world.until(stopped, "it is stopped")
        assert (await world.row("w")).depth == 3


async def test_a_memoized_resubmission_is_on_the_cluster_with_its_status(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, phase="Failed", nodes=failed("w")) as (world, asked, _):
        await world.until_phase("w", "Failed")

        made = await asked.resubmit(await world.row("w"), ResubmitOptions(name="again", memoized=True))

        there = await world.ask("GET", "again")
        assert there["metadata"]["labels"]["retrain.dev/run"] == made.id
        assert {one["name"]: one["phase"] for one in there["status"]["nodes"].values()} == {
            "again": "Running",
            "again.ask": "Succeeded",
        }
        assert made.object is not None


async def test_a_workflow_of_another_run_is_left_alone(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, nodes=nodes("w")) as (world, asked, _):
        row = await world.row("w")
        await world.ask("PATCH", "w", {"metadata": {"labels": {"retrain.dev/run": "r-other"}}})

        with pytest.raises(NotFound, match="on the cluster is another one"):
            await asked.ask(row, Suspend())
        await asked.delete(row)

        assert (await world.ask("GET", "w"))["spec"].get("suspend") is None


async def test_deleting_twice_is_deleting_once(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, nodes=nodes("w")) as (world, asked, _):
        row = await world.row("w")

        await asked.delete(row)
        await asked.delete(row)

        ended = await world.until_phase("w", "Error")
        assert "was deleted from the cluster" in ended.message
        with pytest.raises(NotFound, match="is not on the cluster any more"):
            await asked.ask(row, Suspend())


async def test_an_api_server_that_is_away_is_transient(kube_api: KubeApi, tmp_path: Path) -> None:
    async with open_world(kube_api, tmp_path) as world:
        await world.ask_for("w")
        async with cluster(kube_api.kubeconfig(server=f"https://127.0.0.1:{free_port()}")) as nobody:
            with pytest.raises(Transient, match="cannot be reached"):
                await requests(world, nobody).ask(await world.row("w"), Resume("displayName=ask"))


async def test_a_run_that_is_not_there_yet_is_asked_again_later(kube_api: KubeApi, tmp_path: Path) -> None:
    async with open_world(kube_api, tmp_path) as world, cluster(kube_api.kubeconfig()) as connection:
        await world.ask_for("w")

        with pytest.raises(Transient, match="is not on the cluster yet"):
            await requests(world, connection).ask(await world.row("w"), Resume("displayName=ask"))
        assert (await world.row("w")).phase in runs.OPEN


async def test_a_run_that_is_not_there_yet_is_ended_without_the_cluster(kube_api: KubeApi, tmp_path: Path) -> None:
    """Its API server is away when it is asked; and when it is back, nothing is submitted."""
    async with open_world(kube_api, tmp_path) as world:
        await world.ask_for("w")
        async with cluster(kube_api.kubeconfig(server=f"https://127.0.0.1:{free_port()}")) as nobody:
            await requests(world, nobody).ask(await world.row("w"), Stop("Terminate"))

        async with world.hosted():
            await world.ask_for("other")
            await world.until_there("other")
            ended = await world.until_phase("w", "Failed")
        assert ended.message == "Stopped with strategy 'Terminate'"
        assert "r-w.failed" in await world.told()
        assert [one["metadata"]["name"] for one in (await world.ask("GET"))["items"]] == ["other"]


async def test_bad_words_change_nothing(kube_api: KubeApi, tmp_path: Path) -> None:
    async with begun(kube_api, tmp_path, nodes=nodes("w")) as (world, asked, _):
        row, before = await world.row("w"), await world.ask("GET", "w")

        for request in (Resume("color=red"), SetNodes("", outputs=Outputs({"zz": "1"})), Stop("Stop", "", "id=zz")):
            with pytest.raises(ConfigError):
                await asked.ask(row, request)

        assert await world.ask("GET", "w") == before
