"""Puts Workflows on a cluster, each once: its name follows from its cause, and an object of that name that is ours is
the one that was wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio

from pipelines.kubernetes.installed import Installed
from pipelines.kubernetes.sightings import RUN, kept
from pipelines.kubernetes.spelling import spelled
from pipelines.kubernetes.submission import check_ours, path_to, to_object
from retrain import faults
from retrain.errors import NotFound
from retrain.kube import AlreadyExists, Cluster
from retrain.store import Store, runs

AT_ONCE = 32
"""Requests that are under way: more than the API server takes at once would wait there, and be refused."""

OpenCluster = Callable[[], Awaitable[Cluster]]
"""The platform's one connection, opened when it is first asked for; ConfigError where nothing says how."""


class Creator:
    """Creates what runs want. `namespace`: where those go that do not say; asked when one is."""

    def __init__(self, store: Store, cluster: OpenCluster, namespace: Callable[[], Awaitable[str]]) -> None:
        self._store = store
        self._cluster = cluster
        self._namespace = namespace
        self._room = anyio.CapacityLimiter(AT_ONCE)
        self._installed = Installed()

    async def namespace(self) -> str:
        """Where those go that do not say it."""
        return await self._namespace()

    async def create(
        self, run_id: str, manifest: Mapping[str, Any], labels: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """The object as it is on the cluster, new or not, as `RunRow.object` keeps it; None where the run's row has one
        already. `manifest` is a Workflow with its name, `labels` are ours.

        Raises:
            Refused: an object of that name is another one, or the cluster's rules do not let it in.
            ConfigError: it may not be created, or is invalid.
            NotFound: there is no such namespace, or no Argo Workflows.
            Transient: not now.
        """
        row = await self._store.read(lambda c: runs.get(c, run_id))
        if row is not None and (row.object is not None or row.phase not in runs.OPEN):
            return None
        async with self._room:
            found = await self._put(manifest, {**labels, RUN: run_id})
        return kept(found, manifest.get("spec"))

    async def withdraw(self, made: Mapping[str, Any]) -> None:
        """Delete what was created for a run that was over by then.

        Raises:
            ConfigError, Transient: the server does not.
        """
        metadata = made["metadata"]
        cluster = await self._cluster()
        with suppress(NotFound):
            await cluster.delete(path_to(metadata["namespace"], metadata["name"]), uid=metadata["uid"])

    async def _put(self, manifest: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
        cluster = await self._cluster()
        metadata: Mapping[str, Any] = manifest["metadata"]
        namespace = str(metadata.get("namespace") or await self.namespace())
        body = to_object(manifest, str(metadata["name"]), namespace, labels)
        await self._installed.check_template(cluster, body, namespace)
        return await put(cluster, spelled(body, await self._installed.version(cluster, namespace)))


async def put(cluster: Cluster, workflow: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    """A Workflow on a cluster, new or there already. Of one that was there the status is left out: whoever wants it
    follows it.

    Raises:
        Refused: the one of its name is another one.
        NotFound, ConfigError, Transient: as the server says it.
    """
    metadata = workflow["metadata"]
    faults.point("cluster.before_create")
    try:
        made = await cluster.create(path_to(metadata["namespace"]), workflow, dry_run=dry_run)
    except AlreadyExists:
        found = await cluster.get(path_to(metadata["namespace"], metadata["name"]))
        check_ours(found, workflow)
        return {**found, "status": {}}
    faults.point("cluster.after_create")
    return made
