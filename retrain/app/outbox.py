"""Publishes what the platform itself has to tell: from the store's outbox to the bus, in order, none lost."""

from __future__ import annotations

from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus
from sqlalchemy import Connection

from retrain import faults
from retrain.bus import Bus
from retrain.clock import Clock
from retrain.errors import Permanent, Transient
from retrain.events import Event
from retrain.store import Store, deadletters, outbox
from retrain.store.deadletters import DeadLetter

POLL_S = 1.0
"""Seconds after which the outbox is looked at without a notice: another process may have written to it."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 15.0
BATCH = 500

log = structlog.get_logger()


class OutboxPublisher:
    """Drains the outbox. One in a process is enough; two of them publish some events twice, which the bus dedupes."""

    name = "outbox"

    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._bus = bus
        self.failing: str | None = None
        """Why the bus takes nothing now; None while it does."""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Publish until cancelled."""
        task_status.started()
        wait_s = FIRST_WAIT_S
        while True:
            try:
                if await self.drain() == 0:
                    await self._store.signals.wait("outbox", POLL_S)
                self.failing, wait_s = None, FIRST_WAIT_S
            except Transient as error:
                self.failing = str(error)
                log.warning("outbox.waiting", reason=str(error), retry_in_s=wait_s)
                await anyio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def drain(self) -> int:
        """Publish one batch; how many events that were. An event leaves the outbox when the bus has it.

        Raises:
            Transient: the bus or the store is away. Events that the bus took already are published again later.
        """
        batch = await self._store.read(lambda c: outbox.pending(c, BATCH))
        if not batch:
            return 0
        faults.point("outbox.before_publish")
        events = [event for _, event in batch]
        try:
            await self._bus.publish_many(events)
        except Permanent:
            await self._one_by_one(batch)
        faults.point("outbox.after_publish")
        await self._store.write(lambda c: outbox.remove(c, [number for number, _ in batch]))
        return len(batch)

    async def _one_by_one(self, batch: list[tuple[int, Event]]) -> None:
        """One of them the bus can never take: the others must not wait behind it."""
        for _, event in batch:
            try:
                await self._bus.publish(event)
            except Permanent as error:
                await self._store.write(partial(self._bury, event, str(error)))
                log.exception("outbox.refused", event_id=event.id, reason=str(error))

    def _bury(self, event: Event, reason: str, connection: Connection) -> None:
        letter = DeadLetter(f"outbox-{event.key}", "event", event.source, reason, event.to_json(), self._clock.now())
        deadletters.add(connection, [letter])
