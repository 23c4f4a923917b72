"""A topic of Google's Pub/Sub emulator that messages are published to. The emulator asks for no login."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio.to_thread
import grpc
from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from retrain.events import Event
from tests.contract.outside import World
from tests.contract.outside.azurequeuestorage import name_in_body
from tests.servers.program import Program


class Outside(World):
    kind = "pubSub"
    fixture = "pubsub_emulator"
    payload = frozenset({"id", "body", "attributes", "publishTime"})
    ordered = False
    survives = False
    emulated = True
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: Program, version: str) -> None:
        super().__init__(folder, server, version)
        name = uuid4().hex[:12]
        self.topic, self.subscription = f"topic-{name}", f"subscription-{name}"
        # Argo Events' documents have no field for an emulator: its clients look at this variable.
        self.before = os.environ.get("PUBSUB_EMULATOR_HOST")
        if self.ours:
            self.nowhere = {"endpoint": "127.0.0.1:1"}
        else:
            os.environ["PUBSUB_EMULATOR_HOST"] = server.address

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(self._prepare)

    def _prepare(self) -> None:
        with self._publisher() as client:
            try:
                client.create_topic(request={"name": self.path}, timeout=20)
            except AlreadyExists:
                return

    @property
    def path(self) -> str:
        return f"projects/retrain-tests/topics/{self.topic}"

    def entry(self) -> dict[str, Any]:
        where = {"projectID": "retrain-tests", "topic": self.topic, "subscriptionID": self.subscription}
        return where | ({"endpoint": self.running.address} if self.ours else {})

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await anyio.to_thread.run_sync(self._publish, [f'{{"name": "{name}"}}'.encode() for name in names])

    async def bad(self) -> bytes:
        await anyio.to_thread.run_sync(self._publish, [b"{not json"])
        return b"{not json"

    def _publish(self, bodies: list[bytes]) -> None:
        with self._publisher() as client:
            for start in range(0, len(bodies), 500):
                messages = [{"data": body} for body in bodies[start : start + 500]]
                client.publish(request={"topic": self.path, "messages": messages}, timeout=20)

    def _publisher(self) -> PublisherClient:
        return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(self.running.address)))

    def name_in(self, event: Event) -> str:
        return name_in_body(event.data["body"])

    async def close(self) -> None:
        if self.before is None:
            os.environ.pop("PUBSUB_EMULATOR_HOST", None)
        else:
            os.environ["PUBSUB_EMULATOR_HOST"] = self.before
