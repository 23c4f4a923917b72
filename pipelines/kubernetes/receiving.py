"""Takes what the watches bring and writes it down, with the resourceVersion that a place has come to.

An object may be seen before its row is there. That it was is kept in mind for a while, so that its run need not wait
for the next news; what a crash makes of that is found by `Looker.unheard`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
from sqlalchemy import Connection

from pipelines.kubernetes.looking import Looker
from pipelines.kubernetes.mirroring import Mirror, Outcome
from pipelines.kubernetes.sightings import Sighting, newer, of_event
from pipelines.kubernetes.watching import News
from retrain import faults
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store, checkpoints, elsewhere
from retrain.store.elsewhere import Place

OWNER = "kubernetes"
"""Whose checkpoints the resourceVersions are."""
STRANGERS = 10_000
"""Objects of runs that nobody knows (yet) that are kept in mind: the newest ones, by their versions alone."""
FOR = timedelta(minutes=1)
"""How long they are."""
RETRY_S = 1.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Stranger:
    """An object without a row. `last`: what it was when it was deleted; None while it is there."""

    place: Place
    version: str
    since: datetime
    last: Sighting | None


class Receiver:
    """Writes sightings, one batch after the other."""

    def __init__(self, store: Store, clock: Clock, looker: Looker) -> None:
        self._store = store
        self._clock = clock
        self._looker = looker
        self._mirror = Mirror()
        self._turn = anyio.Lock()
        self._strangers: dict[str, _Stranger] = {}

    async def version(self, place: Place) -> str:
        """Up to where everything of a place is written; empty where nobody knows.

        Raises:
            Transient: the store cannot be read now.
        """
        found = await self._store.read(lambda c: checkpoints.get_many(c, OWNER, [str(place)]))
        value: Any = found.get(str(place))
        return str(value["version"]) if isinstance(value, dict) else ""

    async def take(self, place: Place, news: News) -> None:
        """Write what has come of a watch or a list.

        Raises:
            Transient: the store cannot be read now.
        """
        seen = [one for event in news.events if (one := of_event(event)) is not None]
        if news.listed is not None:
            seen += await self._looker.missing(place, news.listed)
        outcome = await self.keep(seen, place, news.version)
        now = self._clock.now()
        for one in outcome.strangers[-STRANGERS:]:
            self._strangers[one.run_id] = _Stranger(place, one.version, now, one if one.gone else None)

    async def keep(self, seen: Sequence[Sighting], place: Place | None = None, version: str = "") -> Outcome:
        """Write sightings, however long the store is away."""
        now = self._clock.now()

        def work(connection: Connection) -> Outcome:
            outcome = self._mirror.keep(connection, seen, now)
            if version:
                checkpoints.save(connection, OWNER, {str(place): {"version": version}})
            return outcome

        async with self._turn:  # what is written of a run is known before the next batch is compared with it
            faults.point("cluster.before_mirror")
            outcome = await self._patiently(work)
            faults.point("cluster.after_mirror")
            self._mirror.done(outcome)
        if outcome.told:
            for topic in ("outbox", "firings", "retention", "crons"):
                self._store.signals.notify(topic)
        return outcome

    async def meet(self) -> None:
        """Whose row has come meanwhile is no stranger any more. After a while nobody comes.

        Raises:
            Transient: the store cannot be read now.
        """
        if not self._strangers:
            return
        ids = list(self._strangers)
        for run_id, version in (await self._store.read(lambda c: elsewhere.versions(c, ids))).items():
            one = self._strangers.pop(run_id)
            if one.last is not None:
                await self.keep([one.last])
            elif newer(one.version, version):
                await self.keep(await self._looker.look(one.place, [run_id]))
        late = self._clock.now() - FOR
        kept = [(key, one) for key, one in self._strangers.items() if one.since >= late]
        self._strangers = dict(kept[-STRANGERS:])

    async def _patiently(self, work: Callable[[Connection], Outcome]) -> Outcome:
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                log.warning("cluster.store_away", reason=str(error), retry_in_s=RETRY_S)
                await anyio.sleep(RETRY_S)
