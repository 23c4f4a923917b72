"""A directory that files are dropped into."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread

from retrain.events import Event
from tests.contract.outside import World


class Outside(World):
    kind = "file"
    payload = frozenset({"name", "op"})
    ordered = False  # a listing has no order
    first_is_told = True

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        super().__init__(folder, server, version)
        self.directory = folder / "drop"

    async def prepare(self) -> None:
        self.directory.mkdir()

    def entry(self) -> dict[str, Any]:
        return {"watchPathConfig": {"directory": str(self.directory), "pathRegexp": ".*"}, "eventType": "CREATE"}

    async def happen(self, name: str) -> None:
        (self.directory / name).write_bytes(os.fsencode(name))

    async def happen_many(self, names: Sequence[str]) -> None:
        def write() -> None:
            for name in names:
                (self.directory / name).write_bytes(os.fsencode(name))

        await anyio.to_thread.run_sync(write)

    def name_in(self, event: Event) -> str:
        return Path(event.data["name"]).name
