"""Logs of runs on a cluster: real pods, real cuts. The rows are as the mirror writes them."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from anyio import fail_after

from pipelines.kubernetes.pod_logs import LONGEST
from retrain.app.runs.logs import LogPlace, LogWish, StepLine, log_lines
from retrain.errors import ConfigError, NotFound, Transient
from retrain.kube import Cluster
from retrain.kube import cluster as connect
from retrain.store import Store, elsewhere, open_store, runs
from retrain.store.runs import RunRow
from tests.servers.cluster_server import ClusterServer
from tests.servers.launch import free_port, wait_until
from tests.servers.proxy import Proxy, proxy

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
RUN = "r-1"
LIMIT_S = 150


@dataclass
class World:
    """A run in a store, and its pods on the cluster."""

    server: ClusterServer
    store: Store
    space: str
    data: Path
    seen: int = 0

    async def begin(self, *steps: str, phase: str = "Running") -> RunRow:
        """The run with these steps, none of which has begun."""
        manifest: Any = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}}
        row = RunRow(RUN, "w", "w", manifest, {}, NOW, self.space, engine="argo", object={"metadata": {}, "status": {}})
        await self.store.write(lambda c: runs.submit(c, [row]))
        await self.see(dict.fromkeys(steps, "Pending"), phase)
        return await self.row()

    async def row(self) -> RunRow:
        found = await self.store.read(lambda c: runs.get(c, RUN))
        assert found is not None
        return found

    async def see(self, phases: Mapping[str, str], phase: str = "Running") -> None:
        """What a watch would have seen: the steps' phases, and that of the run."""
        nodes: dict[str, Any] = {
            f"w-{step}": {"id": f"w-{step}", "name": f"w.{step}", "displayName": step, "type": "Pod", "phase": said,
                          "startedAt": "2026-11-22T08:00:00Z"}
            for step, said in phases.items()
        }  # fmt: skip
        self.seen += 1
        version: Any = {"metadata": {"resourceVersion": str(self.seen),
                                     "annotations": {"workflows.argoproj.io/pod-name-format": "v1"}}}  # fmt: skip

        def work(connection: Any) -> None:
            runs.save_nodes(connection, RUN, nodes)
            elsewhere.reflect(connection, RUN, {"phase": phase, "object": {**version, "status": {}}})

        await self.store.write(work)

    def pod(self, step: str, script: str) -> None:
        """Start the pod of a step."""
        container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
        body = {
            "metadata": {"name": f"w-{step}"},
            "spec": {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0},
        }
        self.server.ask("POST", f"/api/v1/namespaces/{self.space}/pods", body)

    async def until(self, step: str, *phases: str) -> None:
        """Wait until the pod of a step is in one of these phases."""

        def look() -> bool:
            found = self.server.ask("GET", f"/api/v1/namespaces/{self.space}/pods/w-{step}")
            return bool(found) and found["status"].get("phase") in phases

        await anyio.to_thread.run_sync(wait_until, look, f"the pod of {step} is {' or '.join(phases)}")

    def place(self, connection: Cluster) -> LogPlace:
        async def opened() -> Cluster:
            return connection

        return LogPlace(self.store, self.data, None, opened)

    def config(self, address: str = "") -> str:
        """The administrator's kubeconfig; `address`: by way of a proxy there."""
        config = yaml.safe_load(self.server.kubeconfig.read_text())
        if address:
            config["clusters"][0]["cluster"]["server"] = f"https://{address}"
        return yaml.safe_dump(config)


@asynccontextmanager
async def world(server: ClusterServer, place: Path) -> AsyncGenerator[World]:
    with fail_after(LIMIT_S), server.space("b-logs") as space:
        async with open_store(place / "store.db") as store:
            yield World(server, store, space, place)


@asynccontextmanager
async def through_a_proxy(found: World) -> AsyncGenerator[tuple[Proxy, Cluster]]:
    async with proxy("10.244.0.1:6443") as way, connect(found.config(way.address)) as connection:
        yield way, connection


async def told(place: LogPlace, run: RunRow, wish: LogWish) -> list[StepLine]:
    """All lines, to the end."""
    found: list[StepLine] = []
    async with aclosing((await log_lines(place, run, wish)).batches) as batches:
        async for batch in batches:
            found += batch
    return found


def texts(lines: list[StepLine], step: str) -> list[str]:
    return [one.line.text for one in lines if one.node["displayName"] == step]


def counting(count: int, pause: float) -> str:
    return f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; sleep {pause}; done"


async def test_lines_of_pods_that_come_and_go_are_followed_through_cuts(cluster: ClusterServer, tmp_path: Path) -> None:
    """The connection is cut three times a second while five pods speak, the last of them after the others."""
    async with world(cluster, tmp_path) as found, through_a_proxy(found) as (way, connection):
        steps = ["a", "b", "c", "d"]
        run = await found.begin(*steps, "z")
        lines: list[StepLine] = []

        async def follow() -> None:
            lines.extend(await told(found.place(connection), run, LogWish(follow=True)))

        async def cut() -> None:
            while True:
                await anyio.sleep(0.3)
                way.cut()

        async with anyio.create_task_group() as group, anyio.create_task_group() as cutting:
            group.start_soon(follow)
            cutting.start_soon(cut)
            for step in steps:
                found.pod(step, counting(150, 0.05))
            for step in steps:
                await found.until(step, "Running", "Succeeded")
                await found.see({step: "Running", "z": "Pending"})
            for step in steps:
                await found.until(step, "Succeeded")
            found.pod("z", counting(20, 0.05))
            await found.until("z", "Running", "Succeeded")
            await found.see(dict.fromkeys(steps, "Succeeded") | {"z": "Running"})
            await found.until("z", "Succeeded")
            cutting.cancel_scope.cancel()
            await found.see(dict.fromkeys([*steps, "z"], "Succeeded"), "Succeeded")

        assert way.done["cut"] > 5
        for step in steps:
            assert texts(lines, step) == [f"line {n}" for n in range(1, 151)]
        assert texts(lines, "z") == [f"line {n}" for n in range(1, 21)]


async def test_whoever_comes_again_gets_what_follows(cluster: ClusterServer, tmp_path: Path) -> None:
    async with world(cluster, tmp_path) as found, through_a_proxy(found) as (_, connection):
        run = await found.begin("a")
        found.pod("a", counting(200, 0.01))
        await found.until("a", "Running", "Succeeded")
        await found.see({"a": "Running"})
        place, first = found.place(connection), list[StepLine]()
        async with aclosing((await log_lines(place, run, LogWish(follow=True))).batches) as batches:
            async for batch in batches:
                first += batch
                if len(first) > 50:
                    break
        await found.until("a", "Succeeded")
        await found.see({"a": "Succeeded"}, "Succeeded")

        places = {first[-1].log: first[-1].line.end}
        rest = await told(place, await found.row(), LogWish(follow=True, places=places))
        again = await told(place, await found.row(), LogWish(places=places))

        assert texts([*first, *rest], "a") == [f"line {n}" for n in range(1, 201)]
        assert texts(rest, "a") == texts(again, "a")


async def test_words_choose_lines(cluster: ClusterServer, tmp_path: Path) -> None:
    async with world(cluster, tmp_path) as found, through_a_proxy(found) as (_, connection):
        await found.begin("a", "b")
        found.pod("a", counting(12, 0.01))
        found.pod("b", "echo only one; exit 1")
        await found.until("a", "Succeeded")
        await found.until("b", "Failed")
        await found.see({"a": "Succeeded", "b": "Failed"}, "Failed")
        place, run = found.place(connection), await found.row()

        assert texts(await told(place, run, LogWish(tail=2)), "a") == ["line 11", "line 12"]
        assert texts(await told(place, run, LogWish(tail=2, follow=True)), "a") == ["line 11", "line 12"]
        assert texts(await told(place, run, LogWish(grep="1[02]")), "a") == ["line 10", "line 12"]
        assert texts(await told(place, run, LogWish(selector="phase=Failed")), "b") == ["only one"]
        assert await told(place, run, LogWish(since=datetime(2099, 1, 1, tzinfo=UTC))) == []
        with pytest.raises(NotFound, match="w has no container 'db' that wrote a log"):
            await log_lines(place, run, LogWish(container="db"))
        with pytest.raises(NotFound, match="w has no step 'zz'"):
            await log_lines(place, run, LogWish(node="zz"))


async def test_an_api_server_that_is_away_is_said_before_the_answer_begins(
    cluster: ClusterServer, tmp_path: Path
) -> None:
    async with world(cluster, tmp_path) as found, connect(found.config(f"127.0.0.1:{free_port()}")) as nobody:
        await found.begin("a")
        await found.see({"a": "Succeeded"}, "Succeeded")

        with pytest.raises(Transient, match="cannot be reached"):
            await log_lines(found.place(nobody), await found.row(), LogWish())


async def test_an_account_that_may_not_read_logs_is_told_so(cluster: ClusterServer, tmp_path: Path) -> None:
    async with world(cluster, tmp_path) as found:
        await found.begin("a")
        found.pod("a", "echo hidden")
        await found.until("a", "Succeeded")
        await found.see({"a": "Succeeded"}, "Succeeded")
        async with connect(cluster.account(found.space, {"/pods": ["get"]}, found.space)) as few:
            with pytest.raises(ConfigError, match='cannot get resource "pods/log"'):
                await log_lines(found.place(few), await found.row(), LogWish())


async def test_much_that_nobody_reads_is_held_back(cluster: ClusterServer, tmp_path: Path) -> None:
    """8 MB come of one pod, more quickly than they are taken: what lies here in between stays small."""
    async with world(cluster, tmp_path) as found, through_a_proxy(found) as (_, connection):
        await found.begin("a")
        found.pod("a", "yes 'a line of a log that says little but says it often, until the end' | head -c 8000000")
        await found.until("a", "Succeeded")
        await found.see({"a": "Succeeded"}, "Succeeded")
        tracemalloc.start()
        count = 0
        for wish in (LogWish(), LogWish(follow=True)):
            async with aclosing((await log_lines(found.place(connection), await found.row(), wish)).batches) as batches:
                async for batch in batches:
                    count += len(batch)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert count > 200_000
        assert peak < 32 * LONGEST
