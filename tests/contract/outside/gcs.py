"""A bucket of a Cloud Storage that tells Pub/Sub's emulator of its objects. Neither asks for a login."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen
from uuid import uuid4

import anyio.to_thread
import grpc
from google.api_core.exceptions import AlreadyExists
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.program import Program

PROJECT, TOPIC = "retrain-tests", "objects"


class Outside(World):
    kind = "gcs"
    fixture = "gcs_and_pubsub"
    payload = frozenset({"bucket", "key", "generation", "eventType", "superseded", "size", "contentType", "object"})
    ordered = False
    survives = False
    emulated = True
    nowhere = {"endpoint": "127.0.0.1:1"}
    many = 1000
    """Each is a request, and a file of the server's."""

    def __init__(self, folder: Path, server: tuple[Program, Program], version: str) -> None:
        super().__init__(folder, server, version)
        self.objects, self.messages = server
        self.bucket = f"bucket-{uuid4().hex[:12]}"

    @property
    def server(self) -> Program:
        return self.messages

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(self._prepare)

    def _prepare(self) -> None:
        with self._publisher() as client, suppress(AlreadyExists):
            client.create_topic(request={"name": f"projects/{PROJECT}/topics/{TOPIC}"}, timeout=20)
        if not (self.objects.data / self.bucket).exists():
            self.call("POST", f"/storage/v1/b?project={PROJECT}", f'{{"name":"{self.bucket}"}}'.encode())

    def entry(self) -> dict[str, Any]:
        where = {"projectID": PROJECT, "topic": TOPIC, "subscriptionID": f"of-{self.bucket}"}
        return where | {"endpoint": self.messages.address, "bucket": self.bucket}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await anyio.to_thread.run_sync(lambda: [self.put(name) for name in names])

    def put(self, name: str, content: bytes = b"x") -> None:
        query = f"uploadType=media&name={quote(name, safe='')}"
        self.call("POST", f"/upload/storage/v1/b/{self.bucket}/o?{query}", content)

    def remove(self, name: str) -> None:
        self.call("DELETE", f"/storage/v1/b/{self.bucket}/o/{quote(name, safe='')}", None)

    def call(self, method: str, path: str, body: bytes | None) -> None:
        headers = {"Content-Type": "application/json"}
        with urlopen(
            Request(f"http://{self.objects.address}{path}", data=body, method=method, headers=headers), timeout=20
        ) as answer:
            answer.read()

    async def bad(self) -> bytes:
        await anyio.to_thread.run_sync(self._publish, b"hello")
        return b"hello"

    def _publish(self, raw: bytes) -> None:
        with self._publisher() as client:
            topic = f"projects/{PROJECT}/topics/{TOPIC}"
            client.publish(request={"topic": topic, "messages": [{"data": raw}]}, timeout=20)

    def _publisher(self) -> PublisherClient:
        return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(self.messages.address)))

    def name_in(self, event: Event) -> str:
        return event.data["key"]
