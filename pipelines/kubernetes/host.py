"""What a platform does on a cluster: it has runs created there that nobody else creates, and mirrors what comes of them.

One watch for each kind and namespace where there are open runs of ours, never one for each run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from sqlalchemy import Connection

from pipelines.kubernetes.creating import OpenCluster
from pipelines.kubernetes.kinds import kind_of
from pipelines.kubernetes.mirroring import Mirror, Outcome
from pipelines.kubernetes.sightings import Gone, Sighting
from pipelines.kubernetes.submitting import Submitter
from pipelines.kubernetes.watching import News, Watcher
from retrain import faults
from retrain.clock import Clock
from retrain.errors import NotFound, Permanent, Transient
from retrain.log import get_logger
from retrain.store import Store, checkpoints, elsewhere, runs
from retrain.store.elsewhere import Place
from retrain.store.runs import RunRow

OWNER = "kubernetes"
"""Whose checkpoints the resourceVersions are."""
TOPIC = "runs/cluster"
POLL_S = 1.0
"""Seconds after which the rows are looked at without a notice: other processes write them too."""
LOOK_S = 60.0
"""Seconds after which an object is looked at that nothing was ever seen of."""
STRANGERS = 1000
"""Objects of runs that nobody knows (yet) that are kept in mind."""
RETRY_S = 1.0

log = get_logger()


class ClusterHost:
    """Mirrors the runs that a cluster works on. `always`: places that are watched whether there are runs or not."""

    name = "cluster"

    def __init__(self, store: Store, clock: Clock, cluster: OpenCluster, submitter: Submitter) -> None:
        self._store = store
        self._clock = clock
        self._cluster = cluster
        self._submitter = submitter
        self._mirror = Mirror()
        self._writing = anyio.Lock()
        self._watchers: dict[Place, Watcher] = {}
        self._strangers: dict[str, tuple[Sighting, datetime]] = {}

    @property
    def trouble(self) -> str | None:
        """Why the cluster cannot be followed now; None while it can."""
        watching = next((one.trouble for one in self._watchers.values() if one.trouble), None)
        return watching or self._submitter.trouble

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._submitter.run)
            group.start_soon(self._look_again)
            task_status.started()
            while True:
                await self._look_for_places(group)
                await self._meet()
                await self._store.signals.wait(TOPIC, POLL_S)

    async def watch(self, group: TaskGroup, place: Place) -> None:
        """Follow a place from now on, if it is not followed yet."""
        if place in self._watchers:
            return
        kept = await self._store.read(lambda c: checkpoints.get_many(c, OWNER, [str(place)]))
        version: Any = (kept.get(str(place)) or {}).get("version", "") if kept else ""
        self._watchers[place] = watcher = Watcher(place, self._cluster, self._write, str(version))
        group.start_soon(watcher.run)
        log.info("cluster.watching", place=str(place), version=version)

    async def _look_for_places(self, group: TaskGroup) -> None:
        with suppress(Transient):
            for place in await self._store.read(elsewhere.places):
                await self.watch(group, place)

    # --- what comes of a watch ---------------------------------------------------------------------------------------

    async def _write(self, place: Place, news: News) -> None:
        seen = [one for event in news.events if (one := _sighting(event)) is not None]
        if news.listed is not None:
            seen += await self._missing(place, news.listed)
        await self._keep(seen, place, news.version)

    async def _keep(self, seen: Sequence[Sighting], place: Place | None = None, version: str = "") -> None:
        now = self._clock.now()

        def work(connection: Connection) -> Outcome:
            outcome = self._mirror.keep(connection, seen, now)
            # What nobody knows yet is in memory only: after a crash it must come again.
            if version and place is not None and not outcome.strangers and not self._strangers:
                checkpoints.save(connection, OWNER, {str(place): {"version": version}})
            return outcome

        async with self._writing:
            faults.point("cluster.before_mirror")
            outcome = await self._patiently(work)
            faults.point("cluster.after_mirror")
            self._mirror.done(outcome)
        for one in outcome.strangers[-STRANGERS:]:
            self._strangers[one.run_id] = one, now
        if outcome.told:
            for topic in ("outbox", "firings", "retention", "crons"):
                self._store.signals.notify(topic)

    async def _patiently(self, work: Any) -> Outcome:
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                log.warning("cluster.store_away", reason=str(error), retry_in_s=RETRY_S)
                await anyio.sleep(RETRY_S)

    async def _meet(self) -> None:
        """Whose row has come meanwhile is no stranger any more. After a while nobody comes."""
        if not self._strangers:
            return
        ids = list(self._strangers)
        there = await self._store.read(lambda c: elsewhere.known(c, ids))
        if met := [self._strangers.pop(one)[0] for one in there]:
            await self._keep(met)
        old = self._clock.now() - timedelta(seconds=LOOK_S)
        for run_id in [one for one, (_, since) in self._strangers.items() if since < old]:
            del self._strangers[run_id]

    # --- what no watch says ------------------------------------------------------------------------------------------

    async def _look_again(self) -> None:
        """Look at the objects that were never heard of since they were made: their news may have come before their rows,
        to a process that died."""
        while True:
            for place in list(self._watchers):
                with suppress(Transient):
                    await self._look_at(place, self._clock.now() - timedelta(seconds=LOOK_S))
            await anyio.sleep(LOOK_S)

    async def _look_at(self, place: Place, before: datetime) -> None:
        rows = await self._store.read(
            lambda c: runs.many(c, [one.run_id for one in elsewhere.unseen_at(c, place, before)])
        )
        await self._keep([await self._found(place, row) for row in rows.values()])

    async def _missing(self, place: Place, listed: frozenset[str]) -> list[Sighting]:
        """Of the open runs those whose objects a list has not; what became of them is asked of the server, for they may
        have come after it."""
        rows = await self._store.read(lambda c: runs.many(c, [one.run_id for one in elsewhere.open_at(c, place)]))
        return [await self._found(place, row) for row in rows.values() if _uid(row) not in listed]

    async def _found(self, place: Place, row: RunRow) -> Sighting:
        """The object of a row as it is now, or that there is none.

        Raises:
            Transient: the server does not say.
        """
        cluster = await self._cluster()
        resource = await cluster.resource(place.api_version, place.kind)
        try:
            found = await cluster.get(resource.at(place.namespace, row.name))
        except NotFound:
            return _seen(_as_kept(row, place), "lost")
        if found["metadata"].get("uid") != _uid(row):
            return _seen(_as_kept(row, place), "lost")
        return _seen(found)


def _uid(row: RunRow) -> str:
    metadata: Any = (row.object or {}).get("metadata") or {}
    return str(metadata.get("uid"))


def _as_kept(row: RunRow, place: Place) -> dict[str, Any]:
    kept: Any = row.object or {}
    return {
        "apiVersion": place.api_version,
        "kind": place.kind,
        "metadata": kept.get("metadata") or {},
        "spec": kept.get("spec") or row.manifest.get("spec"),
        "status": kept.get("status") or {},
    }


def _sighting(event: Mapping[str, Any]) -> Sighting | None:
    found: Any = event.get("object")
    if event.get("type") not in {"ADDED", "MODIFIED", "DELETED"} or not isinstance(found, dict):
        return None
    return _seen(found, "deleted" if event["type"] == "DELETED" else None)


def _seen(found: Mapping[str, Any], gone: Gone | None = None) -> Sighting:
    kind = kind_of(found)
    if kind is None:
        raise Permanent(f"nobody here can read a {found.get('kind')} of {found.get('apiVersion')}")
    return Sighting(found, kind.read(found), gone)
