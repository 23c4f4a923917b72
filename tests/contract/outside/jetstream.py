"""A JetStream stream that messages are published to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats
from nats.js.api import StreamConfig

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.brokers import NatsServer


class Outside(World):
    kind = "jetstream"
    fixture = "nats_outside"
    payload = frozenset({"subject", "body", "header"})
    first_is_told = True
    nowhere = {"url": "nats://127.0.0.1:1"}
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: NatsServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.stream = f"things-{uuid4().hex[:12]}"

    async def prepare(self) -> None:
        client = await self._client()
        try:
            config = StreamConfig(name=self.stream, subjects=[f"{self.stream}.>"], duplicate_window=0)
            await client.jetstream().add_stream(config)
        finally:
            await client.close()

    def entry(self) -> dict[str, Any]:
        login = {"username": {"name": "nats", "key": "user"}, "password": {"name": "nats", "key": "password"}}
        return {"url": self.running.url, "stream": self.stream, "auth": {"basic": login}}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("nats", "user"): "ann", ("nats", "password"): "hunter22"}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {("nats", "user"): "ann", ("nats", "password"): "not-the-password"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await self._publish([(name, b"{}") for name in names])

    async def bad(self) -> bytes:
        await self._publish([("bad", b"{not json")])
        return b"{not json"

    async def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        client = await self._client()
        try:
            stream = client.jetstream(publish_async_max_pending=500)
            sent = [
                await stream.publish_async(f"{self.stream}.thing", body, headers={"name": name})
                for name, body in messages
            ]
            for one in sent:
                await one
        finally:
            await client.close()

    async def _client(self) -> nats.NATS:
        return await nats.connect(self.running.url, user="ann", password="hunter22", allow_reconnect=False)

    def name_in(self, event: Event) -> str:
        return event.data["header"]["name"][0]
