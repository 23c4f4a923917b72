"""One subscription at an MQTT broker, with acknowledgements of our own. Imported when a source connects.

The client library acknowledges a message as soon as it has read it; here that is put off until the message is safe. The
session belongs to the client's id and outlives the connection: the broker keeps for it what is not acknowledged.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt
import anyio
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from eventsources.queues.mqtt_message import MqttMessage
from retrain.errors import Transient

DIAL_S = 5.0
KEEPALIVE_S = 15
MOST = 10_000
"""Messages in memory. Those of QoS 1 the broker counts itself; of QoS 0 what comes when it is full is dropped."""

REFUSED = 128
# Every failed try; what matters is in the source's state.
_LOGGER = logging.getLogger("retrain.mqtt")
_LOGGER.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to connect and as whom. `expiry_s`: how long a broker of MQTT 5 keeps the session."""

    host: str
    port: int
    client_id: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    version: str = "3.1.1"
    expiry_s: int = 0
    lasting: bool = True

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


class Subscription(aiomqtt.Client):
    """A connection that keeps messages until they are acknowledged. `dropped` counts those there was no room for."""

    def __init__(self, broker: Broker) -> None:
        five = broker.version == "5"
        super().__init__(
            broker.host,
            broker.port,
            username=broker.user,
            password=broker.password,
            identifier=broker.client_id,
            logger=_LOGGER,
            protocol=aiomqtt.ProtocolVersion.V5 if five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if five else not broker.lasting,
            clean_start=not broker.lasting if five else MQTT_CLEAN_START_FIRST_ONLY,
            properties=_session(broker) if five else None,
            tls_context=broker.tls,
            timeout=DIAL_S,
            keepalive=KEEPALIVE_S,
        )
        self._client.manual_ack_set(True)
        self._client.connect_timeout = DIAL_S
        self._broker = broker
        self._messages: deque[MqttMessage] = deque()
        self._came = anyio.Event()
        self.dropped = 0

    async def begin(self, topic: str, qos: int) -> None:
        """Subscribe. A session that is there already is told its own subscription again, which changes nothing.

        Raises:
            Transient: the broker does not let this login have the topic.
        """
        # Retained messages come once, with a new subscription: they are no news with every connection.
        options = SubscribeOptions(qos=qos, retainHandling=1) if self._broker.version == "5" else None
        codes = await self.subscribe(topic, qos=0 if options else qos, options=options)
        if any((code if isinstance(code, int) else code.value) >= REFUSED for code in codes):
            raise Transient(f"mqtt {self._broker.where}: the broker refuses a subscription to {topic!r}")

    async def take(self, most: int) -> list[MqttMessage]:
        """What has come, in its order; waits for the first one."""
        await self._came.wait()
        taken = [self._messages.popleft() for _ in range(min(most, len(self._messages)))]
        if not self._messages:
            self._came = anyio.Event()
        return taken

    def acknowledge(self, messages: list[MqttMessage]) -> None:
        for message in messages:
            if message.qos:
                self._client.ack(message.number, message.qos)

    async def broken(self) -> None:
        """Returns never.

        Raises:
            Transient: as soon as the connection is gone.
        """
        gone = anyio.Event()
        self._disconnected.add_done_callback(lambda _: gone.set())
        await gone.wait()
        error = self._disconnected.exception()
        raise Transient(f"mqtt {self._broker.where}: {reason(error) if error else 'the connection is gone'}")

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:  # noqa: ARG002 - the library's
        if len(self._messages) >= MOST and message.qos == 0:
            self.dropped += 1
            return
        self._messages.append(_read(message))
        self._came.set()


@asynccontextmanager
async def connected(broker: Broker) -> AsyncGenerator[Subscription]:
    """A connection to the broker.

    Raises:
        Transient: nobody answers, or the login is refused. While it is open: it broke.
    """
    subscription = Subscription(broker)
    try:
        async with subscription:
            yield subscription
    except (aiomqtt.MqttError, OSError) as error:
        raise Transient(f"mqtt {broker.where}: {reason(error)}") from error


def _session(broker: Broker) -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = broker.expiry_s if broker.lasting else 0
    return properties


def _read(message: MQTTMessage) -> MqttMessage:
    own: list[tuple[str, str]] = getattr(message.properties, "UserProperty", None) or []
    return MqttMessage(
        topic=message.topic,
        raw=bytes(message.payload),
        number=message.mid,
        qos=message.qos,
        again=bool(message.dup),
        retained=bool(message.retain),
        properties=tuple((str(name), str(value)) for name, value in own),
    )


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    said = str(error).strip().partition("\n")[0][:300]
    if any(word in said.lower() for word in ("not authori", "bad user name", "bad username")):
        return "the broker refuses the login"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "the broker's certificate is not trusted"
    return said or type(error).__name__
