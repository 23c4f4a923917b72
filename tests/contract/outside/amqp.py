"""A durable queue of RabbitMQ's, bound to an exchange that messages are published to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import anyio

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.brokers import RabbitServer


class Outside(World):
    kind = "amqp"
    fixture = "rabbitmq"
    payload = frozenset(
        {
            *("contentType", "contentEncoding", "deliveryMode", "priority", "correlationId", "replyTo", "expiration"),
            *("messageId", "timestamp", "type", "appId", "exchange", "routingKey", "body"),
        }
    )
    nowhere = {"url": "amqp://127.0.0.1:1"}
    bad_entry = {"jsonBody": True}
    public = frozenset({"guest"})

    def __init__(self, folder: Path, server: RabbitServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.name = f"things-{uuid4().hex[:12]}"

    def entry(self) -> dict[str, Any]:
        return {
            "url": f"amqp://{self.running.address}",
            "exchangeName": self.name,
            "exchangeType": "topic",
            "routingKey": "thing.#",
            "queueDeclare": {"name": self.name, "durable": True},
            "consume": {"autoAck": False},
            "auth": {"username": {"name": "rabbit", "key": "user"}, "password": {"name": "rabbit", "key": "password"}},
        }

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("rabbit", "user"): "guest", ("rabbit", "password"): "guest"}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {**self.secrets(), ("rabbit", "password"): "not-the-password"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await self._publish([(name, b"{}") for name in names])

    async def bad(self) -> bytes:
        await self._publish([("bad", b"{not json")])
        return b"{not json"

    async def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        """Returns when the broker has all of them on its disk."""
        async with await aio_pika.connect(self.running.url) as connection, connection.channel() as channel:
            exchange = await channel.declare_exchange(self.name, "topic", durable=True)
            async with anyio.create_task_group() as tasks:  # the confirmations are waited for together
                for name, body in messages:
                    message = aio_pika.Message(body, message_id=name, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    tasks.start_soon(exchange.publish, message, "thing.new")

    def name_in(self, event: Event) -> str:
        return event.data["messageId"]
