"""Figures that a real Prometheus reads: one becomes 1, and a query finds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from retrain.events import Event
from tests.contract.outside import World

if TYPE_CHECKING:
    from tests.servers.prometheus_server import PrometheusServer

AUTH = {"username": {"name": "prometheus", "key": "user"}, "password": {"name": "prometheus", "key": "password"}}


class Outside(World):
    kind = "prometheus"
    fixture = "prometheus"
    payload = frozenset({"status", "labels", "value", "query", "startsAt", "endsAt", "fingerprint"})
    ordered = False  # what a query finds has no order
    first_is_told = True
    public = frozenset({"ann"})
    nowhere = {"url": "http://127.0.0.1:1"}
    many = 2_000  # Prometheus reads all of them several times a second, on the same machine

    def __init__(self, folder: Path, server: PrometheusServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.test = f"t-{uuid4().hex[:12]}"

    def entry(self) -> dict[str, Any]:
        query = f'score{{test="{self.test}"}} > 0.5'
        return {"url": self.running.url, "query": query, "every": "200ms", "auth": AUTH}

    def secrets(self) -> dict[tuple[str, str], str]:
        return {("prometheus", "user"): "ann", ("prometheus", "password"): "hunter22"}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {**self.secrets(), ("prometheus", "password"): "not-the-password"}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        self.running.figures.update({(self.test, name): 1.0 for name in names})
        self.running.show()

    def name_in(self, event: Event) -> str:
        return event.data["labels"]["name"]

    async def close(self) -> None:
        self.running.figures.clear()
        self.running.show()
