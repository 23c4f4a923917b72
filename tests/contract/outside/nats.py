"""A subject that messages are published to. Core NATS: whoever is not there does not hear them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.brokers import NatsServer


class Outside(World):
    kind = "nats"
    fixture = "nats_outside"
    payload = frozenset({"subject", "body", "header"})
    remembers = False
    survives = False
    redelivers = False
    nowhere = {"url": "nats://127.0.0.1:1"}
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: NatsServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.subject = f"things.{uuid4().hex[:12]}"

    def entry(self) -> dict[str, Any]:
        login = {"username": {"name": "nats", "key": "user"}, "password": {"name": "nats", "key": "password"}}
        return {"url": self.running.url, "subject": f"{self.subject}.*", "auth": {"basic": login}}

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
        client = await nats.connect(self.running.url, user="ann", password="hunter22", allow_reconnect=False)
        try:
            for name, body in messages:
                headers = {"name": name, "Nats-Msg-Id": f"{self.subject}/{name}"}
                await client.publish(f"{self.subject}.thing", body, headers=headers)
            await client.flush()
        finally:
            await client.close()

    def name_in(self, event: Event) -> str:
        return event.data["header"]["name"][0]
