"""Reads a queue of SQS for whoever makes its messages safe: the sqs source, and s3's notifications.

Messages are deleted after they are safe. Until then they are hidden from others, again and again; one that is not safe
when the reader ends is shown to others at once, and one of a reader that was killed after VISIBLE_S.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from eventsources import daemon
from eventsources.queues.sqs_message import SqsMessage
from eventsources.status import Status
from retrain.errors import RetrainError
from retrain.log import get_logger

if TYPE_CHECKING:
    from eventsources.queues.sqs_client import Login, Queue

log = get_logger()

Take = Callable[[Sequence[SqsMessage]], Awaitable[Sequence[SqsMessage]]]
"""Makes messages safe, in their order; gives those that are to be deleted."""

BATCH = 500
VISIBLE_S = 20
LANES = 4
"""Requests at the same time, to a queue that keeps no order."""

GATHER_S = 1.0
"""Seconds that are spent on filling a batch."""

RELEASE_S = 2.0
LAG_S = 30.0


async def read(login: Callable[[], Login], status: Status, take: Take, *, wait_s: int = 20) -> None:
    """One attempt for `keep_trying`: connect and hand messages to `take`, until the queue is away.

    `login` is called for each connection, so that it gives today's secrets. `wait_s`: how long one request waits.

    Raises:
        RetrainError: it is away, there is none, or it says no.
    """
    from eventsources.queues.sqs_client import connect

    while True:  # once more when the keys of a role have ended
        queue = await daemon.run_sync(connect, login())
        try:
            status.listening()
            await _read(queue, status, take, wait_s)
        finally:
            queue.close()


async def _read(queue: Queue, status: Status, take: Take, wait_s: int) -> None:
    asked = -LAG_S
    while not queue.lost:
        messages = await _gather(queue, wait_s)
        if messages:
            await _settle(queue, messages, take)
        if anyio.current_time() - asked >= LAG_S:
            asked = anyio.current_time()
            status.lag(await queue.waiting())


async def _gather(queue: Queue, wait_s: int) -> list[SqsMessage]:
    """What waits, BATCH at most; [] where nothing has come within `wait_s`."""
    messages = await queue.receive(wait_s, VISIBLE_S)
    ends = anyio.current_time() + GATHER_S
    lanes = 1 if queue.fifo else LANES
    more = bool(messages)
    while more and len(messages) + lanes * 10 <= BATCH and anyio.current_time() < ends:
        came = await _receive(queue, lanes)
        messages += came
        more = bool(came)
    return messages


async def _receive(queue: Queue, lanes: int) -> list[SqsMessage]:
    if lanes == 1:
        return await queue.receive(0, VISIBLE_S)
    found: list[SqsMessage] = []

    async def receive() -> None:
        found.extend(await queue.receive(0, VISIBLE_S))

    async with anyio.create_task_group() as tasks:
        for _ in range(lanes):
            tasks.start_soon(receive)
    return found


async def _settle(queue: Queue, messages: list[SqsMessage], take: Take) -> None:
    """Make them safe while nobody else sees them; then delete them."""
    done: Sequence[SqsMessage] | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_hide, queue, messages)
            done = await take(messages)
            tasks.cancel_scope.cancel()
    finally:
        if done is None:
            with anyio.move_on_after(RELEASE_S, shield=True), suppress(RetrainError):
                await queue.show(messages, 0)
    if done:
        with anyio.CancelScope(shield=True), anyio.move_on_after(RELEASE_S * 5):
            await _delete(queue, done)


async def _delete(queue: Queue, messages: Sequence[SqsMessage]) -> None:
    async def delete(part: Sequence[SqsMessage]) -> None:
        if refused := await queue.delete(part):
            log.warning("sqs.not_deleted", messages=refused)

    share = -(-len(messages) // LANES)
    async with anyio.create_task_group() as tasks:
        for start in range(0, len(messages), share):
            tasks.start_soon(delete, messages[start : start + share])


async def _hide(queue: Queue, messages: list[SqsMessage]) -> None:
    """Keep them from others while they are in hand, until cancelled."""
    while True:
        await anyio.sleep(VISIBLE_S / 3)
        with suppress(RetrainError):  # whether the queue is there is found out by who deletes
            await queue.show(messages, VISIBLE_S)
