"""The way from a source to the bus, and what a source remembers: what the host puts into a source's context."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from time import perf_counter
from typing import Any

import anyio
import orjson
import structlog

from eventsources.filters import filter_of
from eventsources.host.limits import Bounds
from eventsources.status import Status
from retrain import faults
from retrain.bus import Bus, Published
from retrain.clock import Clock
from retrain.errors import Permanent, Transient
from retrain.events import Event, EventKey, JsonValue
from retrain.store import Store, checkpoints, deadletters, events
from retrain.store.deadletters import DeadLetter
from retrain.telemetry import meters

log = structlog.get_logger()

BATCH = 500
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 15.0


class Delivery:
    """One source's way to the bus. `spec` is what the user wrote for it: its filter and limits count here."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, status: Status, spec: Any = None) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._status = status
        self._wants = filter_of(spec)
        self._bounds = Bounds(getattr(spec, "limits", None))

    async def emit(self, event: Event) -> None:
        """Publish one event; returns when the bus has it, or the filter does not want it.

        One that the filter cannot be asked about is a dead letter: to send it again would change nothing.

        Raises:
            BusError: it may not be safe.
            Transient: the entry's limits do not let it in now.
            Permanent: the bus can never take it, or it is too big.
        """
        if not await self._wanted(event):
            return
        self._bounds.check_size(event)
        async with self._bounds.admitted():
            faults.point("source.before_publish")
            started = perf_counter()
            published = await self._bus.publish(event)
            self._count([published], started)
            faults.point("source.after_publish")

    async def deliver(self, batch: Sequence[Event]) -> None:
        """Publish events; returns when each is safe: on the bus, or in the dead letters if the bus never takes it.

        One that the filter does not want is passed over; one that it cannot be asked about is a dead letter.
        """
        size = min(BATCH, self._bounds.in_flight or BATCH)
        for start in range(0, len(batch), size):
            part = [one for one in batch[start : start + size] if await self._fits(one)]
            if part:
                await self._bounds.pace(len(part))
                await self._deliver(part)

    async def bury(self, thing: str, raw: bytes, reason: str) -> None:
        """Keep what cannot be read with its raw bytes; returns when it is safe. The same thing twice is one letter."""
        digest = sha256(f"{self._status.name}\n{thing}\n".encode() + raw).hexdigest()[:20]
        await self._keep(DeadLetter(f"d-{digest}", "message", self._status.name, reason, raw, self._clock.now()))

    async def known(self, keys: Collection[EventKey]) -> set[str]:
        """Which of these events the platform has read from the bus before."""
        return set(await self._store.read(lambda connection: events.positions(connection, keys)))

    # --- what is wanted ------------------------------------------------------------------------------------------

    async def _wanted(self, event: Event) -> bool:
        """Whether the filter wants it; an event that it cannot be asked about is a dead letter afterwards."""
        if self._wants is None:
            return True
        try:
            wanted = self._wants(event)
        except Permanent as error:
            await self._bury_event(event, str(error))
            return False
        if not wanted:
            self._status.filtered()
            meters.EVENTS_FILTERED.add(self._status.name, self._status.kind)
        return wanted

    async def _fits(self, event: Event) -> bool:
        """Whether a fetched event is to be published; one that is too big is a dead letter afterwards."""
        if not await self._wanted(event):
            return False
        try:
            self._bounds.check_size(event)
        except Permanent as error:
            await self._bury_event(event, str(error))
            return False
        return True

    # --- publishing ----------------------------------------------------------------------------------------------

    async def _deliver(self, batch: Sequence[Event]) -> None:
        delay, before = FIRST_RETRY_S, self._status.state()
        while True:
            try:
                await self._publish(batch)
                if delay > FIRST_RETRY_S and before.state == "listening":
                    self._status.listening(before.note)
                return
            except Transient as error:
                self._trouble("the bus", error)
                log.warning("source.bus_away", source=self._status.name, error=str(error), retry_s=delay)
            await anyio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY_S)

    async def _publish(self, batch: Sequence[Event]) -> None:
        faults.point("source.before_publish")
        started = perf_counter()
        try:
            self._count(await self._bus.publish_many(batch), started)
        except Permanent:
            for event in batch:  # the same again, to find out which of them it is
                await self._publish_or_bury(event)
        faults.point("source.after_publish")
        self._status.received(self._clock.now(), len(batch))

    async def _publish_or_bury(self, event: Event) -> None:
        started = perf_counter()
        try:
            self._count([await self._bus.publish(event)], started)
        except Permanent as error:
            await self._bury_event(event, str(error))

    def _count(self, published: Sequence[Published], started: float) -> None:
        status = self._status
        meters.took_in(status.name, status.kind, [one.duplicate for one in published], perf_counter() - started)

    # --- dead letters --------------------------------------------------------------------------------------------

    async def _bury_event(self, event: Event, reason: str) -> None:
        letter_id = f"d-{sha256(event.key.encode()).hexdigest()[:20]}"
        name = self._status.name
        await self._keep(DeadLetter(letter_id, "event", name, reason, _bytes(event), self._clock.now()))

    async def _keep(self, letter: DeadLetter) -> None:
        """Returns when the letter is in the store, however long that takes: what comes next is an acknowledgement."""
        reason = self._status.clean(letter.reason)
        self._status.buried(reason)
        meters.EVENTS_REFUSED.add(self._status.name, self._status.kind)
        log.warning("source.dead_letter", source=self._status.name, letter=letter.id, reason=reason)
        delay, before = FIRST_RETRY_S, self._status.state()
        while True:
            try:
                await self._store.write(lambda connection: deadletters.add(connection, [letter]))
                if delay > FIRST_RETRY_S and before.state == "listening":
                    self._status.listening(before.note)
                return
            except Transient as error:
                self._trouble("the store", error)
            await anyio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY_S)

    def _trouble(self, what: str, error: Exception) -> None:
        self._status.failed(f"{what}: {error}")
        self._status.waiting(f"{what}: {error}")


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
