"""`kill -9` while sensors hold joins, windows, silence, sequences and limits: every event is in one firing of each
trigger, nothing acts twice, limits hold, and timers happen once, also those that came due while nobody was there."""

from __future__ import annotations

import os
import random
from pathlib import Path

import anyio
import pytest

from tests.e2e.crash_world import read_log
from tests.support.sensor_life import Life, check_life
from tests.support.size import size

pytestmark = pytest.mark.slow

POINTS = (
    "host.before_commit:3",
    "host.after_commit:5",
    "trigger.before_act:4",
    "trigger.after_act:4",
    "runner.after_start:2",
    "runner.before_finish",
    "runner.after_finish:2",
    "outbox.before_publish:2",
    "outbox.after_publish:3",
    "host.before_commit:12",
    "host.after_commit:1",
)
KILLS = size(4, 10)
MOMENT_S = 1.5
"""The longest pause before a kill: it only spreads the moments."""


@pytest.mark.timeout(300)
async def test_through_a_death_at_every_fault_point_each_event_is_in_one_firing_and_limits_hold(tmp_path: Path) -> None:
    life = Life.make(tmp_path)
    platform = life.platform
    platform.start()
    with platform:
        life.send_until_taken()
        for point in POINTS:
            platform.kill()  # a shutdown would stop the steps that run, and they would run again
            platform.launch(fault=point)
            dies_in(life, point)
            platform.start()
            life.send_until_taken()
        await end_well(life)


@pytest.mark.timeout(300)
async def test_through_deaths_at_random_moments_each_event_is_in_one_firing_and_limits_hold(tmp_path: Path) -> None:
    seed = int(os.environ.get("RETRAIN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"RETRAIN_TEST_SEED={seed}")  # noqa: T201 - pytest shows it beside a failure
    chance = random.Random(seed)
    life = Life.make(tmp_path)
    platform = life.platform
    platform.start()
    with platform:
        for _ in range(KILLS):
            for _ in range(chance.randint(1, 3)):
                life.send_until_taken()
            await anyio.sleep(chance.uniform(0.0, MOMENT_S))
            platform.kill()
            # Some timers come due while nobody is there.
            await anyio.sleep(chance.uniform(0.0, MOMENT_S))
            platform.start()
        await end_well(life)


def dies_in(life: Life, point: str) -> None:
    """Send rounds until the platform dies of it."""
    platform = life.platform
    try:
        platform.await_ready()
    except AssertionError:
        return  # it died at the start already

    def dead() -> bool:
        if platform.running and life.rounds < 60:
            life.send()
        return not platform.running

    platform.wait(dead, f"it dies at {point}")
    assert platform.await_death() == -9


async def end_well(life: Life) -> None:
    platform = life.platform
    life.await_settled()
    assert platform.stop() == 0
    assert "Traceback" not in platform.log.read_text(), "nothing that came was a surprise"
    check_life(life, await read_log(platform.data))
    print(f"{life.rounds} rounds, {len(life.ids)} events, {platform.starts} starts")  # noqa: T201
