"""Runs an AMQP source: a batch of messages, safe on the bus, then one acknowledgement for all of them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskStatus

from eventsources.fields import BasicAuth
from eventsources.port import SourceContext, SourceState
from eventsources.queues.amqp import SCHEMES, Amqp, QueueDeclare, is_url
from eventsources.queues.amqp_message import AmqpMessage, data_of
from eventsources.queues.in_hand import InHand
from eventsources.tls import client_context
from eventsources.trying import keep_trying
from retrain.errors import ConfigError, Permanent
from retrain.events import Event
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.amqp_client import Consumer, Place

BATCH = 500
PREFETCH = 500
COUNT_S = 5.0
"""Seconds between two questions how much waits in the queue."""


class AmqpSource:
    """One entry of `spec.amqp`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Amqp)
        self._name = name
        self._spec = spec
        self._context = context
        self._status = context.status
        self._names = InHand(context.checkpoints, f"{spec.exchange_name}/{spec.routing_key}")

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect and take in messages until the connection breaks."""
        from eventsources.queues.amqp_client import consuming

        async with consuming(self._place(), self._spec) as consumer:
            self._status.listening()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._count, consumer)
                while True:
                    messages = await consumer.take(BATCH)
                    await self._make_safe(messages)
                    await consumer.acknowledge(messages[-1])

    async def _count(self, consumer: Consumer) -> None:
        while True:
            self._status.lag(await consumer.waiting())
            await anyio.sleep(COUNT_S)

    async def _make_safe(self, messages: list[AmqpMessage]) -> None:
        """The events on the bus, and what cannot be read in the dead letters."""
        nameless = [one for one in messages if not one.message_id]
        names = iter(await self._names.name([(one.digest, one.again) for one in nameless]) if nameless else ())
        events: list[Event] = []
        for message in messages:
            thing = message.message_id or next(names)
            try:
                data = data_of(message, self._spec.json_body, ours=self._context.ours)
            except Permanent as error:
                await self._context.bury(thing, message.raw, str(error))
            else:
                events.append(self._context.event(thing, data))
        await self._context.deliver(events)

    def _place(self) -> Place:
        """Where to connect and as whom.

        Raises:
            NotFound: a secret is not there yet.
            ConfigError: what a secret holds is of no use.
        """
        from eventsources.queues.amqp_client import Place

        spec = self._spec
        url = spec.url or self._context.read(spec.url_secret).strip()
        if not is_url(url):
            raise ConfigError("urlSecret holds no amqp://HOST:PORT/VHOST")
        self._context.status.conceal(urlsplit(url).password or "")
        auth = spec.auth or BasicAuth()
        secured = client_context(spec.tls, self._context)
        if secured is None and SCHEMES[urlsplit(url).scheme]:
            secured = ssl.create_default_context()
        return Place(
            url=url,
            user=self._context.read(auth.username),
            password=self._context.read(auth.password),
            tls=secured,
            queue=spec.queue_declare or self._own_queue(),
            prefetch=spec.prefetch or PREFETCH,
        )

    def _own_queue(self) -> QueueDeclare:
        if self._context.ours:
            return QueueDeclare(name=f"retrain.{self._context.source}.{self._name}", durable=True)
        return QueueDeclare(exclusive=True)
