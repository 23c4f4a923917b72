"""Looks at single objects: those that a list has not, those that were never heard of, those whose row has just come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pipelines.kubernetes.creating import OpenCluster
from pipelines.kubernetes.sightings import Sighting, sighting
from retrain.errors import NotFound, RetrainError
from retrain.kube import KindMissing
from retrain.log import get_logger
from retrain.store import Store, elsewhere, runs
from retrain.store.elsewhere import Place
from retrain.store.runs import RunRow

AT_ONCE = 50
"""Runs that are looked at at a time, of those that were never heard of."""

log = get_logger()


class Looker:
    """Asks the server for objects by their names. What it does not say now it is asked again."""

    def __init__(self, store: Store, cluster: OpenCluster) -> None:
        self._store = store
        self._cluster = cluster
        self._doubtful: set[tuple[Place, str]] = set()

    async def missing(self, place: Place, listed: frozenset[str]) -> list[Sighting]:
        """Of the open runs those whose objects are not among the uids of a list. Each is asked for: it may have come
        after the list was made.

        Raises:
            Transient: the store cannot be read now.
        """
        there = await self._store.read(lambda c: elsewhere.open_at(c, place))
        return await self.look(place, [one.run_id for one in there if one.uid not in listed])

    async def unheard(self, place: Place, before: datetime) -> list[Sighting]:
        """Of the runs made before that, some of those whose objects nothing was seen of since: their news may have come
        before their rows, to a process that died. And those that the server has not answered for.

        Raises:
            Transient: the store cannot be read now.
        """
        there = await self._store.read(lambda c: elsewhere.unheard_at(c, place, before, AT_ONCE))
        again = [run_id for where, run_id in self._doubtful if where == place]
        return await self.look(place, {*(one.run_id for one in there), *again})

    async def look(self, place: Place, ids: Iterable[str]) -> list[Sighting]:
        """These runs' objects as they are now, or that there are none; as far as the server says.

        Raises:
            Transient: the store cannot be read now.
        """
        found: list[Sighting] = []
        for run_id in ids:
            row = await self._store.read(lambda c, run_id=run_id: runs.get(c, run_id))
            self._doubtful.discard((place, run_id))
            if row is None or row.object is None or row.phase not in runs.OPEN:
                continue
            try:
                found.append(await self._look(place, row))
            except RetrainError as error:
                self._doubtful.add((place, run_id))
                log.info("cluster.not_looked", run_id=run_id, reason=str(error))
        return found

    async def _look(self, place: Place, row: RunRow) -> Sighting:
        cluster = await self._cluster()
        resource = await cluster.resource(place.api_version, place.kind)
        kept: Any = row.object or {}
        had = kept.get("metadata") or {}
        try:
            found = await cluster.get(resource.at(place.namespace, row.name))
        except KindMissing:
            raise
        except NotFound:
            found = None
        if found is not None and found["metadata"].get("uid") == had.get("uid"):
            return sighting(found)
        known = {"metadata": had, "spec": kept.get("spec") or row.manifest.get("spec"), "status": kept.get("status")}
        return sighting({"apiVersion": place.api_version, "kind": place.kind, **known}, "lost")
