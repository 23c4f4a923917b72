"""A dispatcher on a real API server: what the `k8s` trigger does there, and the runs that come of it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import anyio
import yaml
from sqlalchemy import Connection, delete, update

from retrain.app.kubernetes import Kubernetes
from retrain.app.settings import KubernetesGroup
from retrain.clock import SystemClock
from retrain.kube import Cluster
from retrain.store import Store, firings, open_store, outbox, runs, tables
from retrain.store.firings import FiringRow
from retrain.store.runs import RunRow
from tests.servers.kube_server import KubeApi
from tests.servers.launch import wait_until
from triggers import Dispatcher, Tools, redrive
from triggers.kube_objects import KubeObjects
from triggers.objects import open_k8s

CRDS = Path(__file__).parents[1] / "data" / "crds" / "training.yaml"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"


def install(server: KubeApi, *names: str) -> None:
    """Make these kinds known; without names all that there are. Waits until they are served."""
    known = {one["metadata"]["name"] for one in server.ask("GET", DEFINITIONS)["items"]}
    for crd in yaml.safe_load_all(CRDS.read_text()):
        name = crd["metadata"]["name"]
        if name not in known and (not names or name in names):
            server.ask("POST", DEFINITIONS, crd)


def uninstall(server: KubeApi, name: str) -> None:
    """Make a kind unknown. Waits until it is served no more."""
    server.ask("DELETE", f"{DEFINITIONS}/{name}")
    plural, _, group = name.partition(".")

    def served() -> bool:
        versions = [one["preferredVersion"] for one in server.ask("GET", "/apis")["groups"] if one["name"] == group]
        try:
            found = [server.ask("GET", f"/apis/{one['groupVersion']}")["resources"] for one in versions]
        except HTTPError:  # the group went meanwhile
            return False
        return any(one["name"] == plural for resources in found for one in resources)

    wait_until(lambda: not served(), f"{name} is served no more")


@dataclass
class World:
    """One store, one namespace. `fire` gives the firing as it is once it is over, or once it waits."""

    server: KubeApi
    store: Store
    cluster: Cluster
    space: str
    dispatcher: Dispatcher
    stem: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    count: int = 0

    async def fire(self, resource: dict[str, Any], operation: str = "create", **action: Any) -> FiringRow:
        row = await self.send(resource, operation, **action)
        return await self.until(row.id, lambda one: one.state not in firings.OPEN or bool(one.error))

    async def send(self, resource: dict[str, Any], operation: str = "create", **action: Any) -> FiringRow:
        self.count += 1
        body = {"kind": "k8s", "operation": operation, "resource": resource, **action}
        now = datetime.now(UTC)
        row = FiringRow(f"f-{self.stem}{self.count:08x}", "drift", "train", "", ("e" * 32,), body, now)
        self.dispatcher.offer(await self.store.write(lambda c: self.dispatcher.enlist(c, [row])))
        return row

    async def until(self, firing: str, met: Callable[[FiringRow], bool]) -> FiringRow:
        with anyio.fail_after(30):
            while True:
                found = await self.store.read(lambda c: firings.get(c, firing))
                if found is not None and met(found):
                    return found
                await anyio.sleep(0.02)

    async def run(self, firing: FiringRow, met: Callable[[RunRow], bool] = lambda _row: True) -> RunRow:
        """The run that a firing has become, once it is as wanted."""
        run_id = str(firing.result["run"])
        with anyio.fail_after(60):
            while True:
                found = await self.store.read(lambda c: runs.get(c, run_id))
                if found is not None and met(found):
                    return found
                await anyio.sleep(0.05)

    async def die(self, firing: FiringRow) -> None:
        """Let a firing that has acted be one whose answer was lost: dead, with nothing written down of it."""

        def work(connection: Connection) -> None:
            mine = tables.firings.c.id == firing.id
            connection.execute(update(tables.firings).where(mine).values(state="dead", result=None))
            connection.execute(delete(tables.runs).where(tables.runs.c.firing_id == firing.id))

        await self.store.write(work)

    async def redrive(self, firing: FiringRow) -> FiringRow:
        """Let a dead firing act again; as it is then."""
        await self.store.write(lambda c: redrive(c, firing.id, datetime.now(UTC)))
        self.store.signals.notify("firings")
        return await self.until(firing.id, lambda one: one.state not in firings.OPEN)

    async def told(self) -> list[str]:
        """The names of the `run.*` events that wait to be published, in order."""
        waiting = await self.store.read(lambda c: outbox.pending(c))
        return [str(event.subject) for _, event in waiting if str(event.subject).startswith("run.")]

    async def hurry(self, firing: FiringRow) -> None:
        """Let a firing that waits act now."""
        now = datetime.now(UTC)
        mine = tables.firings.c.id == firing.id
        await self.store.write(lambda c: c.execute(update(tables.firings).where(mine).values(next_attempt=now)))
        self.store.signals.notify("firings")

    async def connection(self) -> Cluster:
        return self.cluster

    async def get(self, api: str, kind: str, name: str) -> dict[str, Any]:
        resource = await self.cluster.resource(api, kind)
        return await self.cluster.get(resource.at(self.space, name))

    async def say(self, api: str, kind: str, name: str, status: dict[str, Any]) -> None:
        """Write a status, as the kind's controller would."""
        path = (await self.cluster.resource(api, kind)).at(self.space, name, "status")
        await self.cluster.patch(path, {"status": status})


@asynccontextmanager
async def world(server: KubeApi, path: Path, /, *, follow: bool = False, **more: Any) -> AsyncGenerator[World]:
    """`follow`: with the host that follows objects to their end. `more`: who asks, as `kubeconfig` takes it."""
    space = f"objects-{uuid.uuid4().hex[:8]}"
    server.make_namespace(space)
    clock = SystemClock()
    kubeconfig = path / "kubeconfig"
    kubeconfig.write_text(server.kubeconfig(**more))
    settings = KubernetesGroup(kubeconfig=kubeconfig, namespace=space)
    async with AsyncExitStack() as closing, open_store(path / "store.db") as store:
        there = Kubernetes(settings, "local", store, clock)
        closing.push_async_callback(there.aclose)
        tools = Tools(clock=clock, objects=KubeObjects(there.cluster, there.namespace))
        dispatcher = Dispatcher(store, "me", {"k8s": open_k8s}, tools=tools)
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            if follow:
                await group.start(there.run)
            yield World(server, store, await there.cluster(), space, dispatcher)
            group.cancel_scope.cancel()
    server.ask("DELETE", f"/api/v1/namespaces/{space}")
