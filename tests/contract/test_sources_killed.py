"""The platform is killed at its worst moments, for every kind: what the outside tells again is one event.

The host runs in a process of its own, on a real bus and store, and kills itself at a fault point as `kill -9` would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from retrain.bus import EmbeddedServer, NatsBus
from retrain.store import Store
from tests.contract.outside import OURS, World, built, world_of
from tests.contract.source_process import SourceProcess, order
from tests.contract.source_world import DEADLINE_S, Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(params=built())
async def outside(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = world_of(request.param)
    server = request.getfixturevalue(world.fixture) if world.fixture else None
    made = world(tmp_path, server, OURS)
    await made.prepare()
    yield made
    await made.close()


@contextmanager
def platform(folder: Path, nats: EmbeddedServer, outside: World, fault: str | None) -> Iterator[SourceProcess]:
    """The process with the host."""
    document = outside.document().model_dump(by_alias=True, exclude_unset=True)
    made = SourceProcess(order(outside, document, folder / "child.db", nats, fault), folder / "child.log")
    try:
        yield made
    finally:
        made.kill()


@pytest.mark.parametrize("fault", ["source.before_publish", "source.after_publish"])
async def test_what_was_in_hand_when_the_platform_was_killed_is_one_event(
    tmp_path: Path, nats: EmbeddedServer, nats_bus: NatsBus, store: Store, outside: World, fault: str
) -> None:
    if not (outside.redelivers or outside.remembers):
        pytest.skip("the outside tells once, whether anybody has heard it or not")
    log = Platform(nats_bus, store)
    told = anyio.Event()

    async def happen() -> None:
        await outside.happen("a.csv")
        told.set()

    with platform(tmp_path, nats, outside, fault) as first:
        await first.listens(DEADLINE_S)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(happen)
            assert await first.dies(DEADLINE_S) == -9
            with platform(tmp_path, nats, outside, None) as second:
                await second.listens(DEADLINE_S)
                await log.records(1)
                await outside.happen("b.csv")
                await log.records(2)
                await told.wait()  # whoever calls goes on until it is answered
                found = await log.all()

    assert sorted(outside.name_in(record.event) for record in found) == ["a.csv", "b.csv"]
