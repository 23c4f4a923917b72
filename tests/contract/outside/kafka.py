"""A topic of one partition that records are written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio.to_thread

from retrain.events import Event
from tests.contract.outside import World

if TYPE_CHECKING:
    from tests.servers.kafka_server import KafkaServer

SASL = {
    "mechanism": "PLAIN",
    "userSecret": {"name": "kafka", "key": "user"},
    "passwordSecret": {"name": "kafka", "key": "password"},
}


class Outside(World):
    kind = "kafka"
    fixture = "kafka"
    payload = frozenset({"topic", "key", "partition", "body", "timestamp", "headers"})
    nowhere = {"url": "127.0.0.1:1"}
    leaves_sockets = True
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: KafkaServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.topic = f"topic-{uuid4().hex[:12]}"

    @property
    def server(self) -> KafkaServer | None:
        return self.running if self.running.program else None

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(self.running.make_topic, self.topic)

    def entry(self) -> dict[str, Any]:
        group = {"groupName": f"group-{self.topic}"}
        # The address with a login, where there is one: what another kind of test needs, all use.
        login = {"sasl": SASL, "url": self.running.sasl} if self.running.sasl else {"url": self.running.address}
        return {"topic": self.topic, "consumerGroup": group, **login}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("kafka", "user"): self.running.user, ("kafka", "password"): self.running.password}

    def wrong_secrets(self) -> dict[tuple[str, str], str] | None:
        return {**self.secrets(), ("kafka", "password"): "not-the-password"} if self.running.sasl else None

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await anyio.to_thread.run_sync(self.running.send_keyed, self.topic, [(name.encode(), b"{}") for name in names])

    async def bad(self) -> bytes:
        await anyio.to_thread.run_sync(self.running.send, self.topic, b"{not json")
        return b"{not json"

    def name_in(self, event: Event) -> str:
        return event.data["key"]
