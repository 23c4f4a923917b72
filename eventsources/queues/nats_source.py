"""Runs a source on core NATS: a subscription, and batches of what it brings.

Core NATS tells once and keeps nothing: what is published while nobody is connected is gone, and so is what a process
that is killed had in its hands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
from anyio.abc import TaskStatus

from eventsources.port import SourceContext, SourceState
from eventsources.queues.nats import Nats
from eventsources.queues.nats_message import MESSAGE_ID, NatsMessage, data_of
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import Event
from retrain.log import get_logger
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.nats_client import Box, Link

log = get_logger()

BATCH = 500
LAST_S = 2.0
"""Seconds for what was received before the source was told to end."""


class NatsSource:
    """One entry of `spec.nats`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Nats)
        self._name = name
        self._spec = spec
        self._context = context
        self._status = context.status
        self._dropped = 0

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect and take in messages until the connection breaks."""
        from eventsources.queues import nats_client

        box = nats_client.Box(2 * BATCH)
        async with nats_client.dial(nats_client.server(self._spec, self._context)) as link:
            try:
                await nats_client.while_open(link, lambda: self._take_in(link, box))
            finally:
                # No other copy of these is anywhere.
                with anyio.move_on_after(LAST_S, shield=True):
                    while len(box):
                        await self._tell(await box.take(BATCH))

    async def _take_in(self, link: Link, box: Box) -> None:
        from eventsources.queues.nats_client import PENDING_BYTES, PENDING_MESSAGES

        await link.client.subscribe(
            self._spec.subject,
            self._spec.queue or "",
            cb=box.put,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
        await link.client.flush()
        self._status.listening(self._note())
        while True:
            await self._tell(await box.take(BATCH))
            self._count(link)

    def _count(self, link: Link) -> None:
        """Say how many messages the client had no room for."""
        if link.dropped:
            self._dropped += link.dropped
            link.dropped = 0
            log.warning("nats.dropped", source=self._status.name, messages=self._dropped)
            self._status.listening(self._note())

    def _note(self) -> str | None:
        return f"{self._dropped} messages came faster than the bus took them, and are lost" if self._dropped else None

    async def _tell(self, messages: list[NatsMessage]) -> None:
        events: list[Event] = []
        for message in messages:
            # A message of core NATS has no name of its own, unless its sender has given it one.
            thing = message.headers.get(MESSAGE_ID) or uuid4().hex
            try:
                data = data_of(message, self._spec.json_body, ours=self._context.ours)
            except Permanent as error:
                await self._context.bury(thing, message.raw, str(error))
            else:
                events.append(self._context.event(thing, data))
        await self._context.deliver(events)
