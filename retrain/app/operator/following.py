"""One resource, followed: listed once, and watched from there on, for as long as it takes.

A watch that ends goes on from where it was; where the server has forgotten that, all is listed anew. What is missing
(the server, the resource, the right to see it) is said and waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import structlog

from retrain.app.operator.watched import Object, Watched
from retrain.errors import RetrainError
from retrain.kube import Busy, Cluster, Denied, Expired, KindMissing

log = structlog.get_logger()

PAUSE_S = 1.0
LONGEST_S = 10.0
"""Seconds between two attempts: the pause doubles with each failure."""
BETWEEN_S = 0.1
"""Seconds between two watches, one of which the server has ended."""


class Sink(Protocol):
    """Who is told. `settle`: these are all objects of a resource. `see`, `lose`: one is new or changed, or gone."""

    def settle(self, watched: Watched, objects: Iterable[Object]) -> None: ...
    def see(self, found: Object) -> None: ...
    def lose(self, found: Object) -> None: ...


@dataclass(slots=True)
class Follower:
    """Follows one resource in `namespace` ("": in all). `trouble`: why it cannot now, None while it does.

    `tried` is set once it has been listed, or it is known why not: who starts waits for that, not longer.
    """

    watched: Watched
    namespace: str
    sink: Sink
    trouble: str | None = "the first list"
    lacking: bool = False
    """Whether the cluster answers, but has no such resource, or does not let us see it."""
    tried: anyio.Event = field(default_factory=anyio.Event)
    _version: str = ""
    _failures: int = 0

    async def run(self, open_cluster: Callable[[], Any]) -> None:
        """Follow until cancelled."""
        while True:
            try:
                cluster: Cluster = await open_cluster()
                await self._follow(cluster)
            except Expired:
                self._version = ""
                await anyio.sleep(PAUSE_S)  # a server that always says so is not asked without end
            except RetrainError as error:
                await anyio.sleep(self._failed(error))

    async def _follow(self, cluster: Cluster) -> None:
        path = self.watched.path(self.namespace)
        if not self._version:
            self._version = await self._list(cluster, path)
        async with aclosing(cluster.watch(path, {}, self._version)) as batches:
            async for batch in batches:
                self._well()
                for event in batch:
                    self._take(event)
        await anyio.sleep(BETWEEN_S)

    async def _list(self, cluster: Cluster, path: str) -> str:
        objects: list[Object] = []
        version = ""
        async with aclosing(cluster.pages(path, {})) as pages:
            async for page, version in pages:  # noqa: B007 - that of the last page counts
                objects += page
        self.sink.settle(self.watched, objects)
        self._well()
        return version

    def _take(self, event: dict[str, Any]) -> None:
        found: Object = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self.sink.see(found)
            case "DELETED":
                self.sink.lose(found)
            case _:
                pass  # a bookmark: only how far the watch has come
        self._version = str(found["metadata"]["resourceVersion"])

    def _well(self) -> None:
        if self.trouble is not None:
            log.info("operator.watching", resource=self.watched.resource, namespace=self.namespace or "all")
        self.trouble, self.lacking, self._failures = None, False, 0
        self.tried.set()

    def _failed(self, error: RetrainError) -> float:
        """Say it; the seconds to wait."""
        trouble = self._words(error)
        if trouble != self.trouble:
            say = log.warning if self.watched.needed else log.info
            say("operator.cannot_watch", resource=self.watched.resource, reason=trouble)
        self.trouble, self.lacking = trouble, isinstance(error, Denied | KindMissing)
        self.tried.set()
        self._failures += 1
        pause = min(PAUSE_S * 2 ** min(self._failures - 1, 10), LONGEST_S)
        return max(pause, error.after_s or 0.0) if isinstance(error, Busy) else pause

    def _words(self, error: RetrainError) -> str:
        resource, within = self.watched.resource, f"in {self.namespace}" if self.namespace else "in all namespaces"
        if isinstance(error, KindMissing):
            mend = "apply deploy/kubernetes/crds" if self.watched.needed else "it is passed over"
            return f"{resource}: the cluster has no such kind; {mend}"
        if isinstance(error, Denied) and error.verb:
            return f"{resource}: the right to {error.verb} {error.resource}.{self.watched.group} {within} is lacking"
        return f"{resource}: {error}"
