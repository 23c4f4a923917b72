"""A program that posts JSON, and posts again until it is answered that all is well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from retrain.events import Event
from tests.contract.outside import World, until_accepted
from tests.servers.launch import free_port


class Outside(World):
    kind = "webhook"
    payload = frozenset({"header", "body"})
    remembers = False
    calls = True

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        super().__init__(folder, server, version)
        self.port = free_port()

    def entry(self) -> dict[str, Any]:
        return {"port": str(self.port), "endpoint": "/in", "method": "POST"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Any) -> None:
        # Unless told so, each client reads all certificates of the machine, for TLS that nobody speaks here.
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30, verify=False) as client:
            for name in names:

                async def post(name: str = name) -> bool:
                    try:
                        answer = await client.post("/in", json={"name": name}, headers={"Idempotency-Key": name})
                    except httpx2.TransportError:
                        return False
                    return answer.is_success

                await until_accepted(post)

    def name_in(self, event: Event) -> str:
        return event.data["body"]["name"]
