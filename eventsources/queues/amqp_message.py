"""What an AMQP message becomes: its data, upstream's and ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import orjson

from eventsources.bodies import body_of
from eventsources.gotime import go_time
from retrain.events import JsonValue, format_time


@dataclass(frozen=True, slots=True)
class AmqpMessage:
    """One message, with the properties that its publisher gave it. `again`: it was handed out before."""

    raw: bytes
    tag: int
    again: bool
    exchange: str
    routing_key: str
    content_type: str = ""
    content_encoding: str = ""
    delivery_mode: int = 0
    priority: int = 0
    correlation_id: str = ""
    reply_to: str = ""
    expiration: str = ""
    message_id: str = ""
    timestamp: datetime | None = None
    type: str = ""
    app_id: str = ""

    @property
    def digest(self) -> str:
        """The same for the same message handed out again; also for two that are alike in everything."""
        own = [self.exchange, self.routing_key, self.correlation_id, str(self.timestamp), self.type, self.app_id]
        return sha256(orjson.dumps(own) + self.raw).hexdigest()


def data_of(message: AmqpMessage, json_body: bool | None, *, ours: bool) -> dict[str, JsonValue]:
    """The data of its event.

    Raises:
        Permanent: the body must be JSON, and is not.
    """
    time = message.timestamp
    return {
        "contentType": message.content_type,
        "contentEncoding": message.content_encoding,
        "deliveryMode": message.delivery_mode,
        "priority": message.priority,
        "correlationId": message.correlation_id,
        "replyTo": message.reply_to,
        "expiration": message.expiration,
        "messageId": message.message_id,
        "timestamp": (format_time(time) if time else "") if ours else go_time(time),
        "type": message.type,
        "appId": message.app_id,
        "exchange": message.exchange,
        "routingKey": message.routing_key,
        **body_of(message.raw, json_body, ours=ours),
    }
