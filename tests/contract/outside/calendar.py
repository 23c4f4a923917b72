"""The time of day, which passes when a test says so: each tick of a calendar has a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from retrain.events import Event
from tests.contract.file_clock import FileClock
from tests.contract.outside import World

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
TICK = timedelta(minutes=1)


class Outside(World):
    kind = "calendar"
    payload = frozenset({"eventTime"})

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        super().__init__(folder, server, version)
        self._clock = FileClock(folder / "clock")
        self._clock.set(BEGIN)
        self._names: list[str] = []

    @property
    def clock(self) -> FileClock:
        return self._clock

    def entry(self) -> dict[str, Any]:
        if self.ours:
            return {"schedule": "* * * * *", "catchUp": {"maxDuration": "1000h", "limit": 100_000}}
        return {"schedule": "* * * * *", "persistence": {"catchup": {"enabled": True}}}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        self._names += names
        self._clock.set(BEGIN + len(self._names) * TICK)

    def name_in(self, event: Event) -> str:
        moment = datetime.strptime(event.data["eventTime"], "%Y-%m-%d %H:%M:%S +0000 UTC").replace(tzinfo=UTC)
        return self._names[(moment - BEGIN) // TICK - 1]
