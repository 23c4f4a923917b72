"""What many tests stand on. Real things wherever one can be had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

from retrain.bus import EmbeddedServer, MemoryBus, NatsBus, embedded, open_nats
from retrain.store import Store, open_store

# How long an example takes says how busy the machine is.
settings.register_profile("retrain", deadline=None)
settings.load_profile("retrain")

# The default draws tracebacks with the values of all variables, which takes seconds for one that a test provokes.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

pytest_plugins = ["tests.servers.fixtures", "tests.faults.table"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests go to one worker, which shares what they start; those over all kinds of sources, kind by kind."""
    for item in items:
        name = str(item.path.relative_to(item.config.rootpath))
        called: Any = getattr(item, "callspec", None)  # what a parametrized test is called with
        match called and called.params.get("outside"):
            case str(kind) | (str(kind), _):
                name += f":{kind}"
            case _:
                pass
        item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    """A test that runs a command in this process, which sends the log to its own captured stderr, does so alone."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


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
