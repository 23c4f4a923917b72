"""Objects of a platform: in its store, seen by all its processes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import count

import anyio
from sqlalchemy import Connection

from pipelines.agents.objects import KINDS, Body, Held, Layers, Ref, References, Values, owner_of, refuse_document
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.log import get_logger
from retrain.store import Store, objects
from retrain.store.objects import ObjectRow

POLL_S = 1.0
"""Seconds after which the objects that another process has written are seen here."""
CLEAN_EVERY = 60
"""Looks between two cleanings."""

log = get_logger()


class StoreObjects:
    """`Objects` on the store. Get one from `open_objects`."""

    def __init__(self, store: Store, clock: Clock, documents: Iterable[Body]) -> None:
        self._store = store
        self._clock = clock
        self._layers = Layers(documents)
        self._references = References(self._layers)
        self._fingerprint: tuple[int, int] | None = None
        self._writes = 0

    async def get(self, ref: Ref) -> Held | None:
        row = await self._store.read(lambda c: objects.get(c, ref.kind, ref.name))
        self._layers.write(ref, None if row is None else Held(row.body, row.version))
        return self._layers.held(ref)

    async def put(self, ref: Ref, body: Body, expected: int | None) -> Held | None:
        # A document that no step has changed is version 0 of the object, and has no row.
        over = expected or None
        if over is None and (expected == 0) != self._layers.is_document(ref):
            return None
        row = ObjectRow(KINDS[ref.kind], ref.kind, ref.name, body, 0)
        now = self._clock.now()
        version = await self._store.write(lambda c: objects.put(c, row, over, now))
        self._writes += 1
        if version is None:
            return None
        held = Held(body, version)
        self._layers.write(ref, held)
        return held

    async def delete(self, ref: Ref) -> bool:
        removed = await self._store.write(lambda c: objects.remove(c, ref.kind, ref.name))
        self._writes += 1
        self._layers.write(ref, None)
        if not removed:
            refuse_document(self._layers, ref)
        return removed

    async def wait_change(self, ref: Ref, at_most_s: float) -> None:
        await self._layers.wait_change(ref, at_most_s)

    @property
    def references(self) -> Mapping[tuple[str, str], Values]:
        return self._references

    def set_documents(self, documents: Iterable[Body]) -> None:
        self._layers.set_documents(documents)

    async def refresh(self) -> None:
        """See what other processes have written."""
        before = self._writes
        rows = await self._store.read(self._changed)
        if before != self._writes:
            self._fingerprint = None  # what was read may be older than what was written here meanwhile
        elif rows is not None:
            self._layers.replace({Ref(row.kind, row.name): Held(row.body, row.version) for row in rows})

    async def clean(self) -> None:
        """Delete what runs owned that are deleted themselves."""
        if await self._store.write(lambda c: objects.remove_without_owner(c, owner_of)):
            await self.refresh()

    async def watch(self) -> None:
        """Refresh now and then, until cancelled; and clean up after runs that were deleted."""
        for look in count(1):
            await anyio.sleep(POLL_S)
            try:
                await self.refresh()
                if look % CLEAN_EVERY == 0:
                    await self.clean()
            except Transient as error:
                log.warning("objects.store_away", reason=str(error))

    def _changed(self, connection: Connection) -> list[ObjectRow] | None:
        """All objects, if there is something new. On a reader's thread, one at a time."""
        now = objects.fingerprint(connection)
        if now == self._fingerprint:
            return None
        self._fingerprint = now
        return objects.every(connection)


@asynccontextmanager
async def open_objects(store: Store, clock: Clock, documents: Iterable[Body] = ()) -> AsyncGenerator[StoreObjects]:
    """The objects of a store, over the documents of the project."""
    found = StoreObjects(store, clock, documents)
    await found.refresh()
    async with anyio.create_task_group() as group:
        group.start_soon(found.watch)
        try:
            yield found
        finally:
            group.cancel_scope.cancel()
