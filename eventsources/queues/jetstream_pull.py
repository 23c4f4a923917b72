"""Pulls messages of a durable consumer: asks for many at a time, and for more before all of them have come.

The requests and the status messages that answer them are JetStream's own protocol, because the library's `fetch` makes
every batch wait for an answer of its own.

Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference (CONSUMER.MSG.NEXT), ADR-13.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import orjson
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError, ServiceUnavailableError

from eventsources.queues.nats_client import Box, Link
from eventsources.queues.nats_message import DESCRIPTION, STATUS, NatsMessage
from retrain.errors import ConfigError, Transient

BATCH = 500
"""Messages of one request; asked for again when half of them have come."""

MAX_BYTES = 16 * 1024 * 1024
"""Of one request, so that memory stays flat with big messages, too."""

EXPIRES_S, HEARTBEAT_S = 30.0, 5.0
ACK_WAIT_S = 30.0
"""After so long without a word the server hands a message out again; work in hand is told of in time."""

_SERVED = ("exceeds maxbytes", "batch completed")
"""Ends of a request that only say that it has given what it could."""
_IDLE, _NOTHING, _EXPIRED, _ENDED = "100", "404", "408", "409"


class Puller:
    """Messages of one durable consumer, over one connection."""

    def __init__(self, link: Link, stream: str, durable: str) -> None:
        self._link = link
        self._box = Box(4 * BATCH)
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = link.client.new_inbox()
        self._awaited = 0
        self._bytes = MAX_BYTES
        self._pull: dict[str, Any] = {
            "batch": BATCH,
            "max_bytes": MAX_BYTES,
            "expires": int(EXPIRES_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }

    async def open(self) -> None:
        await self._link.client.subscribe(self._inbox, cb=self._box.put)

    async def take(self) -> list[NatsMessage]:
        """The next messages; [] where the server has only said that it is there.

        Raises:
            Transient: the server is silent, or the consumer or its stream is gone.
        """
        if self._awaited <= BATCH // 2:
            self._awaited += BATCH
            await self._link.client.publish(self._next, orjson.dumps(self._pull), self._inbox)
        try:
            with anyio.fail_after(3 * HEARTBEAT_S):
                answers = await self._box.take(BATCH)
        except TimeoutError as error:
            raise Transient(f"nats {self._link.where}: the server is silent") from error
        messages = [one for one in answers if one.raw or not self._is_status(one)]
        self._awaited = max(0, self._awaited - len(messages))
        return messages

    def _is_status(self, message: NatsMessage) -> bool:
        """Whether it is the server's word about a request, and what that means."""
        status = message.headers.get(STATUS)
        if status is None or message.reply:
            return False
        said = message.headers.get(DESCRIPTION, "").lower()
        if status == _IDLE:
            return True
        if status not in (_NOTHING, _EXPIRED) and not (status == _ENDED and said.endswith(_SERVED)):
            raise Transient(f"nats {self._link.where}: {said or f'the server answers {status}'}")
        # A request has ended with messages still owed; which one, nobody needs to know: none may be open now.
        self._awaited = 0
        return True

    async def acknowledge(self, messages: list[NatsMessage]) -> None:
        for message in messages:
            await self._link.client.publish(message.reply, b"+ACK")

    async def give_back(self) -> None:
        """Let others have at once what has come and was not taken."""
        with suppress(NatsError, OSError):
            for message in self._box.empty():
                if message.reply:
                    await self._link.client.publish(message.reply, b"-NAK")

    async def work_on(self, messages: list[NatsMessage]) -> None:
        """Tell the server now and then that these are in hand, until cancelled."""
        while True:
            await anyio.sleep(ACK_WAIT_S / 3)
            for message in messages:
                await self._link.client.publish(message.reply, b"+WPI")


async def ensure_consumer(link: Link, stream: str, wanted: ConsumerConfig) -> None:
    """The durable consumer `wanted`: made where it is not there, taken as it is where it is.

    Raises:
        Transient: there is no such stream, or no JetStream.
        ConfigError: a consumer of that name is there which is of no use here.
    """
    context = link.client.jetstream(timeout=5)
    try:
        await _found_or_made(context, stream, wanted)
    except ServiceUnavailableError as error:
        raise Transient(f"nats {link.where}: the server has no JetStream, or none for this login") from error
    except NotFoundError as error:
        raise Transient(f"nats {link.where}: there is no stream {stream!r}") from error


async def _found_or_made(context: JetStreamContext, stream: str, wanted: ConsumerConfig) -> None:
    await context.stream_info(stream)
    try:
        found = await context.consumer_info(stream, wanted.durable_name or "")
    except NotFoundError:
        await context.add_consumer(stream, wanted)
        return
    if problem := _problem(found, wanted):
        message = f"the stream {stream!r} has a consumer {wanted.durable_name!r} already, and {problem}"
        raise ConfigError(f"{message}; give another name as `consumer`")


def _problem(found: ConsumerInfo, wanted: ConsumerConfig) -> str | None:
    config = found.config
    if config.deliver_subject:
        return "it pushes"
    if config.ack_policy != AckPolicy.EXPLICIT:
        return "its messages are not acknowledged one by one"
    if wanted.filter_subject and (config.filter_subject or "") != wanted.filter_subject:
        return f"it is for {config.filter_subject or 'all subjects'}"
    return None


def consumer_of(durable: str, subject: str, *, existing: bool) -> ConsumerConfig:
    """What a consumer of ours is made like. `existing`: from the first message that the stream holds."""
    return ConsumerConfig(
        durable_name=durable,
        description="retrain",
        deliver_policy=DeliverPolicy.ALL if existing else DeliverPolicy.NEW,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_ack_pending=4 * BATCH,
        filter_subject=subject or None,
    )
