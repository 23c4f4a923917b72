"""One stream of changes for all objects of ours of one kind in one namespace, through whatever happens to the server.

Where the server has forgotten the resourceVersion that was reached (410), everything is listed anew, in pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio

from pipelines.kubernetes.creating import OpenCluster
from pipelines.kubernetes.sightings import RUN, newer
from pipelines.kubernetes.submission import MANAGED_BY
from retrain.errors import RetrainError, Transient
from retrain.kube import Busy, Cluster, Expired
from retrain.log import get_logger
from retrain.store.elsewhere import Place

OURS: Mapping[str, str] = {"labelSelector": f"{MANAGED_BY}=retrain,{RUN}"}
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
AT_ONCE_S = 1.0
"""Seconds: a watch that ends sooner and says nothing was none. Something between does not let it through."""
PAGE = 50
"""Objects of a page: an object of some hundred KiB takes eight times that in memory."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class News:
    """What has come at once, as events of a watch. `version`: all up to there is in it, or was before it; empty within
    a list. `listed`: the uids of all objects that there are, at the end of a list.
    """

    events: Sequence[Mapping[str, Any]] = ()
    version: str = ""
    listed: frozenset[str] | None = None


Write = Callable[[Place, News], Awaitable[None]]


class Watcher:
    """The stream of one place. `version`: up to where its news are written already; empty: nobody knows."""

    def __init__(self, place: Place, cluster: OpenCluster, write: Write, version: str = "") -> None:
        self._place = place
        self._cluster = cluster
        self._write = write
        self._version = version
        self._is_known = False
        self._tries = 0
        self.trouble: str | None = None
        """Why nothing comes now; None while it would."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._follow()
            except Expired as error:
                log.info("cluster.relist", place=str(self._place), reason=str(error))
                self._version = ""
                await self._pause(error)
            except RetrainError as error:
                self._is_known = False
                self.trouble = str(error)
                wait_s = await self._pause(error)
                log.warning("cluster.away", place=str(self._place), reason=self.trouble, waited_s=wait_s)

    async def _pause(self, error: RetrainError) -> float:
        """Wait the longer the more often nothing came; as long as the server asks for, where it does."""
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._tries)
        self._tries += 1
        if isinstance(error, Busy):
            wait_s = max(wait_s, error.after_s or 0.0)
        await anyio.sleep(wait_s)
        return wait_s

    async def _follow(self) -> None:
        cluster = await self._cluster()
        path = (await cluster.resource(self._place.api_version, self._place.kind)).at(self._place.namespace)
        if self._version and not self._is_known:
            await self._check(cluster, path)
        if not self._version:
            await self._list(cluster, path)
        self._is_known, began, said = True, anyio.current_time(), False
        async with aclosing(cluster.watch(path, OURS, self._version)) as stream:
            async for events in stream:
                self.trouble = None
                if events:
                    said, self._tries = True, 0
                    self._version = _version(events[-1]) or self._version
                    seen = [one for one in events if one.get("type") != "BOOKMARK"]
                    await self._write(self._place, News(seen, self._version))
        if not said and anyio.current_time() - began < AT_ONCE_S:
            raise Transient(f"the watch of {self._place} ended as soon as it had begun: does a proxy cut it?")

    async def _check(self, cluster: Cluster, path: str) -> None:
        """A server waits silently for a version that it has not come to: it is another one, or came from a backup."""
        listed = await cluster.get(path, {**OURS, "limit": "1"})
        if newer(self._version, (listed.get("metadata") or {}).get("resourceVersion")):
            raise Expired(f"the server has not come to the version {self._version}: it is not the one that was watched")

    async def _list(self, cluster: Cluster, path: str) -> None:
        uids: set[str] = set()
        version = ""
        async with aclosing(cluster.pages(path, OURS, PAGE)) as pages:
            async for objects, version in pages:  # noqa: B007 - that of the last page is the list's
                self._tries = 0
                uids.update(str(one["metadata"].get("uid")) for one in objects)
                if objects:
                    await self._write(self._place, News([{"type": "ADDED", "object": one} for one in objects]))
        await self._write(self._place, News((), version, frozenset(uids)))
        self._version = version


def _version(event: Mapping[str, Any]) -> str:
    return str(((event.get("object") or {}).get("metadata") or {}).get("resourceVersion") or "")
