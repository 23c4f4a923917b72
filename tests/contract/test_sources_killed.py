"""The platform is killed at its worst moments, for every kind: what the outside tells again is one event.

The host runs in a process of its own, on a real bus and store, and kills itself at a fault point as `kill -9` would.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from retrain.bus import EmbeddedServer, NatsBus
from retrain.store import Store
from tests.contract.file_clock import FileClock
from tests.contract.outside import OURS, World, built, world_of
from tests.contract.source_world import DEADLINE_S, Platform

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(params=built())
async def outside(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param)
    server = request.getfixturevalue(world.fixture) if world.fixture else None
    made = world(tmp_path, server, OURS)
    await made.prepare()
    yield made
    await made.close()


class Child:
    """The process with the host."""

    def __init__(self, folder: Path, nats: EmbeddedServer, outside: World, fault: str | None) -> None:
        order = {
            "document": outside.document().model_dump(by_alias=True, exclude_unset=True),
            "secrets": [[name, key, value] for (name, key), value in outside.secrets().items()],
            "store": str(folder / "child.db"),
            "project": str(folder),
            "bus": {"url": nats.url, "token": nats.token.get_secret_value()},
            "fault": fault,
            "clock": str(outside.clock.file) if isinstance(outside.clock, FileClock) else None,
        }
        file = folder / "order.json"
        file.write_text(json.dumps(order))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.source_process", str(file)],
            cwd=ROOT,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    async def listens(self) -> None:
        assert self.process.stdout is not None
        with anyio.fail_after(DEADLINE_S):
            line = await anyio.to_thread.run_sync(self.process.stdout.readline, abandon_on_cancel=True)
        assert line == b"listening\n"

    async def dies(self) -> int:
        with anyio.fail_after(DEADLINE_S):
            return await anyio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)


@contextmanager
def child(*args: Any) -> Iterator[Child]:
    made = Child(*args)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


@pytest.mark.parametrize("fault", ["source.before_publish", "source.after_publish"])
async def test_what_was_in_hand_when_the_platform_was_killed_is_one_event(
    tmp_path: Path, nats: EmbeddedServer, nats_bus: NatsBus, store: Store, outside: World, fault: str
) -> None:
    if not (outside.redelivers or outside.remembers):
        pytest.skip("the outside tells once, whether anybody has heard it or not")
    platform = Platform(nats_bus, store)
    told = anyio.Event()

    async def happen() -> None:
        await outside.happen("a.csv")
        told.set()

    with child(tmp_path, nats, outside, fault) as first:
        await first.listens()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(happen)
            assert await first.dies() == -9
            with child(tmp_path, nats, outside, None) as second:
                await second.listens()
                await platform.records(1)
                await outside.happen("b.csv")
                await platform.records(2)
                await told.wait()  # whoever calls goes on until it is answered
                found = await platform.all()

    assert sorted(outside.name_in(record.event) for record in found) == ["a.csv", "b.csv"]
