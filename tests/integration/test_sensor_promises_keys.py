"""Very many keys: memory stays where it is, the numbers are told, and while they expire others have their turn."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from retrain.bus import MemoryBus
from retrain.clock import FakeClock
from retrain.store import Store
from sensors.host.loop import SensorHost
from tests.integration.sensor_world import NOON, World, event, sensor

pytestmark = pytest.mark.integration

BYTES_OF_A_CELL = 2_000
"""More than a cell at hand takes, with its name."""
BASE_MB = 100
"""For what a batch, the log in memory and the caches of the store take, however many keys there are."""
TOGETHER = 5_000
"""Keys that come within a minute, and expire within one."""

JOIN = sensor(
    "join",
    dependencies={"a": {"key": "day"}, "b": {"key": "day"}},
    triggers={"t": {"window": {"within": "24h", "onTimeout": "drop"}}},
)
OTHER = sensor("other", dependencies={"z": {}})


@pytest.fixture
async def here(store: Store) -> AsyncIterator[World]:
    clock = FakeClock(NOON)
    async with MemoryBus(duplicate_window_s=0, clock=clock, max_events=2 * TOGETHER) as bus:
        yield World(store, bus, clock)


def resident_mb() -> float:
    """What this process has in memory now."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


LONG = pytest.mark.skipif(
    "RETRAIN_TEST_MILLION" not in os.environ, reason="takes a quarter of an hour; RETRAIN_TEST_MILLION=1 runs it"
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("keys", "cells"), [(20_000, 4_000), pytest.param(1_000_000, 200_000, marks=LONG)], ids=str)
async def test_keys_without_end_take_bounded_memory_and_expire_in_turns_with_the_events_of_others(
    here: World, keys: int, cells: int
) -> None:
    here.settings = replace(here.settings, cells=cells)
    began, before = time.perf_counter(), resident_mb()
    async with here.running(JOIN, OTHER) as host:
        for start in range(0, keys, TOGETHER):
            here.clock.advance(60)
            await here.bus.publish_many([event("a", f"e{n}", day=f"day-{n}") for n in range(start, start + TOGETHER)])
            await here.reach(host)
        taken_s, grown_mb = time.perf_counter() - began, resident_mb() - before

        assert host.counts()["join"] == {"join": keys}
        assert host.cells_at_hand <= cells
        assert grown_mb < BASE_MB + cells * BYTES_OF_A_CELL / 1e6

        began = time.perf_counter()
        slowest_s = await expire(here, host, keys)
        expired_s = time.perf_counter() - began

        assert host.counts()["join"]["join"] == 0
        assert await here.counts("join") == {}
    print(  # noqa: T201 - figures for whoever wants them: pytest -s
        f"{keys} keys: taken in {taken_s:.1f} s, {grown_mb:.0f} MB more; expired in {expired_s:.1f} s, "
        f"the slowest event of another sensor meanwhile took {slowest_s:.2f} s; {resident_mb() - before:.0f} MB more"
    )


async def expire(here: World, host: SensorHost, keys: int) -> float:
    """Let a day pass minute by minute, until all have expired; the longest that an event of the other sensor took."""
    slowest = 0.0
    here.clock.advance(86_400 - here.clock.now().timestamp() + NOON.timestamp())
    for minute in range(keys // TOGETHER):
        here.clock.advance(60)
        sent = time.perf_counter()
        await here.publish(event("z", f"z{minute}"))
        await here.reach(host)
        slowest = max(slowest, time.perf_counter() - sent)
        assert host.counts()["join"]["join"] == keys - (minute + 1) * TOGETHER
    fired = await here.fired()
    assert len(fired) == keys // TOGETHER
    return slowest
