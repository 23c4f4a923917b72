"""What many tests stand on. Real things wherever one can be had."""

from __future__ import annotations

import faulthandler
import gc
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from _pytest.faulthandler import fault_handler_stderr_fd_key
from hypothesis import settings

from retrain.bus import EmbeddedServer, MemoryBus, NatsBus, embedded, open_nats
from retrain.store import Store, open_store

# As the platform has it: a collection looks at all that ten thousand tests are made of.
gc.set_threshold(50_000, 50, 100)

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread the tests by what they share."""
    from tests.support.spreading import Spreading  # here: a run without workers needs none

    return Spreading(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """A test that its alarm does not end (an event loop may swallow it) ends the run, with a traceback."""
    stderr = item.config.stash[fault_handler_stderr_fd_key]
    faulthandler.dump_traceback_later(settings.timeout + 30, exit=True, file=stderr)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_cancel_timer() -> Generator[None, object, object]:
    faulthandler.cancel_dump_traceback_later()
    return (yield)


class _Told:
    """Says at once what failed: a run that is ended before its summary would not tell."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            reason = str(report.longrepr).strip().splitlines()[-1:] or [""]
            self._terminal.write_line(f"\n{report.nodeid} ({report.when}): {reason[0]}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:  # xdist's workers have none
        config.pluginmanager.register(_Told(terminal), "retrain-told")


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


@pytest.fixture(scope="session")
async def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of today's schema with nothing in it: to copy it takes a twentieth of what making one takes."""
    file = tmp_path_factory.mktemp("store") / "empty.db"
    async with open_store(file):
        pass
    assert not file.with_name("empty.db-wal").exists(), "all of it is in the file"
    return file


@pytest.fixture
async def store(tmp_path: Path, empty_store: Path) -> AsyncIterator[Store]:
    shutil.copyfile(empty_store, tmp_path / "retrain.db")
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
