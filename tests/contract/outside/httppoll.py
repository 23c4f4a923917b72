"""A list on the web that grows: each of its items is an event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson

from retrain.events import Event
from tests.contract.outside import World
from tests.contract.source_world import until

if TYPE_CHECKING:
    from tests.servers.http_server import HttpServer

AUTH = {"username": {"name": "web", "key": "user"}, "password": {"name": "web", "key": "password"}}


class Outside(World):
    kind = "httpPoll"
    fixture = "web"
    payload = frozenset({"url", "item"})
    first_is_told = True
    public = frozenset({"ann"})
    nowhere = {"url": "http://127.0.0.1:1/list"}

    def __init__(self, folder: Path, server: HttpServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.path = f"/{uuid4().hex}"
        self.items: list[dict[str, str]] = []

    async def prepare(self) -> None:
        self._show()

    def _show(self) -> None:
        self.running.documents[self.path] = orjson.dumps({"items": self.items})

    def entry(self) -> dict[str, Any]:
        each = {"path": "items", "id": "name"}
        return {"url": f"{self.running.url}{self.path}", "every": "100ms", "each": each, "auth": AUTH}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("web", "user"): "ann", ("web", "password"): "hunter22"}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {**self.secrets(), ("web", "password"): "not-the-password"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        self.items += [{"name": name} for name in names]
        self._show()

    def name_in(self, event: Event) -> str:
        return event.data["item"]["name"]

    async def bad(self) -> bytes:
        self.running.documents[self.path] = b"{not json"
        seen = len(self.running.asked)
        await until(lambda: ("GET", self.path, 200) in self.running.asked[seen:])
        return b"{not json"
