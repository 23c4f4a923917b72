"""A host of runs on a real API server whose Workflows nobody works on but the test, which writes their status."""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread

from pipelines.host.queue import RunRequest, submit
from pipelines.kubernetes.creating import Creator
from pipelines.kubernetes.host import ClusterGround, ClusterHost
from retrain.clock import SystemClock
from retrain.kube import Cluster, cluster
from retrain.store import Store, elsewhere, open_store, outbox, runs
from retrain.store.runs import RunRow
from tests.servers.kube_server import KubeApi

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{0}/workflows"
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "workflows.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "names": {"kind": "Workflow", "listKind": "WorkflowList", "plural": "workflows", "singular": "workflow"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""As Argo's own minimal one: no field is checked, and the status is no subresource."""
SPEC = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}]}


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class World:
    """One namespace of the server, and a store. `hosted` runs the host; leave it, and it is down."""

    api: KubeApi
    store: Store
    space: str
    clock: SystemClock = field(default_factory=SystemClock)
    host: ClusterHost | None = None
    idle_s: float = 600.0

    # --- what the platform does --------------------------------------------------------------------------------------

    @asynccontextmanager
    async def hosted(self, *, server: str = "") -> AsyncGenerator[ClusterHost]:
        """`server`: an address to go by, in the place of its own."""
        async with cluster(self.api.kubeconfig(server=server)) as opened, anyio.create_task_group() as group:
            self.host = host = ClusterHost(self.ground(opened))
            await group.start(host.run)
            yield host
            group.cancel_scope.cancel()

    def ground(self, opened: Cluster) -> ClusterGround:
        async def connection() -> Cluster:
            return opened

        async def home() -> str:
            return self.space

        return ClusterGround(
            self.store, self.clock, connection, Creator(self.store, connection, home), idle_s=self.idle_s
        )

    async def ask_for(self, *names: str, **more: Any) -> None:
        """Write runs down that are to be on the cluster."""

        def work(connection: Any) -> None:
            for name in names:
                manifest = {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Workflow",
                    "metadata": {"name": name, **more},
                    "spec": SPEC,
                }
                submit(connection, RunRequest(f"r-{name}", None, manifest, {}, engine="argo"))

        await self.store.write(work)
        self.store.signals.notify("runs")

    async def row(self, name: str) -> RunRow:
        row = await self.store.read(lambda c: runs.get(c, f"r-{name}"))
        assert row is not None
        return row

    async def told(self) -> list[str]:
        """The ids of the events in the outbox."""
        return [event.id for _, event in await self.store.read(lambda c: outbox.pending(c, 10_000))]

    async def until(self, met: Callable[[], Any], what: str, seconds: float = 60) -> None:
        """Wait until an async question is answered with yes."""
        with anyio.move_on_after(seconds):
            while not await met():  # noqa: ASYNC110 - what it asks for is on a server
                await anyio.sleep(0.05)
            return
        raise AssertionError(f"not in {seconds} s: {what}; {self.host.trouble if self.host else ''}")

    async def until_phase(self, name: str, phase: str) -> RunRow:
        async def there() -> bool:
            return (await self.row(name)).phase == phase

        await self.until(there, f"{name} is {phase}")
        return await self.row(name)

    async def until_there(self, *names: str) -> None:
        async def there() -> bool:
            return not await self.store.read(lambda c: elsewhere.unsubmitted(c, 1))

        await self.until(there, f"{len(names)} workflows are on the cluster")

    # --- what Argo's controller would do -----------------------------------------------------------------------------

    async def ask(self, method: str, name: str = "", body: Any = None) -> Any:
        path = WORKFLOWS.format(self.space) + (f"/{name}" if name else "")
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return await anyio.to_thread.run_sync(self.api.ask, method, path, body, kind)

    async def say(self, name: str, phase: str, **status: Any) -> None:
        """Write a status, with the times that go with the phase, and the labels."""
        over = {"finishedAt": stamp()} if phase in {"Succeeded", "Failed", "Error"} else {}
        labels = {"workflows.argoproj.io/phase": phase, **({"workflows.argoproj.io/completed": "true"} if over else {})}
        body = {"phase": phase, "startedAt": stamp(), **over, **copy.deepcopy(status)}
        await self.ask("PATCH", name, {"metadata": {"labels": labels}, "status": body})

    async def end_at(self, space: str, name: str) -> None:
        """The Workflow of another namespace succeeds."""
        times = {"startedAt": stamp(), "finishedAt": stamp()}
        labels = {"workflows.argoproj.io/phase": "Succeeded", "workflows.argoproj.io/completed": "true"}
        body = {"metadata": {"labels": labels}, "status": {"phase": "Succeeded", **times}}
        path = f"{WORKFLOWS.format(space)}/{name}"
        await anyio.to_thread.run_sync(self.api.ask, "PATCH", path, body, "application/merge-patch+json")


@asynccontextmanager
async def open_world(api: KubeApi, folder: Path) -> AsyncGenerator[World]:
    """A new namespace, and a new store in a folder."""
    space = f"a-{uuid4().hex[:8]}"
    await anyio.to_thread.run_sync(install, api)
    await anyio.to_thread.run_sync(api.make_namespace, space)
    async with open_store(folder / "store.db") as store:
        yield World(api, store, space)


def install(api: KubeApi) -> None:
    """Let the server know Workflows."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    if not api.answers(f"{path}/workflows.argoproj.io"):
        api.ask("POST", path, CRD)
    while not api.answers("/apis/argoproj.io/v1alpha1/workflows?limit=1"):
        pass
