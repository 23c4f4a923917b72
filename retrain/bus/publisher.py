"""Publishing with hundreds of events in flight.

One subscription takes all acknowledgements; each event waits for its own under a token. What was not acknowledged when
a connection broke is sent again on the next one: the stream knows a key that it already has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from retrain.bus.connection import Connection, Link
from retrain.bus.grouping import BATCH, Groups, Waiting
from retrain.bus.port import Published
from retrain.bus.subjects import subject_of
from retrain.bus.wire import encode
from retrain.errors import BusError, Permanent, RetrainError
from retrain.events import Event

HEADER_BYTES = 128
"""Room for our one header beside the body: the server counts both against max_payload."""

TOO_BIG = 10054
"""JetStream: message size exceeds maximum allowed."""


class Publisher:
    """Sends events and gives a future for each. All on one event loop."""

    def __init__(self, link: Link, timeout_s: float, max_waiting_bytes: int) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._max_waiting_bytes = max_waiting_bytes
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._groups: Groups | None = None
        self._max_payload = 1024 * 1024
        self._inbox = ""
        self._next = 0
        self._waiting: dict[str, Waiting] = {}  # in the order of their deadlines: all wait equally long
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.why: Callable[[], str | None] = lambda: None
        """What the server waits for, as far as somebody beside it knows."""

    async def attach(self, connection: Connection, *, grouped: bool) -> None:
        """Use a new connection, and send what still waits on it. `grouped`: in batches, which its stream takes."""
        self._detach()
        self._inbox = connection.client.new_inbox()
        self._max_payload = connection.max_payload
        await connection.client.subscribe(f"{self._inbox}.*", cb=self._on_ack, pending_msgs_limit=0)
        self._connection = connection
        if grouped:
            self._groups = Groups(connection, self._inbox, self._waiting, self._send, self._settle)
            return
        for token, waiting in tuple(self._waiting.items()):
            if not waiting.ack.done():  # else whoever waited was cancelled
                await self._send(token, waiting)

    async def submit(self, event: Event) -> asyncio.Future[Published]:
        """Send an event. The future ends with its acknowledgement, a BusError or a Permanent; cancelling it is fine.

        Raises:
            BusError: closed, or too much waits already.
            Permanent: the bus can never take it.
        """
        if self._link.closed:
            raise BusError("the bus is closed")
        body = encode(event, self._max_payload - HEADER_BYTES)
        if self._waiting_bytes + len(body) > self._max_waiting_bytes and self._waiting:
            raise BusError(f"{self._waiting_bytes} bytes wait for the bus already: {self._state()}")
        self._next += 1
        token = str(self._next)
        waiting = Waiting(
            ack=self._loop.create_future(),
            deadline=self._loop.time() + self._timeout_s,
            subject=subject_of(event.source, event.subject),
            key=event.key,
            body=body,
        )
        self._waiting[token] = waiting
        self._waiting_bytes += len(body)
        if self._timer is None:
            self._timer = self._loop.call_at(waiting.deadline, self._expire)
        if self._groups is not None:
            self._groups.add(token)
        else:
            await self._send(token, waiting)
        return waiting.ack

    def close(self) -> None:
        """End what still waits with a BusError."""
        self._detach()
        if self._timer is not None:
            self._timer.cancel()
        for token in tuple(self._waiting):
            self._settle(token, BusError("the bus was closed before it confirmed; publish it again"))

    def _detach(self) -> None:
        if self._groups is not None:
            self._groups.close()
            self._groups = None

    async def _send(self, token: str, waiting: Waiting) -> None:
        """Hand the message to the client, which buffers: this never blocks. On a broken connection it stays waiting."""
        if self._connection is None or self._connection.lost:
            return
        try:
            await self._connection.client.publish(
                waiting.subject, waiting.body, reply=f"{self._inbox}.{token}", headers={"Nats-Msg-Id": waiting.key}
            )
        except NatsError as error:
            if self._connection.client.is_connected:
                self._settle(token, BusError(f"cannot publish: {error}"))

    async def _on_ack(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        if token in self._waiting:
            self._settle(token, _outcome(message))
        elif self._groups is not None and token.startswith(BATCH):
            self._groups.answered(token, message.data)

    def _settle(self, token: str, outcome: Published | RetrainError) -> None:
        waiting = self._waiting.pop(token)
        self._waiting_bytes -= len(waiting.body)
        if self._groups is not None:
            self._groups.gone(token)
        if waiting.ack.done():  # whoever waited was cancelled
            return
        if isinstance(outcome, Published):
            waiting.ack.set_result(outcome)
        else:
            waiting.ack.set_exception(outcome)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting:
            token, waiting = next(iter(self._waiting.items()))
            if waiting.deadline > now:
                self._timer = self._loop.call_at(waiting.deadline, self._expire)
                return
            self._settle(token, BusError(f"not confirmed within {self._timeout_s:g} s: {self._state()}"))

    def _state(self) -> str:
        return self._link.waiting_for or self.why() or "the bus is connected but does not answer"


def _outcome(message: Msg) -> Published | RetrainError:
    """Read a PubAck."""
    if not message.data:
        return BusError("no stream took the event: JetStream is not ready, or the stream is gone")
    try:
        ack: dict[str, Any] = orjson.loads(message.data)
        if "error" not in ack:
            return Published(ack["seq"], duplicate=ack.get("duplicate", False))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        return BusError(f"the bus answered with something that is no acknowledgement: {error!r}")
    problem = ack["error"]
    text = f"the bus refused the event: {problem.get('description', 'error')} ({problem.get('err_code', '?')})"
    return Permanent(text) if problem.get("err_code") == TOO_BIG else BusError(text)
