"""A queue of Azurite that messages are sent to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue.aio import QueueClient

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.program import Program

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which it publishes."""


def connection_string(server: Program, key: str = KEY) -> str:
    return (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        f"AccountKey={key};QueueEndpoint=http://{server.address}/devstoreaccount1"
    )


class Outside(World):
    kind = "azureQueueStorage"
    fixture = "azurite"
    payload = frozenset({"messageID", "insertionTime", "body"})
    ordered = False
    survives = False
    emulated = True
    """Azurite's own doing: it writes its queues down now and then, and a kill forgets the newest. Azure keeps them."""
    bad_entry = {"jsonBody": True}
    many = 200
    """Azurite takes messages one by one, and writes each to its disk."""

    def __init__(self, folder: Path, server: Program, version: str) -> None:
        super().__init__(folder, server, version)
        self.client = QueueClient.from_connection_string(connection_string(server), f"queue-{uuid4().hex[:12]}")

    async def prepare(self) -> None:
        with suppress(ResourceExistsError):  # its client asked twice, for the first answer was long in coming
            await self.client.create_queue()

    def entry(self) -> dict[str, Any]:
        name = {"name": "azure", "key": "connection"}
        return {"queueName": self.client.queue_name, "connectionString": name, "waitTimeInSeconds": 0}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("azure", "connection"): connection_string(self.running)}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {("azure", "connection"): connection_string(self.running, "bm90IHRoZSBrZXkgb2YgdGhpcyBhY2NvdW50")}

    async def happen(self, name: str) -> None:
        await self.client.send_message(f'{{"name": "{name}"}}')

    async def happen_many(self, names: Sequence[str]) -> None:
        limiter = anyio.CapacityLimiter(8)

        async def send(name: str) -> None:
            async with limiter:
                await self.happen(name)

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(send, name)

    async def bad(self) -> bytes:
        await self.client.send_message("{not json")
        return b"{not json"

    def name_in(self, event: Event) -> str:
        return name_in_body(event.data["body"])

    async def close(self) -> None:
        await self.client.close()


def name_in_body(body: Any) -> str:
    """The name in a body `{"name": ...}`: as JSON, or as base64 of it."""
    import base64
    import json

    return (body if isinstance(body, dict) else json.loads(base64.b64decode(body)))["name"]
