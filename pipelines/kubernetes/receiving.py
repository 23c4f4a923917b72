"""Takes what the watches bring, writes it down, and keeps in mind what nobody knows yet.

The resourceVersion that a place has come to is kept in the transaction of what it led to; as long as something of it is
in memory only, an older one stays: after a crash it comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio
from sqlalchemy import Connection

from pipelines.kubernetes.looking import Looker
from pipelines.kubernetes.mirroring import Mirror, Outcome
from pipelines.kubernetes.sightings import Sighting, of_event
from pipelines.kubernetes.watching import News
from retrain import faults
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store, checkpoints, elsewhere
from retrain.store.elsewhere import Place

OWNER = "kubernetes"
"""Whose checkpoints the resourceVersions are."""
STRANGERS = 1000
"""Objects of runs that nobody knows (yet) that are kept in mind; the newest ones."""
FOR = timedelta(minutes=1)
"""How long they are."""
RETRY_S = 1.0

log = get_logger()


class Receiver:
    """Writes sightings, one batch after the other."""

    def __init__(self, store: Store, clock: Clock, looker: Looker) -> None:
        self._store = store
        self._clock = clock
        self._looker = looker
        self._mirror = Mirror()
        self._turn = anyio.Lock()
        self._strangers: dict[str, tuple[Place, Sighting, datetime]] = {}

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
            Transient: the server does not say what became of something that a list has not.
        """
        seen = [one for event in news.events if (one := of_event(event)) is not None]
        if news.listed is not None:
            seen += await self._looker.missing(place, news.listed)
        outcome = await self.keep(seen, place, news.version)
        now = self._clock.now()
        for one in outcome.strangers[-STRANGERS:]:
            self._strangers[one.run_id] = place, one, now

    async def keep(self, seen: Sequence[Sighting], place: Place | None = None, version: str = "") -> Outcome:
        """Write sightings, however long the store is away."""
        now = self._clock.now()
        waits = any(place == where for where, _, _ in self._strangers.values())

        def work(connection: Connection) -> Outcome:
            outcome = self._mirror.keep(connection, seen, now)
            if version and not waits and not outcome.strangers:
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
        if there := await self._store.read(lambda c: elsewhere.known(c, ids)):
            await self.keep([self._strangers[one][1] for one in there])
        late = self._clock.now() - FOR
        kept = {key: one for key, one in self._strangers.items() if key not in there and one[2] >= late}
        self._strangers = dict(list(kept.items())[-STRANGERS:])

    async def _patiently(self, work: Callable[[Connection], Outcome]) -> Outcome:
        while True:
            try:
                return await self._store.write(work)
            except Transient as error:
                log.warning("cluster.store_away", reason=str(error), retry_in_s=RETRY_S)
                await anyio.sleep(RETRY_S)
