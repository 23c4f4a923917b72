"""What people ask of promotions, from the doors: each in one transaction, after what must be asked of git."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection

from deploy import attempt
from deploy.attempt import Place
from deploy.desk import Desk
from deploy.registry.candidates import resolve
from deploy.waiving import Wish
from retrain.clock import Clock
from retrain.events import JsonValue
from retrain.identity import Principal
from retrain.store import Store
from retrain.store.promotions import Hold, PromotionRow

T = TypeVar("T")

TOPICS = ("promotions", "promotion steps", "promotion ends", "promotion holds", "outbox")
"""Who may have something to do after it."""


class People:
    """The doors' way to the desk."""

    def __init__(self, store: Store, desk: Desk, place: Place, clock: Clock, limiter: anyio.CapacityLimiter) -> None:
        self.desk = desk
        self._store = store
        self._place = place
        self._clock = clock
        self._limiter = limiter

    async def rollback(self, name: str, *, by: Principal, environment: str | None = None, reason: str = "") -> str:
        """Go back to what was live before, by a new commit, and hold the target; the id of the promotion that does it.

        Raises:
            NotFound, ConfigError: no promotion has that name, or it is not clear to which environment.
            Forbidden: nobody has said who it is.
            Refused: nothing is on record to go back to.
            Transient, Permanent: the repository is away, or says no.
        """
        target = self.desk.target(name, environment)
        look = partial(attempt.current, self._place, target)
        record = await anyio.to_thread.run_sync(look, limiter=self._limiter)
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.rollback(c, target, record, by, reason, now))

    async def hold(self, name: str, *, by: Principal, environment: str | None = None, reason: str = "") -> None:
        """Keep automation from promoting until `release`.

        Raises:
            NotFound, ConfigError, Forbidden: as `rollback`.
        """
        target = self.desk.target(name, environment)
        hold = Hold(name, target.spec.environment, reason, by.name, self._clock.now())
        await self._ask(lambda c: self.desk.hold(c, hold, by))

    async def release(self, name: str, *, by: Principal, environment: str | None = None, reason: str = "") -> bool:
        """Let automation promote again; False if nothing held it.

        Raises:
            NotFound, ConfigError, Forbidden: as `rollback`.
        """
        target = self.desk.target(name, environment)
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.release(c, target, by, reason, now))

    async def approve(self, promotion_id: str, *, by: Principal, reason: str = "", subject: str = "") -> PromotionRow:
        """Say yes to what a promotion comes to now. Raises as `Desk.approve`."""
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.approve(c, promotion_id, by, reason, now, subject))

    async def reject(self, promotion_id: str, *, by: Principal, reason: str = "") -> PromotionRow:
        """Say no for good. Raises as `Desk.reject`."""
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.reject(c, promotion_id, by, reason, now))

    async def retry(self, promotion_id: str, *, by: Principal, reason: str = "") -> PromotionRow:
        """Try once more because a person says so. Raises as `Desk.retry`."""
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.retry(c, promotion_id, by, reason, now))

    async def propose(
        self, name: str, candidate: Mapping[str, JsonValue], *, by: Principal, environment: str | None = None
    ) -> str:
        """Propose a candidate as a person; one in a registry is looked up first. The promotion's id.

        Raises:
            NotFound, ConfigError: there is no such Promotion or environment, or the candidate is none.
            Forbidden: nobody has said who it is.
            Refused, Transient, Permanent: the registry says so, or is away.
        """
        document = self.desk.document(name)
        found = await resolve(document.spec.registry, candidate, self._place.vault)
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.propose(c, document, found, environment, by, now))

    async def waive(self, promotion_id: str, wish: Wish) -> PromotionRow:
        """Let a promotion that gates have refused go on, as a new one. Raises as `Desk.waive`."""
        now = self._clock.now()
        return await self._ask(lambda c: self.desk.waive(c, promotion_id, wish, now))

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        """Do what a person asks for, and let everybody look who waits for it."""
        answer = await self._store.write(work)
        for topic in TOPICS:
            self._store.signals.notify(topic)
        return answer
