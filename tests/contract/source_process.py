"""A source host in a process of its own, for tests that kill it.

The process is a fork of one that has imported everything (a server of multiprocessing, one for each test worker): to
import the house takes a second and more of computing, and the tests start two hundred of these.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import structlog

from eventsources import EventSourceDocument, SourceHost, SourceSettings, Tools
from retrain import faults
from retrain.bus import BusSettings, EmbeddedServer, open_nats
from retrain.clock import SystemClock
from retrain.store import open_store
from tests.contract.file_clock import FileClock
from tests.contract.outside import World
from tests.contract.source_world import Secrets

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__])


def order(
    outside: World, document: Mapping[str, Any], store: Path, nats: EmbeddedServer, fault: str | None = None
) -> dict[str, Any]:
    """What a process is to do: `document` on this store and bus, and to die at `fault`, if one is given."""
    return {
        "document": document,
        "secrets": [[name, key, value] for (name, key), value in outside.secrets().items()],
        "store": str(store),
        "project": str(store.parent),
        "bus": {"url": nats.url, "token": nats.token.get_secret_value()},
        "fault": fault,
        "clock": str(outside.clock.file) if isinstance(outside.clock, FileClock) else None,
    }


class SourceProcess:
    """One such process. It ends with the test's, at the latest. `said`: a file that its log is added to."""

    def __init__(self, order: Mapping[str, Any], said: Path) -> None:
        self._said = said
        self._here, there = forks.Pipe()
        self._process = forks.Process(target=_run, args=(order, there, said))
        self._process.start()
        there.close()

    async def listens(self, within_s: float) -> None:
        """Wait until its source does."""
        with anyio.fail_after(within_s):
            try:
                await anyio.to_thread.run_sync(self._here.recv, abandon_on_cancel=True)
            except EOFError:
                raise AssertionError(f"it ended: {self._said.read_text()[-2000:]}") from None

    async def dies(self, within_s: float) -> int:
        """Wait for its end; the exit code, -9 after SIGKILL."""
        with anyio.fail_after(within_s):
            await anyio.to_thread.run_sync(self._process.join, abandon_on_cancel=True)
        code = self._process.exitcode
        assert code is not None
        return code

    def kill(self) -> None:
        """As `kill -9` does; returns when it is gone."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._here.close()


def _run(order: Mapping[str, Any], there: Connection, said: Path) -> None:
    with said.open("ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    faults.arm(order["fault"])
    anyio.run(_host, order, there)


async def _host(order: Mapping[str, Any], there: Connection) -> None:
    document = EventSourceDocument.model_validate(order["document"])
    secrets = Secrets({(name, key): value for name, key, value in order["secrets"]})
    settings = BusSettings(**order["bus"])
    clock = FileClock(Path(order["clock"])) if order["clock"] else SystemClock()
    async with (
        open_store(Path(order["store"])) as store,
        open_nats(settings.url or "", settings) as bus,
        anyio.create_task_group() as tasks,
    ):
        tools = Tools(bus, store, secrets, clock=clock, holder="this machine")
        host = SourceHost([document], tools, settings=SourceSettings(project=Path(order["project"])))
        await tasks.start(host.run)
        while host.states()[0].state != "listening":  # noqa: ASYNC110 - a state has no event
            await anyio.sleep(0.02)
        there.send("listening")
        await anyio.to_thread.run_sync(_until_left, there, abandon_on_cancel=True)
        tasks.cancel_scope.cancel()


def _until_left(there: Connection) -> None:
    """Returns when the test's process has let go of the other end."""
    there.poll(None)
