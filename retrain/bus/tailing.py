"""Following the log live: a pull consumer that is made again from the own position whenever anything is doubtful.

The position is kept here, never on the server, so a consumer is worth nothing: a lost connection, a restarted server, a
gap in its numbering or its silence are answered by a new one. Pulling bounds what waits in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from datetime import datetime
from typing import Any, Self

import orjson
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from retrain.bus.connection import Connection, Link
from retrain.bus.messages import Decoder, delivery
from retrain.bus.port import Record
from retrain.bus.settings import BusSettings
from retrain.errors import BusError

log = structlog.get_logger()

HEARTBEAT_S = 5.0
EXPIRES_S = 30.0
MAX_DELAY_S = 5.0
SECOND_NS = 1_000_000_000


class Session:
    """One consumer on one connection. `waiting` fills; `over` says that nothing more will come."""

    def __init__(self, connection: Connection, stream: str, after: int, limit: int) -> None:
        self._connection = connection
        self._stream = stream
        self._name = f"retrain-{connection.client.new_inbox().rpartition('.')[2]}"
        self._inbox = connection.client.new_inbox()
        self._limit = limit
        self._last = after
        self._delivered = 0
        self._credit = 0  # messages asked for and not come yet
        self._subscription: Subscription | None = None
        self._changed = asyncio.Event()
        self.waiting: deque[tuple[int, datetime, Msg]] = deque()
        self.over: str | None = None

    async def open(self, timeout_s: float) -> None:
        """Make the consumer and ask for messages.

        Raises:
            BusError: the server did not take it.
        """
        self._subscription = await self._connection.client.subscribe(self._inbox, cb=self._on_message)
        config = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._last + 1,
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(2 * EXPIRES_S * SECOND_NS),
        }
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}.{self._name}"
        await self._connection.request(subject, {"stream_name": self._stream, "config": config}, timeout_s)
        await self.ask()

    async def wait(self) -> None:
        """Until there is something in `waiting`, or the session is over. Silence for two heartbeats ends it."""
        while not self.waiting and self.over is None:
            try:
                async with asyncio.timeout(2 * HEARTBEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                self.end("the server went silent")
            self._changed.clear()

    async def ask(self) -> None:
        """Ask for more once half of what may wait has been taken."""
        room = 2 * self._limit - self._credit - len(self.waiting)
        if room < self._limit or self.over is not None:
            return
        request = {
            "batch": room,
            "max_bytes": max(8 * 1024 * 1024, 2 * self._connection.max_payload),
            "expires": int(EXPIRES_S * SECOND_NS),
            "idle_heartbeat": int(HEARTBEAT_S * SECOND_NS),
        }
        self._credit += room
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        try:
            await self._connection.client.publish(subject, orjson.dumps(request), reply=self._inbox)
        except NatsError as error:
            self.end(str(error))

    def end(self, reason: str) -> None:
        if self.over is None:
            self.over = reason
        self._changed.set()

    async def aclose(self) -> None:
        """Leave nothing behind on the server where it can be reached; it forgets the consumer by itself otherwise."""
        self.end("closed")
        client = self._connection.client
        if self._connection.lost or not client.is_connected:
            return
        with contextlib.suppress(NatsError):
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            await client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}")

    async def _on_message(self, message: Msg) -> None:
        if self.over is not None:
            return
        if message.headers and "Status" in message.headers:
            await self._on_status(message.headers)
            return
        position, number, received = delivery(message.reply)
        self._delivered += 1
        if number != self._delivered or position <= self._last:
            self.end(f"message {number} of the consumer came where {self._delivered} was due")
            return
        self._credit -= 1
        self._last = position
        self.waiting.append((position, received, message))
        self._changed.set()

    async def _on_status(self, headers: dict[str, Any]) -> None:
        """A heartbeat, or the end of one of our requests with what it did not get."""
        status = headers["Status"]
        if status == "100":
            self._changed.set()
        elif "Nats-Pending-Messages" in headers:
            self._credit -= int(headers["Nats-Pending-Messages"])
            # A sign of life: the next heartbeat comes two of its intervals after the last one.
            self._changed.set()
            await self.ask()
        else:
            self.end(f"{status} {headers.get('Description', '')}".strip())


class Tail:
    """The iterator that `Bus.tail` gives."""

    def __init__(self, link: Link, settings: BusSettings, decoder: Decoder, after: int, limit: int) -> None:
        self._link = link
        self._settings = settings
        self._decoder = decoder
        self._position = after
        self._limit = limit
        self._session: Session | None = None
        self._watch = contextlib.ExitStack()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Record]:
        while True:
            session = self._session or await self._open()
            await session.wait()
            records = self._take(session)
            if session.over is not None and not session.waiting:
                await self._drop(session)
            else:
                await session.ask()
            if records:
                return records

    async def aclose(self) -> None:
        if self._session is not None:
            await self._drop(self._session)

    def _take(self, session: Session) -> list[Record]:
        records: list[Record] = []
        while session.waiting and len(records) < self._limit:
            position, received, message = session.waiting.popleft()
            self._position = position
            record = self._decoder.record(position, received, message)
            if record is not None:
                records.append(record)
        return records

    async def _open(self) -> Session:
        """A session that is open, however long that takes."""
        delay_s = 0.05
        while True:
            connection = await self._link.connection()
            session = Session(connection, self._settings.stream, self._position, self._limit)
            self._session = session
            self._watch.enter_context(connection.watch(lambda ended=session: ended.end("the connection broke")))
            try:
                await session.open(self._settings.read_timeout_s)
            except (BusError, NatsError) as error:
                log.warning("bus.tail_failed", after=self._position, reason=str(error))
                await self._drop(session)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, MAX_DELAY_S)
            except asyncio.CancelledError:
                await self._drop(session)
                raise
            else:
                return session

    async def _drop(self, session: Session) -> None:
        if session.over is not None and session.over != "closed":
            log.info("bus.tail_reopens", after=self._position, reason=session.over)
        self._session = None
        self._watch.close()
        await session.aclose()
