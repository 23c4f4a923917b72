"""What many tests stand on. Real things wherever one can be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from retrain.bus import EmbeddedServer, MemoryBus, NatsBus, embedded, open_nats
from retrain.store import Store, open_store

pytest_plugins = ["tests.servers.fixtures", "tests.faults.table"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def memory_bus() -> AsyncIterator[MemoryBus]:
    async with MemoryBus() as bus:
        yield bus


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "retrain.db") as opened:
        yield opened


@pytest.fixture
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """A NATS server of one's own, so that a test may kill it."""
    async with embedded(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def nats_bus(nats: EmbeddedServer) -> AsyncIterator[NatsBus]:
    async with open_nats(nats.url, nats.settings) as bus:
        yield bus
