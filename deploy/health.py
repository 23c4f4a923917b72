"""What is wrong with the repositories and forges of promotions, for readiness."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread
import structlog

from deploy.attempt import Place
from deploy.spec import PromotionDocument
from retrain.errors import Permanent, Transient

log = structlog.get_logger()

PROBE_S = 15.0


class Health:
    """`trouble`: what is wrong, by promotion; those that are well are not in it."""

    def __init__(
        self, documents: Callable[[], Mapping[str, PromotionDocument]], place: Place, limiter: anyio.CapacityLimiter
    ) -> None:
        self.trouble: dict[str, str] = {}
        self._documents = documents
        self._place = place
        self._limiter = limiter

    async def probe(self) -> None:
        """Say early what is wrong with a repository, and notice when it is well again."""
        while True:
            for name, document in list(self._documents().items()):
                try:
                    look = self._place.repository(document).probe
                    await anyio.to_thread.run_sync(look, limiter=self._limiter)
                    self.well(name)
                except (Transient, Permanent) as error:
                    self.note(name, error)
            if not self.trouble:
                return
            await anyio.sleep(PROBE_S)

    def note(self, name: str, error: Exception) -> None:
        """Something is wrong; said in the log once."""
        if self.trouble.get(name) != str(error):
            log.warning("promotion.repository_away", promotion=name, error=str(error))
        self.trouble[name] = str(error)

    def well(self, name: str) -> None:
        """Nothing is wrong any more."""
        self.trouble.pop(name, None)
