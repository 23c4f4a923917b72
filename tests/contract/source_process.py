"""A source host in a process of its own, for tests that kill it: `source_process.py ORDER.json`.

The order: `document`, `secrets` (name, key, value), `store`, `project`, `bus` (url, token), `fault` or null,
`clock`: the file of a FileClock or null. Prints
`listening` once its source does, and runs until it is killed or its standard input ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import structlog

from eventsources import EventSourceDocument, SourceHost, SourceSettings, Tools
from retrain import faults
from retrain.bus import BusSettings, open_nats
from retrain.clock import SystemClock
from retrain.store import open_store
from tests.contract.file_clock import FileClock
from tests.contract.source_world import Secrets


async def main(order: dict[str, Any]) -> None:
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
        print("listening", flush=True)  # noqa: T201 - what the test waits for
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        tasks.cancel_scope.cancel()


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
faults.arm(json.loads(Path(sys.argv[1]).read_text())["fault"])
anyio.run(main, json.loads(Path(sys.argv[1]).read_text()))
