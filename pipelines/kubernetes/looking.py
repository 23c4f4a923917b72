"""Looks at single objects: those that a list has not, and those that were never heard of."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pipelines.kubernetes.creating import OpenCluster
from pipelines.kubernetes.sightings import Sighting, sighting
from retrain.errors import NotFound
from retrain.kube import KindMissing
from retrain.store import Store, elsewhere, runs
from retrain.store.elsewhere import Place
from retrain.store.runs import RunRow

AT_ONCE = 50


class Looker:
    """Asks the server for objects by their names."""

    def __init__(self, store: Store, cluster: OpenCluster) -> None:
        self._store = store
        self._cluster = cluster

    async def missing(self, place: Place, listed: frozenset[str]) -> list[Sighting]:
        """Of the open runs those whose objects are not among the uids of a list. Each is asked for: it may have come
        after the list was made.

        Raises:
            Transient, ConfigError: the server does not say.
        """
        there = await self._store.read(lambda c: elsewhere.open_at(c, place))
        return await self._found(place, [one.run_id for one in there if one.uid not in listed])

    async def unheard(self, place: Place, before: datetime) -> list[Sighting]:
        """Of the runs made before that, some of those whose objects nothing was seen of since. Their news may have come
        before their rows, to a process that died.

        Raises:
            Transient, ConfigError: the server does not say.
        """
        there = await self._store.read(lambda c: elsewhere.unheard_at(c, place, before, AT_ONCE))
        return await self._found(place, [one.run_id for one in there])

    async def _found(self, place: Place, ids: Iterable[str]) -> list[Sighting]:
        found: list[Sighting] = []
        for run_id in ids:
            row = await self._store.read(lambda c, run_id=run_id: runs.get(c, run_id))
            if row is not None:
                found.append(await self._look(place, row))
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
