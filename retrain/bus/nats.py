"""The bus on NATS JetStream: the default, embedded or a cluster of one's own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from retrain.bus import snapshot
from retrain.bus.connection import Connection, Link
from retrain.bus.messages import Decoder
from retrain.bus.paging import read_page
from retrain.bus.port import Bounds, Published, Record, Usage
from retrain.bus.publisher import Publisher
from retrain.bus.settings import BusSettings
from retrain.bus.stream import bounds, ensure_stream, groups, usage
from retrain.bus.tailing import Tail
from retrain.events import Event

WINDOW = 512
"""Events of one `publish_many` in flight: more gain nothing, measured."""


class NatsBus:
    """Events in one JetStream stream. Made by `open_nats`; lives on one asyncio event loop."""

    def __init__(self, url: str, settings: BusSettings) -> None:
        self._settings = settings
        self._link = Link(url, settings, self._prepare)
        self._publisher = Publisher(self._link, settings.publish_timeout_s, settings.max_waiting_bytes)
        self._decoder = Decoder()

    @property
    def connected(self) -> bool:
        """Whether a publish would go out now."""
        return self._link.current is not None

    @property
    def waiting_for(self) -> str | None:
        """What the bus lacks, in words for /readyz and without credentials; None when it lacks nothing."""
        return self._link.waiting_for

    def explain(self, why: Callable[[], str | None]) -> None:
        """`why` says what the server waits for, where a publish is not confirmed and the connection is up."""
        self._publisher.why = why

    @property
    def skipped(self) -> int:
        """Messages read that were no events: somebody else's."""
        return self._decoder.skipped

    async def open(self, *, patient: bool = False) -> None:
        """Connect, and keep connecting from now on. `patient`: return at once, whether there is a server or not.

        Raises:
            BusError: no connection within `connect_timeout_s`; nothing is left running.
        """
        self._link.start()
        if patient:
            return
        try:
            await self._link.connection_within(self._settings.connect_timeout_s)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection; what was not confirmed yet fails with BusError. Closing twice is once."""
        self._publisher.close()
        await self._link.aclose()

    async def publish(self, event: Event) -> Published:
        return await (await self._publisher.submit(event))

    async def publish_many(self, events: Sequence[Event]) -> list[Published]:
        in_flight: deque[asyncio.Future[Published]] = deque()
        done: list[Published] = []
        try:
            for event in events:
                if len(in_flight) >= WINDOW:
                    done.append(await in_flight[0])
                    in_flight.popleft()
                in_flight.append(await self._publisher.submit(event))
            while in_flight:
                done.append(await in_flight[0])
                in_flight.popleft()
        finally:
            for rest in in_flight:
                if not rest.cancel():
                    rest.exception()  # seen: its failure is not the first, which is raised
        return done

    async def read(self, after: int, *, limit: int = 500) -> list[Record]:
        timeout_s = self._settings.read_timeout_s
        connection = await self._link.connection_within(timeout_s)
        return await read_page(connection, self._settings.stream, self._decoder, after, limit, timeout_s)

    @asynccontextmanager
    async def tail(self, after: int, *, limit: int = 500) -> AsyncGenerator[AsyncIterator[list[Record]]]:
        tail = Tail(self._link, self._settings, self._decoder, after, limit)
        try:
            yield tail
        finally:
            await tail.aclose()

    async def bounds(self) -> Bounds:
        connection = await self._link.connection_within(self._settings.read_timeout_s)
        return await bounds(connection, self._settings)

    async def usage(self) -> Usage:
        connection = await self._link.connection_within(self._settings.read_timeout_s)
        return await usage(connection, self._settings)

    async def snapshot(self, write: Callable[[bytes], object]) -> snapshot.Head:
        """Hand the whole stream's bytes to `write`, on another thread; what the stream is.

        Raises:
            BusError: the bus is away, or it broke off.
        """
        connection = await self._link.connection_within(self._settings.connect_timeout_s)
        return await snapshot.save(connection, self._settings.stream, write)

    async def _prepare(self, connection: Connection) -> None:
        await ensure_stream(connection, self._settings)
        await self._publisher.attach(connection, grouped=groups(connection, self._settings))


@asynccontextmanager
async def open_nats(url: str, settings: BusSettings | None = None, *, patient: bool = False) -> AsyncGenerator[NatsBus]:
    """The bus on the NATS servers at `url` (several with commas between), with its stream made where it was not.

    `patient`: a server that is away at first is waited for like one that goes away later; `waiting_for` says so.

    Raises:
        BusError: no server within `connect_timeout_s`, or it refused. Later it is waited for, for ever.
        ConfigError: the url or the credentials cannot be used.
    """
    bus = NatsBus(url, settings or BusSettings())
    await bus.open(patient=patient)
    try:
        yield bus
    finally:
        await bus.aclose()
