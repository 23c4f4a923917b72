"""One consumer of an AMQP queue. Imported when a source connects.

The library's `robust` connection reconnects on its own and hides it; here a connection that broke is said and dialled
again. Acknowledgements are ours: one for each batch, after it is safe.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import anyio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError, ChannelInvalidStateError, ProbableAuthenticationError
from yarl import URL

from eventsources.queues.amqp import Amqp, Consume, ExchangeDeclare, QueueDeclare, arguments_of
from eventsources.queues.amqp_message import AmqpMessage
from retrain.errors import Transient

DIAL_S = 5.0
CLOSING_S = 1.0
HEARTBEAT_S = 10
# Every failed try; what matters is in the source's state.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)
logging.getLogger("aio_pika").setLevel(logging.CRITICAL)

ERRORS = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect and as whom. `queue` is what is declared where the user says nothing of it."""

    url: str = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    queue: QueueDeclare = field(default_factory=QueueDeclare)
    prefetch: int = 500

    @property
    def where(self) -> str:
        """The server, without its login."""
        url = urlsplit(self.url)
        return f"{url.hostname}:{url.port or (5671 if self.tls is not None else 5672)}"


class Consumer:
    """Messages of one queue, to be taken in batches: never more than the prefetch are here."""

    def __init__(self, place: Place, channel: AbstractChannel) -> None:
        self._place = place
        self._channel = channel
        self._messages: deque[AmqpMessage] = deque()
        self._came = anyio.Event()
        self._closed: BaseException | None = None
        self.queue = ""

    async def open(self, spec: Amqp) -> None:
        """Declare what is to be there, and ask for its messages."""
        self._channel.close_callbacks.add(self._on_close)
        await self._channel.set_qos(prefetch_count=self._place.prefetch)
        queue = await self._declare(spec)
        self.queue = queue.name
        consume = spec.consume or Consume()
        await queue.consume(
            self._take_in, no_ack=False, exclusive=consume.exclusive, consumer_tag=consume.consumer_tag or None
        )

    async def take(self, most: int) -> list[AmqpMessage]:
        """What has come, in its order; waits for the first one.

        Raises:
            Transient: the connection or the channel is gone.
        """
        await self._came.wait()
        if self._closed is not None:
            raise Transient(f"amqp {self._place.where}: {reason(self._closed)}")
        taken = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
        if not self._messages:
            self._came = anyio.Event()
        return taken

    async def acknowledge(self, last: AmqpMessage) -> None:
        """This message and all before it."""
        with _translated(self._place):
            channel = await self._channel.get_underlay_channel()
            await channel.basic_ack(last.tag, multiple=True)

    async def waiting(self) -> int | None:
        """How many messages wait in the queue."""
        with _translated(self._place):
            queue = await self._channel.declare_queue(self.queue, passive=True)
            return queue.declaration_result.message_count

    async def _declare(self, spec: Amqp) -> AbstractQueue:
        wanted = self._place.queue
        if not spec.exchange_name:
            return await self._channel.declare_queue(wanted.name, passive=True)
        declare = spec.exchange_declare or ExchangeDeclare(durable=True)
        exchange = await self._channel.declare_exchange(
            spec.exchange_name,
            spec.exchange_type,
            durable=declare.durable,
            auto_delete=declare.auto_delete,
            internal=declare.internal,
        )
        queue = await self._channel.declare_queue(
            wanted.name or None,
            durable=wanted.durable,
            exclusive=wanted.exclusive,
            auto_delete=wanted.auto_delete,
            arguments=arguments_of(wanted),
        )
        await queue.bind(exchange, routing_key=spec.routing_key)
        return queue

    async def _take_in(self, message: AbstractIncomingMessage) -> None:
        self._messages.append(_read(message))
        self._came.set()

    def _on_close(self, _channel: object, error: BaseException | None) -> None:
        self._closed = error or ConnectionError("the connection is gone")
        self._came.set()


@asynccontextmanager
async def consuming(place: Place, spec: Amqp) -> AsyncGenerator[Consumer]:
    """A consumer on a connection of its own.

    Raises:
        Transient: nobody answers, the login is refused, or the server does not declare what is asked for.
    """
    with _translated(place):
        connection = await aio_pika.connect(_url(place), ssl_context=place.tls, timeout=DIAL_S)
    try:
        with _translated(place):
            channel = await connection.channel(publisher_confirms=False)
            consumer = Consumer(place, channel)
            await consumer.open(spec)
        yield consumer
    finally:
        with anyio.move_on_after(CLOSING_S, shield=True), suppress(*ERRORS):
            await connection.close()


@contextmanager
def _translated(place: Place) -> Generator[None]:
    """The library's errors as Transient, with the server's address and without the login."""
    try:
        yield
    except ERRORS as error:
        raise Transient(f"amqp {place.where}: {reason(error)}") from error


def _url(place: Place) -> URL:
    url = URL(place.url)
    if place.user:
        url = url.with_user(place.user).with_password(place.password)
    if place.tls is not None:
        url = url.with_scheme("amqps")
    return url.update_query(heartbeat=HEARTBEAT_S)


def _read(message: AbstractIncomingMessage) -> AmqpMessage:
    mode: Any = message.delivery_mode
    return AmqpMessage(
        raw=message.body,
        tag=message.delivery_tag or 0,
        again=bool(message.redelivered),
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        content_type=message.content_type or "",
        content_encoding=message.content_encoding or "",
        delivery_mode=int(mode or 0),
        priority=message.priority or 0,
        correlation_id=str(message.correlation_id or ""),
        reply_to=message.reply_to or "",
        expiration=str(message.expiration or ""),
        message_id=str(message.message_id or ""),
        timestamp=message.timestamp,
        type=message.type or "",
        app_id=message.app_id or "",
    )


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, ProbableAuthenticationError) or "ACCESS_REFUSED - Login" in str(error):
        return "the server refused the login"
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return f"the server's certificate is not trusted: {error.__cause__.verify_message}"
    if isinstance(error, TimeoutError):
        return "nobody answers in time"
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
