"""A real MLflow server: its registry, asked by REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from retrain.events import Event
from tests.contract.outside import World, until_accepted


class Outside(World):
    kind = "mlflow"
    fixture = "mlflow_server"
    payload = frozenset({"entity", "action", "timestamp", "data"})
    first_is_told = True
    many = 100  # MLflow makes some twenty versions in a second
    nowhere = {"trackingURI": "http://127.0.0.1:1"}

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        super().__init__(folder, server, version)
        self.model = f"m-{uuid4().hex[:12]}"
        self.url = f"http://{server.address}/api/2.0/mlflow"

    async def prepare(self) -> None:
        await self.call("registered-models/create", name=self.model)

    def entry(self) -> dict[str, Any]:
        events = ["model_version.created"]
        return {"trackingURI": self.url.removesuffix("/api/2.0/mlflow"), "models": [self.model], "events": events} | {
            "every": "1s"
        }

    async def happen(self, name: str) -> None:
        async def attempt() -> bool:
            try:
                await self.call("model-versions/create", name=self.model, source="s3://models/m", description=name)
            except aiohttp.ClientConnectionError:
                return False
            return True

        await until_accepted(attempt)

    async def call(self, path: str, **words: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/{path}", json=words) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def name_in(self, event: Event) -> str:
        return event.data["data"]["description"]
