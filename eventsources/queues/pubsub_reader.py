"""Reads a subscription of Pub/Sub for whoever makes its messages safe: the pubSub source, and gcs's notifications.

Messages are acknowledged after they are safe. Until then they are kept from others, again and again; what is not safe
when the reader ends is handed back at once, and that of a reader that was killed comes again after VISIBLE_S.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from eventsources import daemon
from eventsources.port import SourceContext
from eventsources.queues.pubsub import Subscribed
from retrain.errors import RetrainError

if TYPE_CHECKING:
    from eventsources.queues.pubsub_client import Place, PubSubMessage, Subscription

Take = Callable[[Sequence["PubSubMessage"]], Awaitable[None]]
"""Makes messages safe."""

FIRST_S, EVERY_S = 4.0, 6.0
"""A subscription that somebody else has made may hand a message out again after ten seconds."""

RELEASE_S = 2.0
DELETE_S = 3.0
_UNFIT = re.compile(r"[^A-Za-z0-9._~+%-]")


async def read(context: SourceContext, spec: Subscribed, take: Take) -> None:
    """One attempt for `keep_trying`: connect and hand messages to `take`, until Pub/Sub is away.

    Raises:
        RetrainError: it is away, lacks what is needed, or says no.
    """
    place = place_of(context, spec)
    subscription = await daemon.run_sync(_connect, place)
    try:
        context.status.listening()
        while True:
            if messages := await subscription.pull():
                await _settle(subscription, messages, take)
    finally:
        subscription.close()
        if spec.delete_subscription_on_finish:
            await _delete(place)


def _connect(place: Callable[[], Place]) -> Subscription:
    from eventsources.queues import pubsub_client

    return pubsub_client.connect(place())


def place_of(context: SourceContext, spec: Subscribed) -> Callable[[], Place]:
    """Where to connect and as whom. The secret is read now, the rest in the thread that has imported the library.

    Raises:
        NotFound: the secret is not there yet.
    """
    key = context.read(spec.credential_secret)

    def place() -> Place:
        from eventsources.queues.pubsub_client import Place

        return Place(
            subscription=spec.subscription_id or subscription_of(context.source, context.name),
            project=spec.project_id,
            topic=spec.topic,
            topic_project=spec.topic_project_id,
            key=key,
            endpoint=spec.endpoint,
            makes_topic=not context.ours,
            ordered=context.ours,
        )

    return place


def subscription_of(source: str, name: str) -> str:
    """The name of a subscription of our own: always the same, so that what comes while we are away is kept."""
    return _UNFIT.sub("-", f"retrain-{source}-{name}")[:255]


async def _settle(subscription: Subscription, messages: Sequence[PubSubMessage], take: Take) -> None:
    done = False
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep, subscription, messages)
            await take(messages)
            done = True
            tasks.cancel_scope.cancel()
    finally:
        if not done:
            with anyio.move_on_after(RELEASE_S, shield=True), suppress(RetrainError):
                await subscription.show(messages, 0)
    with anyio.CancelScope(shield=True), anyio.move_on_after(2 * RELEASE_S):
        await subscription.acknowledge(messages)


async def _keep(subscription: Subscription, messages: Sequence[PubSubMessage]) -> None:
    """Keep them from others while they are in hand, until cancelled."""
    from eventsources.queues.pubsub_client import VISIBLE_S

    await anyio.sleep(FIRST_S)
    while True:
        with suppress(RetrainError):  # whether Pub/Sub is there is found out by who acknowledges
            await subscription.show(messages, VISIBLE_S)
        await anyio.sleep(EVERY_S)


async def _delete(place: Callable[[], Place]) -> None:
    """Remove the subscription, over a connection of its own: a pull that is cancelled takes its connection along."""
    with anyio.move_on_after(DELETE_S, shield=True), suppress(RetrainError):
        again = await daemon.run_sync(_connect, place)
        try:
            await again.delete()
        finally:
            again.close()
