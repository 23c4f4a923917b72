"""Runs a source on JetStream: a batch of messages, safe on the bus, then their acknowledgements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from eventsources.port import SourceContext, SourceState
from eventsources.queues.jetstream import JetStream
from eventsources.queues.nats_message import NatsMessage, Place, data_of, place_of
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import Event
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.jetstream_pull import Puller
    from eventsources.queues.nats_client import Link

LAST_S = 1.0
_UNFIT = re.compile(r"[\s.*>/\\\x00-\x1f\x7f]")


class JetStreamSource:
    """One entry of `spec.jetstream`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, JetStream)
        self._spec = spec
        self._context = context
        self._status = context.status
        self._durable = spec.consumer or _UNFIT.sub("_", f"retrain-{context.source}-{name}")[:255]

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect and take in messages until the connection breaks."""
        from eventsources.queues import nats_client

        spec = self._spec
        server = nats_client.server_of(spec.url, spec.auth, spec.tls, self._context)
        async with nats_client.dial(server) as link:
            await nats_client.while_open(link, lambda: self._take_in(link))

    async def _take_in(self, link: Link) -> None:
        from eventsources.queues import jetstream_pull

        spec = self._spec
        wanted = jetstream_pull.consumer_of(self._durable, spec.subject, existing=spec.existing != "skip")
        await jetstream_pull.ensure_consumer(link, spec.stream, wanted)
        puller = jetstream_pull.Puller(link, spec.stream, self._durable)
        await puller.open()
        self._status.listening()
        try:
            while True:
                if messages := await puller.take():
                    await self._tell(puller, messages)
        finally:
            with anyio.move_on_after(LAST_S, shield=True):
                await puller.give_back()

    async def _tell(self, puller: Puller, messages: list[NatsMessage]) -> None:
        """Make the messages safe, then acknowledge them."""
        places = [place_of(message.reply) or Place(self._spec.stream, 0, 0, 0) for message in messages]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(puller.work_on, messages)
            await self._make_safe(messages, places)
            tasks.cancel_scope.cancel()
        await puller.acknowledge(messages)
        self._status.lag(places[-1].pending)

    async def _make_safe(self, messages: list[NatsMessage], places: list[Place]) -> None:
        """The events on the bus, and what cannot be read in the dead letters."""
        events: list[Event] = []
        for message, place in zip(messages, places, strict=True):
            try:
                data = data_of(message, self._spec.json_body, ours=self._context.ours)
            except Permanent as error:
                await self._context.bury(place.thing, message.raw, str(error))
                continue
            data |= {"stream": place.stream, "sequence": place.sequence}
            events.append(self._context.event(place.thing, data, time=place.time))
        await self._context.deliver(events)
