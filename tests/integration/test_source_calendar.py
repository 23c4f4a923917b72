"""The calendar source over restarts, sleep and a bus that is away, on a clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.file_clock import FileClock
from tests.contract.source_world import ARGO, OURS, Platform, document, state, until

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock(tmp_path: Path) -> FileClock:
    made = FileClock(tmp_path / "clock")
    made.set(NOON)
    return made


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store, clock: FileClock) -> Platform:
    return Platform(memory_bus, store, clock=clock)


def calendar(version: str = OURS, **more: Any) -> Any:
    return document(version=version, calendar={"thing": {"schedule": "*/10 * * * *", **more}})


async def away(platform: Platform, clock: FileClock, minutes: int, document: Any, count: int) -> list[str]:
    """The ticks that are told after the platform has been away for so long."""
    async with platform.running(document) as host:
        await state(host, "listening")
    clock.set(NOON + timedelta(minutes=minutes))
    async with platform.running(document) as host:
        await state(host, "listening")
        await until(lambda: host.states()[0].received >= count)
    return [f"{record.event.time:%H:%M}" for record in await platform.all()]


async def test_what_was_missed_is_told_up_to_the_bound(platform: Platform, clock: FileClock) -> None:
    assert await away(platform, clock, 35, calendar(), 3) == ["12:10", "12:20", "12:30"]


async def test_of_many_that_were_missed_the_newest_are_told(platform: Platform, clock: FileClock) -> None:
    found = await away(platform, clock, 600, calendar(catchUp={"limit": 2}), 2)

    assert found == ["21:50", "22:00"]


async def test_nothing_older_than_the_bound_is_told(platform: Platform, clock: FileClock) -> None:
    assert await away(platform, clock, 35, calendar(catchUp={"maxDuration": "10m"}), 1) == ["12:30"]


async def test_without_catch_up_argos_calendar_tells_of_nothing_missed(platform: Platform, clock: FileClock) -> None:
    assert await away(platform, clock, 35, calendar(ARGO), 0) == []


async def test_a_tick_that_falls_into_a_restart_is_told_in_argos_too(platform: Platform, clock: FileClock) -> None:
    clock.set(NOON + timedelta(minutes=9, seconds=58))
    async with platform.running(calendar(ARGO)) as host:
        await state(host, "listening")
    clock.set(NOON + timedelta(minutes=10, seconds=6))
    async with platform.running(calendar(ARGO)):
        (record,) = await platform.records(1)

    assert record.event.data == {"eventTime": "2026-11-20 12:10:00 +0000 UTC"}


async def test_a_tick_has_its_own_time_as_id_and_time(platform: Platform, clock: FileClock) -> None:
    async with platform.running(calendar()) as host:
        assert (await state(host, "listening")).note == "next: 2026-11-20T12:10:00Z"
        clock.set(NOON + timedelta(minutes=10, seconds=3))
        (record,) = await platform.records(1)

    assert record.event.id == "2026-11-20T12:10:00Z"
    assert record.event.time == NOON + timedelta(minutes=10)
    assert record.event.data["scheduledTime"] == "2026-11-20T12:10:00Z"


async def test_a_machine_that_slept_makes_up_for_what_it_may(platform: Platform, clock: FileClock) -> None:
    async with platform.running(calendar(catchUp={"limit": 1})) as host:
        await state(host, "listening")
        clock.set(NOON + timedelta(hours=8))
        (record,) = await platform.records(1)

    assert record.event.time == NOON + timedelta(hours=8)


async def test_other_times_begin_anew(platform: Platform, clock: FileClock) -> None:
    async with platform.running(calendar()) as host:
        await state(host, "listening")
    clock.set(NOON + timedelta(hours=1))
    async with platform.running(calendar(schedule="*/15 * * * *")) as host:
        await state(host, "listening")
        clock.set(NOON + timedelta(hours=1, minutes=16))
        (record,) = await platform.records(1)

    assert record.event.time == NOON + timedelta(hours=1, minutes=15)


async def test_a_clock_that_was_ahead_keeps_nothing_back(platform: Platform, clock: FileClock) -> None:
    clock.set(NOON + timedelta(days=400))
    async with platform.running(calendar()) as host:
        await state(host, "listening")
    clock.set(NOON)
    async with platform.running(calendar()) as host:
        await state(host, "listening")
        clock.set(NOON + timedelta(minutes=10))
        (record,) = await platform.records(1)

    assert record.event.time == NOON + timedelta(minutes=10)
