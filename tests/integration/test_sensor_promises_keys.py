"""Very many keys: memory stays where it is, the numbers are told, and when they all expire others go on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from retrain.store import Store
from tests.integration.sensor_world import World, event, sensor, until, world

pytestmark = pytest.mark.integration

CELLS = 10_000
"""Of the memory at hand, so that the ordinary run has far more keys than room. The default is 200,000."""
BYTES_OF_A_CELL = 2_000
"""More than a cell at hand takes, with its name."""
BASE_MB = 60
"""For what a batch and the caches of the store take, however many keys there are."""


@pytest.fixture
async def here(store: Store) -> AsyncIterator[World]:
    async with world(store) as made:
        yield made


def resident_mb() -> float:
    """What this process has in memory now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


PAIR = {"a": {"key": "day"}, "b": {"key": "day"}}


@pytest.mark.parametrize(
    ("keys", "cells"), [(40_000, CELLS), pytest.param(1_000_000, 200_000, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(900)
async def test_keys_without_end_take_no_memory_without_end_and_expire_in_turns_with_others(
    here: World, keys: int, cells: int
) -> None:
    from dataclasses import replace

    here.settings = replace(here.settings, cells=cells)
    join = sensor("join", dependencies=PAIR, triggers={"t": {"window": {"within": "1h", "onTimeout": "drop"}}})
    other = sensor("other", dependencies={"z": {}})
    began, before = time.perf_counter(), resident_mb()
    async with here.running(join, other) as host:
        for start in range(0, keys, 10_000):
            await here.bus.publish_many([event("a", f"e{n}", day=f"day-{n}") for n in range(start, start + 10_000)])
            await here.reach(host)
            here.bus._log.clear()
        taken_s, grown = time.perf_counter() - began, resident_mb() - before

        assert host.counts()["join"]["join"] == keys
        assert host.cells_at_hand <= cells
        assert grown < BASE_MB + cells * BYTES_OF_A_CELL / 1e6

        began, slowest = time.perf_counter(), 0.0
        here.clock.advance(3600)
        asked = 0
        while host.counts()["join"]["join"]:
            asked += 1
            sent = time.perf_counter()
            await here.publish(event("z", f"z{asked}"))
            await here.reach(host)
            slowest = max(slowest, time.perf_counter() - sent)
            await anyio.sleep(0)
        expired_s = time.perf_counter() - began
        assert (await here.counts("join")).get("join", 0) == 0
    print(  # noqa: T201 - the figures of the report
        f"{keys} keys: taken in {taken_s:.1f} s, {grown:.0f} MB more; expired in {expired_s:.1f} s, "
        f"{asked} events of another sensor meanwhile, the slowest in {slowest:.2f} s; {resident_mb() - before:.0f} MB"
    )


_ = until
