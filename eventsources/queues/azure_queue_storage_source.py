"""Runs a source on Azure Queue Storage: messages, safe on the bus, then deleted.

Until they are safe they are hidden from others, again and again. One that is not safe when the source ends is shown to
others at once, one of a source that was killed after VISIBLE_S.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from eventsources.bodies import body_of
from eventsources.port import SourceContext, SourceState
from eventsources.queues.azure_queue_storage import AzureQueueStorage
from eventsources.trying import keep_trying
from retrain.errors import Permanent, RetrainError
from retrain.events import Event, JsonValue, format_time
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.azure_queue_storage_client import Queue, QueueMessage

BATCH = 500
VISIBLE_S = 20
RELEASE_S = 2.0
GATHER_S = 1.0
LAG_S = 30.0
ARGO_WAIT_S, WAIT_S = 3, 1


class AzureQueueStorageSource:
    """One entry of `spec.azureQueueStorage`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - it names no thing
        assert isinstance(spec, AzureQueueStorage)
        self._spec = spec
        self._context = context
        self._status = context.status
        given = spec.wait_time_in_seconds
        self._wait_s = given if given is not None else (WAIT_S if context.ours else ARGO_WAIT_S)

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect and take in messages until the queue is away."""
        from eventsources.queues import azure_queue_storage_client

        text = self._context.read(self._spec.connection_string)
        for part in text.split(";"):
            name, _, value = part.partition("=")
            if name.strip() in ("AccountKey", "SharedAccessSignature"):
                self._status.conceal(value)
        async with azure_queue_storage_client.dial(text, self._spec.queue_name) as queue:
            await self._take_in(queue)

    async def _take_in(self, queue: Queue) -> None:
        asked = -LAG_S
        while True:
            if anyio.current_time() - asked >= LAG_S:
                self._status.lag(await queue.waiting())
                asked = anyio.current_time()
                self._status.listening()
            messages = await self._gather(queue)
            if messages:
                await self._settle(queue, messages)
            else:
                await anyio.sleep(max(self._wait_s, 0.1))

    async def _gather(self, queue: Queue) -> list[QueueMessage]:
        """What is there, BATCH at most."""
        messages: list[QueueMessage] = []
        ends = anyio.current_time() + GATHER_S
        while len(messages) + 32 <= BATCH and anyio.current_time() < ends:
            page = await queue.receive(VISIBLE_S)
            messages += page
            if not page:
                break
        return messages

    async def _settle(self, queue: Queue, messages: list[QueueMessage]) -> None:
        """Make them safe while nobody else sees them; then delete them."""
        done: Sequence[QueueMessage] = ()
        safe = False
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_hide, queue, messages)
                done = await self._make_safe(messages)
                safe = True
                tasks.cancel_scope.cancel()
        finally:
            if not safe:
                with anyio.move_on_after(RELEASE_S, shield=True), suppress(RetrainError):
                    await queue.show(messages, 0)
        with anyio.CancelScope(shield=True), anyio.move_on_after(2 * RELEASE_S):
            await queue.delete(done)

    async def _make_safe(self, messages: Sequence[QueueMessage]) -> Sequence[QueueMessage]:
        """The events on the bus, and what cannot be read in the dead letters; those that are to be deleted."""
        events: list[Event] = []
        done: list[QueueMessage] = []
        for message in messages:
            try:
                data = self._data_of(message)
            except Permanent as error:
                if self._spec.dlq:
                    self._status.failed(f"message {message.id} stays in the queue: {error}")
                    continue
                await self._context.bury(message.id, _raw(message), str(error))
            else:
                time = message.inserted if self._context.ours else None
                events.append(self._context.event(message.id, data, time=time))
            done.append(message)
        await self._context.deliver(events)
        return done

    def _data_of(self, message: QueueMessage) -> dict[str, JsonValue]:
        raw = decoded(message.text) if self._spec.decode_message else _raw(message)
        told: dict[str, JsonValue] = {"messageID": message.id, "insertionTime": format_time(message.inserted)}
        return told | body_of(raw, self._spec.json_body, ours=self._context.ours)


def decoded(text: str) -> bytes:
    """What base64 says, in either of its two alphabets.

    Raises:
        Permanent: it is no base64.
    """
    try:
        return b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Permanent(f"decodeMessage is true, and the message is no base64: {error}") from error


def _raw(message: QueueMessage) -> bytes:
    return message.text.encode("utf-8", "surrogatepass")


async def _hide(queue: Queue, messages: Sequence[QueueMessage]) -> None:
    """Keep them from others while they are in hand, until cancelled."""
    while True:
        await anyio.sleep(VISIBLE_S / 3)
        with suppress(RetrainError):
            await queue.show(messages, VISIBLE_S)
