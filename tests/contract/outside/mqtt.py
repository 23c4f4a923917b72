"""A topic that messages are published to, and a session of a client that the broker keeps them for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomqtt
import orjson

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.brokers import MosquittoServer


class Outside(World):
    kind = "mqtt"
    fixture = "mosquitto"
    payload = frozenset({"topic", "messageId", "body"})
    nowhere = {"url": "tcp://127.0.0.1:1"}
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: MosquittoServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.topic = f"things/{uuid4().hex[:12]}"

    def entry(self) -> dict[str, Any]:
        return {
            "url": f"tcp://{self.running.address}",
            "topic": f"{self.topic}/#",
            "clientId": f"retrain-{self.topic[-12:]}",
            "auth": {"username": {"name": "mqtt", "key": "user"}, "password": {"name": "mqtt", "key": "password"}},
        }

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("mqtt", "user"): "ann", ("mqtt", "password"): "hunter22"}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {**self.secrets(), ("mqtt", "password"): "not-the-password"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await self._publish([(name, orjson.dumps({"name": name})) for name in names])

    async def bad(self) -> bytes:
        await self._publish([("bad", b"{not json")])
        return b"{not json"

    async def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        """Returns when the broker has all of them."""
        host, _, port = self.running.address.partition(":")
        async with aiomqtt.Client(host, int(port), username="ann", password="hunter22") as client:
            for name, body in messages:
                await client.publish(f"{self.topic}/{name}", body, qos=1)

    def name_in(self, event: Event) -> str:
        return event.data["topic"].rpartition("/")[2]
