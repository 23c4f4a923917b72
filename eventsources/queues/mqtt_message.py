"""What an MQTT message becomes: its data, upstream's and ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from eventsources.bodies import body_of
from retrain.events import JsonValue


@dataclass(frozen=True, slots=True)
class MqttMessage:
    """One message. `number` is the broker's for this handing out; `again`: it was handed out before.

    `retained`: the broker keeps it for every new subscription. `properties` are the sender's own, of MQTT 5.
    """

    topic: str
    raw: bytes
    number: int
    qos: int
    again: bool
    retained: bool
    properties: tuple[tuple[str, str], ...] = field(default=())

    @property
    def digest(self) -> str:
        """The same for the same message handed out again; also for two that are alike in everything."""
        own = "\x00".join([self.topic, *(part for pair in self.properties for part in pair)])
        return sha256(own.encode() + b"\x00" + self.raw).hexdigest()

    @property
    def in_hand(self) -> str:
        """The digest with the broker's number: handed out again in its session, a message has its number again."""
        return f"{self.digest}/{self.number}"


def data_of(message: MqttMessage, json_body: bool | None, *, ours: bool) -> dict[str, JsonValue]:
    """The data of its event. `retained`, and `properties` where there are some, are of retrain.dev/v1.

    Raises:
        Permanent: the body must be JSON, and is not.
    """
    data: dict[str, JsonValue] = {"topic": message.topic, "messageId": message.number}
    if ours:
        data["retained"] = message.retained
        if message.properties:
            data["properties"] = dict(message.properties)
    return data | body_of(message.raw, json_body, ours=ours)
