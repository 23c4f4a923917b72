"""The way from a source to the bus, and what a source remembers: what the host puts into a source's context."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256

import anyio
import orjson
import structlog

from eventsources.port import Status
from retrain import faults
from retrain.bus import Bus
from retrain.clock import Clock
from retrain.errors import Permanent, Transient
from retrain.events import Event, EventKey, JsonValue
from retrain.store import Store, checkpoints, deadletters, events
from retrain.store.deadletters import DeadLetter

log = structlog.get_logger()

BATCH = 500
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 15.0


class Delivery:
    """One source's way to the bus."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, status: Status) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._status = status

    async def emit(self, event: Event) -> None:
        """Publish one event; returns when the bus has it. What is counted is up to the caller.

        Raises:
            BusError: it may not be safe.
            Permanent: the bus can never take it.
        """
        faults.point("source.before_publish")
        await self._bus.publish(event)
        faults.point("source.after_publish")

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Publish events; returns when each is safe: on the bus, or in the dead letters if the bus never takes it."""
        for start in range(0, len(batch), BATCH):
            await self._deliver(batch[start : start + BATCH])

    async def _deliver(self, batch: Sequence[Event]) -> None:
        delay, before = FIRST_RETRY_S, self._status.state()
        while True:
            try:
                await self._publish(batch)
                if delay > FIRST_RETRY_S and before.state == "listening":
                    self._status.listening(before.note)
                return
            except Transient as error:
                self._status.failed()
                self._status.waiting(f"the bus: {error}")
                log.warning("source.bus_away", source=self._status.name, error=str(error), retry_s=delay)
            await anyio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY_S)

    async def _publish(self, batch: Sequence[Event]) -> None:
        faults.point("source.before_publish")
        try:
            await self._bus.publish_many(batch)
        except Permanent:
            for event in batch:  # the same again, to find out which of them it is
                await self._publish_or_bury(event)
        faults.point("source.after_publish")
        self._status.received(self._clock.now(), len(batch))

    async def _publish_or_bury(self, event: Event) -> None:
        try:
            await self._bus.publish(event)
        except Permanent as error:
            self._status.failed()
            log.warning("source.dead_letter", source=self._status.name, event_id=event.id, error=str(error))
            letter = DeadLetter(
                id=f"d-{sha256(event.key.encode()).hexdigest()[:20]}",
                kind="event",
                origin=self._status.name,
                reason=str(error),
                body=_bytes(event),
                created=self._clock.now(),
            )
            await self._store.write(lambda connection: deadletters.add(connection, [letter]))

    async def known(self, keys: Collection[EventKey]) -> set[str]:
        """Which of these events the platform has read from the bus before."""
        return set(await self._store.read(lambda connection: events.positions(connection, keys)))


def _bytes(event: Event) -> bytes:
    try:
        return event.to_json()
    except (TypeError, ValueError):  # what JSON cannot say was the reason
        return orjson.dumps({"id": event.id, "source": event.source, "data": repr(event.data)})


class StoredCheckpoints:
    """A source's memory in the store."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def get(self, scope: str, names: Collection[str]) -> dict[str, JsonValue]:
        """What is kept under these names; unknown names are left out."""
        return await self._store.read(lambda c: checkpoints.get_many(c, self._name(scope), names))

    async def after(self, scope: str, name: str, limit: int) -> dict[str, JsonValue]:
        """The first `limit` things kept under names behind `name`, to walk through all of them."""
        return await self._store.read(lambda c: checkpoints.after(c, self._name(scope), name, limit))

    async def save(self, scope: str, values: Mapping[str, JsonValue]) -> None:
        await self._store.write(lambda connection: checkpoints.save(connection, self._name(scope), values))

    async def forget(self, scope: str, names: Collection[str]) -> None:
        await self._store.write(lambda connection: checkpoints.forget(connection, self._name(scope), names))

    def _name(self, scope: str) -> str:
        return f"source:{self._owner}:{scope}"
