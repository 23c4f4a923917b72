"""Runs an MQTT source: a batch of messages, safe on the bus, then their acknowledgements."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskStatus

from eventsources.duration import seconds
from eventsources.fields import BasicAuth
from eventsources.port import SourceContext, SourceState
from eventsources.queues.in_hand import InHand
from eventsources.queues.mqtt import SCHEMES, Mqtt
from eventsources.queues.mqtt_message import MqttMessage, data_of
from eventsources.tls import client_context
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import Event
from retrain.log import get_logger
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.mqtt_client import Broker, Subscription

log = get_logger()

BATCH = 500
EXPIRY = "168h"
PORTS = {False: 1883, True: 8883}
"""By whether there is TLS."""


class MqttSource:
    """One entry of `spec.mqtt`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, Mqtt)
        self._name = name
        self._spec = spec
        self._context = context
        self._status = context.status
        self._names = InHand(context.checkpoints, f"{spec.url}/{spec.topic}", numbered=True)
        self._qos = 1 if spec.qos is None else spec.qos
        self._dropped = 0

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect, subscribe, and take in messages until the connection breaks."""
        from eventsources.queues.mqtt_client import connected

        async with connected(self._broker()) as subscription:
            await subscription.begin(self._spec.topic, self._qos)
            self._status.listening(self._note())
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(subscription.broken)
                while True:
                    messages = await subscription.take(BATCH)
                    await self._make_safe(messages)
                    subscription.acknowledge(messages)
                    self._count(subscription)

    async def _make_safe(self, messages: list[MqttMessage]) -> None:
        """The events on the bus, and what cannot be read in the dead letters."""
        events: list[Event] = []
        for message, thing in zip(messages, await self._things(messages), strict=True):
            try:
                data = data_of(message, self._spec.json_body, ours=self._context.ours)
            except Permanent as error:
                await self._context.bury(thing, message.raw, str(error))
            else:
                events.append(self._context.event(thing, data))
        await self._context.deliver(events)

    async def _things(self, messages: list[MqttMessage]) -> list[str]:
        """What each message is named. A retained one that comes with every subscription is always the same."""
        passing = [one for one in messages if not one.retained]
        names = iter(await self._names.name([(one.in_hand, one.again) for one in passing]) if passing else ())
        return [
            (await self._names.known(one.digest) or f"retained/{one.digest}") if one.retained else next(names)
            for one in messages
        ]

    def _count(self, subscription: Subscription) -> None:
        """Say how many messages there was no room for."""
        if subscription.dropped:
            self._dropped += subscription.dropped
            subscription.dropped = 0
            log.warning("mqtt.dropped", source=self._status.name, messages=self._dropped)
            self._status.listening(self._note())

    def _note(self) -> str | None:
        if not self._dropped:
            return None
        return f"{self._dropped} messages of QoS 0 came faster than the bus took them, and are lost"

    def _broker(self) -> Broker:
        """Where to connect and as whom.

        Raises:
            NotFound: a secret is not there yet.
            ConfigError: a certificate is none.
        """
        from eventsources.queues.mqtt_client import Broker

        spec, url, auth = self._spec, urlsplit(self._spec.url), self._spec.auth or BasicAuth()
        secured = client_context(spec.tls, self._context)
        if secured is None and SCHEMES[url.scheme]:
            secured = ssl.create_default_context()
        return Broker(
            host=url.hostname or "",
            port=url.port or PORTS[secured is not None],
            client_id=spec.client_id or f"retrain-{self._context.source}-{self._name}",
            user=self._context.read(auth.username) if spec.auth else None,
            password=self._context.read(auth.password) if spec.auth else None,
            tls=secured,
            version=spec.version or "3.1.1",
            expiry_s=int(seconds(spec.session_expiry or EXPIRY)),
            lasting=self._qos > 0,
        )
