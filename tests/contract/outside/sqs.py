"""A queue that messages are sent to. moto's server keeps everything in memory and asks for no keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio.to_thread
import boto3

from retrain.events import Event
from tests.contract.outside import World
from tests.servers.program import Program


class Outside(World):
    kind = "sqs"
    fixture = "moto_server"
    payload = frozenset({"messageId", "messageAttributes", "body"})
    ordered = False
    survives = False
    emulated = True
    many = 200
    """moto looks at every message of a queue for each request."""
    nowhere = {"endpoint": "http://127.0.0.1:1"}
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: Program, version: str) -> None:
        super().__init__(folder, server, version)
        self.queue = f"queue-{uuid4().hex[:12]}"
        self.client = boto3.client(
            "sqs",
            region_name="us-east-1",
            endpoint_url=f"http://{server.address}",
            aws_access_key_id="key-of-the-tests",
            aws_secret_access_key="secret-of-the-tests",
        )

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(lambda: self.client.create_queue(QueueName=self.queue))

    def entry(self) -> dict[str, Any]:
        return {
            "region": "us-east-1",
            "queue": self.queue,
            "endpoint": f"http://{self.running.address}",
            "accessKey": {"name": "aws", "key": "access"},
            "secretKey": {"name": "aws", "key": "secret"},
            "waitTimeSeconds": 1,
        }

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("aws", "access"): "key-of-the-tests", ("aws", "secret"): "secret-of-the-tests"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        await anyio.to_thread.run_sync(self._send, [(name, "{}") for name in names])

    async def bad(self) -> bytes:
        await anyio.to_thread.run_sync(self._send, [("bad", "{not json")])
        return b"{not json"

    def _send(self, messages: list[tuple[str, str]]) -> None:
        url = self.client.get_queue_url(QueueName=self.queue)["QueueUrl"]
        for start in range(0, len(messages), 10):
            entries = [
                {
                    "Id": str(index),
                    "MessageBody": body,
                    "MessageAttributes": {"name": {"DataType": "String", "StringValue": name}},
                }
                for index, (name, body) in enumerate(messages[start : start + 10])
            ]
            self.client.send_message_batch(QueueUrl=url, Entries=entries)

    def name_in(self, event: Event) -> str:
        return event.data["messageAttributes"]["name"]["StringValue"]

    async def close(self) -> None:
        self.client.close()
