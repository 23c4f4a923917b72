"""Work on a cluster that is done whenever there is some, and again soon where the cluster could not take it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store

POLL_S = 1.0
"""Seconds after which is looked without a notice: other processes write work down, too."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0

log = get_logger()


class Rounds:
    """`topic`: the store's signal that there is work. `complaint`: how the log calls it that there is trouble."""

    def __init__(self, store: Store, topic: str, complaint: str) -> None:
        self._store = store
        self._topic = topic
        self._complaint = complaint
        self.trouble: str | None = None
        """Why the last round did not come to its end; None where it did."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work until cancelled. `work` does what there is, and raises Transient where something must wait."""
        tries = 0
        while True:
            try:
                await work()
                self.trouble, tries = None, 0
                await self._store.signals.wait(self._topic, POLL_S)
            except Transient as error:
                self.trouble = str(error)
                wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**tries)
                log.warning(self._complaint, reason=self.trouble, retry_in_s=wait_s)
                tries += 1
                await anyio.sleep(wait_s)
