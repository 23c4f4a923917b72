"""What there is to judge: the manifests of a directory, or the objects of a cluster. Nothing is changed there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from retrain.app.migrating.report import BESIDE, Gathered
from retrain.app.migrating.surroundings import around
from retrain.errors import ConfigError, NotFound
from retrain.kube import Cluster, Denied, KindMissing, cluster
from retrain.manifests import Document, Loaded, read_paths
from retrain.manifests.objects import document_of

ARGO = "argoproj.io/v1alpha1"
OURS = ("EventSource", "Sensor", "EventBus")
AROUND = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("v1", "Service"))
UPSTREAM = "argo-events"
"""The namespace that Argo Events installs its controller in."""


def of_paths(paths: Iterable[str | Path]) -> Gathered:
    """The manifests of files and directories.

    Raises:
        ConfigError: one of the paths is not there.
    """
    named = [Path(path) for path in paths]
    for path in named:
        if not path.exists():
            raise ConfigError(f"there is no file or directory {str(path)!r}")
    return Gathered([read_paths(named)], in_files=True)


async def of_cluster(kubeconfig: str, namespace: str | None, *, everywhere: bool) -> Gathered:
    """The objects of one namespace (None: that of the context), or of all.

    Raises:
        ConfigError: there is no cluster to ask, or it does not let us see the kinds of Argo Events, or lacks them.
        Transient: it cannot be reached.
    """
    async with cluster(kubeconfig) as server:
        where = "" if everywhere else namespace or server.namespace
        found = Found(server, where)
        await found.read()
        return found.gathered()


class Found:
    """What is gathered in one pass. `where` is "" for all namespaces."""

    def __init__(self, server: Cluster, where: str) -> None:
        self._server = server
        self._where = where
        self._documents: dict[str, list[Document]] = {}
        self._around: list[dict[str, Any]] = []
        self._remarks: list[str] = []

    async def read(self) -> None:
        """Ask for all of it."""
        for kind in OURS:
            try:
                async for one in self._all(ARGO, kind, self._where):
                    self._take(one)
            except KindMissing as error:
                raise ConfigError(f"the cluster has no {kind} of {ARGO}: Argo Events is not installed there") from error
        for kind in sorted(BESIDE):
            await self._beside(kind)
        for api, kind in AROUND:
            await self._surroundings(api, kind)

    def gathered(self) -> Gathered:
        """All of it; documents by namespace, for names are those of one namespace."""
        shared = self._documents.pop("", [])
        loaded = [Loaded((), (), (*documents, *shared), ()) for _, documents in sorted(self._documents.items())]
        namespaces = sorted(self._documents) or [self._where]
        return Gathered(loaded, False, around(self._around), namespaces, self._remarks)

    def _take(self, found: dict[str, Any]) -> None:
        metadata = found["metadata"]
        namespace = str(metadata.get("namespace", ""))
        place = f"{namespace}/{found['kind']}/{metadata['name']}"
        self._documents.setdefault(namespace, []).append(document_of(found, place))

    async def _beside(self, kind: str) -> None:
        try:
            async for one in self._all(ARGO, kind, "" if kind.startswith("Cluster") else self._where):
                self._take(one)
        except KindMissing:
            return  # there is no Argo Workflows: then nothing refers to its templates either
        except Denied as error:
            self._remarks.append(f"{kind}s cannot be seen, so references to them are not checked: {error}")

    async def _surroundings(self, api: str, kind: str) -> None:
        for where in dict.fromkeys((self._where, self._where and UPSTREAM)):
            try:
                self._around += [one async for one in self._all(api, kind, where)]
            except NotFound:
                continue
            except Denied as error:
                self._remarks.append(f"{kind}s of {where or 'all namespaces'} cannot be seen: {error}")

    async def _all(self, api: str, kind: str, where: str) -> AsyncIterator[dict[str, Any]]:
        resource = await self._server.resource(api, kind)
        async for page, _ in self._server.pages(resource.at(where), {}):
            for one in page:
                yield {**one, "apiVersion": api, "kind": kind}
