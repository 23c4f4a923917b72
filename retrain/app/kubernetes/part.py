"""One connection to the cluster, opened when it is first needed, and the host of the runs that are there."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from pipelines.kubernetes.creating import Creator
from pipelines.kubernetes.host import ClusterGround, ClusterHost
from retrain.app.parts import PartState
from retrain.app.settings import KubernetesGroup
from retrain.clock import Clock
from retrain.errors import ConfigError
from retrain.kube import Cluster, cluster
from retrain.store import Store
from retrain.store.runs import Engine

POD = "KUBERNETES_SERVICE_HOST"
"""Set in every pod of a cluster."""


class Kubernetes:
    """What the platform has of a cluster. Nothing of it is touched before somebody needs it."""

    def __init__(self, settings: KubernetesGroup, engine: Engine, store: Store, clock: Clock) -> None:
        self._settings = settings
        self._engine = engine
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._opened: Cluster | None = None
        self.creator = Creator(store, self.cluster, self.namespace)
        home = self.namespace if engine == "argo" else None
        self._host = ClusterHost(ClusterGround(store, clock, self.cluster, self.creator, home))

    async def cluster(self) -> Cluster:
        """The connection; opened once.

        Raises:
            ConfigError: nothing says how the cluster is reached, or it cannot be read.
        """
        async with self._opening:
            if self._opened is None:
                text = await anyio.to_thread.run_sync(self._kubeconfig)
                self._opened = await self._stack.enter_async_context(cluster(text))
            return self._opened

    async def chosen(self) -> Cluster:
        """The connection, where somebody has said that this platform works on a cluster: a kubeconfig that happens to
        be on a machine may be that of production.

        Raises:
            ConfigError: nobody has; or as `cluster`.
        """
        said = self._settings.kubeconfig or self._settings.namespace or self._engine == "argo"
        if not said and POD not in os.environ:
            raise ConfigError(
                "no cluster is chosen for this platform: set kubernetes.namespace (RETRAIN_KUBERNETES_NAMESPACE) or "
                "kubernetes.kubeconfig, or pipelines.engine: argo"
            )
        return await self.cluster()

    async def namespace(self) -> str:
        """Where objects go that do not say it.

        Raises:
            ConfigError: as `cluster`.
        """
        return self._settings.namespace or (await self.cluster()).namespace

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Follow the runs on the cluster until cancelled; nothing is asked of one as long as there are none."""
        await self._host.run(task_status=task_status)

    async def hold(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Close the connection when all others have stopped: the part that is started first."""
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection, if it was opened: nobody asks the cluster any more."""
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()
        self._opened = None

    def states(self) -> list[PartState]:
        """For `/readyz`; nothing where no cluster is used."""
        if self._engine == "local" and self._opened is None and self._host.trouble is None:
            return []
        return [PartState("cluster", self._host.trouble is None, self._host.trouble)]

    def _kubeconfig(self) -> str:
        return _kubeconfig(self._settings)


@asynccontextmanager
async def opened(settings: KubernetesGroup) -> AsyncGenerator[Cluster]:
    """A connection of one's own, for as long as the block runs; nothing is asked of the cluster yet.

    Raises:
        ConfigError: nothing says how the cluster is reached, or it cannot be read.
    """
    async with cluster(await anyio.to_thread.run_sync(_kubeconfig, settings)) as server:
        yield server


async def own_namespace(settings: KubernetesGroup) -> str:
    """The namespace of the kubeconfig's context, or of this pod; nothing is asked of the cluster.

    Raises:
        ConfigError: nothing says how the cluster is reached, or it cannot be read.
    """
    async with cluster(await anyio.to_thread.run_sync(_kubeconfig, settings)) as server:
        return server.namespace


def _kubeconfig(settings: KubernetesGroup) -> str:
    path = settings.kubeconfig
    try:
        return path.expanduser().read_text() if path is not None else ""
    except OSError as error:
        raise ConfigError(f"kubernetes.kubeconfig: {path} cannot be read: {error.strerror}") from error
