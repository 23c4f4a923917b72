"""What programs that call the platform have in common: they post, and post again until all is well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import orjson

from tests.contract.outside import World, until_accepted
from tests.servers.launch import free_port

SECRET = "a-secret-of-the-sender"


class Called(World):
    """A kind that is called. It says what a delivery looks like; `nested`: its endpoint stands under `webhook`."""

    remembers = False
    calls = True
    many = 2_000  # one client that waits for each answer
    nested: ClassVar[bool] = True
    secret_field: ClassVar[str] = ""

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        super().__init__(folder, server, version)
        self.port = free_port()

    def entry(self) -> dict[str, Any]:
        hook = {"port": str(self.port), "endpoint": "/in", "method": "POST"}
        entry: dict[str, Any] = {"webhook": hook} if self.nested else hook
        if self.secret_field:
            entry[self.secret_field] = {"name": "sender", "key": "secret"}
        return entry

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("sender", "secret"): SECRET} if self.secret_field else {}

    def body(self, name: str) -> Any:
        """The JSON of a delivery."""
        raise NotImplementedError

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        """The headers of a delivery."""
        return {}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        # Unless told so, each client reads all certificates of the machine, for TLS that nobody speaks here.
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30, verify=False) as client:
            for name in names:

                async def post(name: str = name) -> bool:
                    raw = orjson.dumps(self.body(name))
                    headers = {"Content-Type": "application/json", **self.headers(name, raw)}
                    try:
                        answer = await client.post("/in", content=raw, headers=headers)
                    except httpx2.TransportError:
                        return False
                    return answer.is_success

                await until_accepted(post)
