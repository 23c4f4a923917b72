"""Channels of Redis that messages are published to, with a user of the source's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio.to_thread
from redis import Redis as Blocking
from redis.asyncio import Redis

from retrain.events import Event
from tests.contract.outside import Server, World
from tests.servers.program import Program

PASSWORD = "hunter22-of-redis"


@dataclass
class WithUser:
    """A server that forgets its users when it ends, and gets this one again."""

    running: Program
    name: str

    def kill(self) -> None:
        self.running.kill()

    def start(self) -> None:
        self.running.start()
        add_user(self.running, self.name)


def add_user(server: Program, name: str) -> None:
    with Blocking(host="127.0.0.1", port=server.port) as client:
        client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", "~*", "&*", "+@all")


class Outside(World):
    kind = "redis"
    fixture = "redis_server"
    payload = frozenset({"channel", "pattern", "body"})
    remembers = False
    survives = False
    redelivers = False
    nowhere = {"hostAddress": "127.0.0.1:1"}
    bad_entry = {"jsonBody": True}

    def __init__(self, folder: Path, server: Program, version: str) -> None:
        super().__init__(folder, server, version)
        self.name = f"{self.kind}-{uuid4().hex[:12]}"
        self.client = Redis(host="127.0.0.1", port=server.port)

    @property
    def server(self) -> Server:
        return WithUser(self.running, self.name)

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(add_user, self.running, self.name)

    def entry(self) -> dict[str, Any]:
        return {**self.login(), "channels": [self.name]}

    def login(self) -> dict[str, Any]:
        password = {"name": "redis", "key": "password"}
        return {"hostAddress": self.running.address, "username": self.name, "password": password}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("redis", "password"): PASSWORD}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {("redis", "password"): "not-the-password"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), 200):
            async with self.client.pipeline(transaction=False) as pipeline:
                for name in names[start : start + 200]:
                    self.add(pipeline, f'{{"name": "{name}"}}')
                await pipeline.execute()

    def add(self, pipeline: Any, body: str) -> None:
        pipeline.publish(self.name, body)

    async def bad(self) -> bytes:
        await self.client.publish(self.name, "{not json")
        return b"{not json"

    def name_in(self, event: Event) -> str:
        body = event.data["body"]
        return body["name"] if isinstance(body, dict) else body.split('"')[3]

    async def close(self) -> None:
        await self.client.aclose()
