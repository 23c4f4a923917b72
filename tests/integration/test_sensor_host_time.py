"""The sensor host and time: windows, silence, limits, restarts between an event and its timer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from retrain.bus import MemoryBus, Record
from retrain.store import Store, cells, cursors, firings
from retrain.store.firings import FiringState
from sensors.host.ledger import CURSOR
from sensors.host.upkeep import Keep
from tests.integration.sensor_world import NOON, World, at, event, sensor, told, until, world

pytestmark = pytest.mark.integration


@pytest.fixture
async def here(store: Store) -> AsyncIterator[World]:
    async with world(store) as made:
        yield made


QUIET = {"triggers": {"t": {"window": {"quiet": "10s"}}}}
PAIR = {"a": {"key": "day"}, "b": {"key": "day"}}


async def test_a_window_closes_by_the_clock_when_the_log_is_at_its_end(here: World) -> None:
    async with here.running(sensor(**QUIET)) as host:
        await here.publish(event("a", "1"), event("a", "2"))
        await here.reach(host)
        here.clock.advance(9)
        await anyio.sleep(0.02)
        assert await here.fired() == []

        here.clock.advance(1)
        (row,) = await here.fired(1)
    assert row.created == at(10)
    assert len(row.events) == 2
    assert await here.counts() == {}


async def test_a_timer_survives_a_restart_and_happens_once_at_its_time(here: World) -> None:
    async with here.running(sensor(**QUIET)) as host:
        await here.publish(event("a", "1"))
        await here.reach(host)
    here.clock.advance(1000)
    async with here.running(sensor(**QUIET)):
        (row,) = await here.fired(1)
    assert row.created == at(10)
    async with here.running(sensor(**QUIET)):
        await anyio.sleep(0.02)
    assert len(await here.fired()) == 1


async def test_timers_and_records_come_in_one_order_however_late_they_are_read(here: World) -> None:
    async with here.running(sensor(**QUIET)):
        pass
    await here.publish(event("a", "1"))
    here.clock.advance(5)
    await here.publish(event("a", "2"))
    here.clock.advance(100)
    await here.publish(event("a", "3"))
    here.clock.advance(4)
    await here.publish(event("a", "4"))

    async with here.running(sensor(**QUIET)) as host:
        await here.reach(host)
        (row,) = await here.fired(1)
        assert (row.created, len(row.events)) == (at(15), 2)
        here.clock.advance(10)
        _, second = await here.fired(2)
    assert (second.created, len(second.events)) == (at(119), 2)


async def test_halves_that_never_meet_expire_and_are_told(here: World) -> None:
    join = sensor(dependencies=PAIR, triggers={"t": {"window": {"within": "60s"}}})
    async with here.running(join) as host:
        await here.publish(event("a", "1", day="mon"), event("b", "2", day="tue"))
        await here.reach(host)
        assert {(one.key, one.have, one.need) for one in await here.waiting(host)} == {
            ("mon", ("a",), ("b",)),
            ("tue", ("b",), ("a",)),
        }
        assert host.counts()["s"] == {"join": 2}
        here.clock.advance(60)

        async def told_of_both() -> bool:
            return (await here.bus.bounds()).last >= 4

        await until(told_of_both)
        await here.reach(host)
        assert host.counts()["s"]["join"] == 0
    assert [row.key for row in await here.decided(outcome="expired")] == ["mon", "tue"]
    assert await here.fired() == []
    assert {one.event.subject for one in await here.bus.read(2)} == {"sensor.expired"}


async def test_silence_is_an_event_that_comes_back_by_the_log(here: World) -> None:
    silent = sensor(dependencies={"a": {"absent": {"for": "1h"}}})
    async with here.running(silent) as host:
        here.clock.advance(1800)
        await here.publish(event("a", "1"))
        await here.reach(host)
        here.clock.advance(3599)
        await anyio.sleep(0.02)
        assert await here.fired() == []
        here.clock.advance(1)
        (row,) = await here.fired(1)
    (record,) = await here.bus.read(1)
    assert record.event.subject == "sensor.absent"
    assert row.events == (record.event.key,)


async def test_a_match_beyond_the_limit_is_held_until_the_firing_before_it_is_over(here: World) -> None:
    one_at_a_time = sensor(triggers={"t": {"concurrency": {"limit": 1}}})
    async with here.running(one_at_a_time) as host:
        await here.publish(event("a", "1"), event("a", "2"), event("a", "3"))
        await here.reach(host)
        (first,) = await here.fired()
        assert host.counts()["s"] == {"lane": 1, "held": 2}
        await here.publish(told("firing.done", first))
        rows = await here.fired(2)
        assert host.counts()["s"]["held"] == 1
    assert {row.events for row in rows} == {(event("a", "1").key,), (event("a", "2").key,)}
    assert first.tracked


async def test_a_firing_of_which_nobody_told_that_it_is_over_leaves_its_lane_at_the_start(here: World) -> None:
    one_at_a_time = sensor(triggers={"t": {"concurrency": {"limit": 1}}})
    async with here.running(one_at_a_time) as host:
        await here.publish(event("a", "1"), event("a", "2"))
        await here.reach(host)
    (first,) = await here.fired()
    async with here.running(one_at_a_time):
        await anyio.sleep(0.05)
        assert len(await here.fired()) == 1  # it is still to act

    gone = firings.Settled(first.id, FiringState.DONE, 1)
    await here.store.write(lambda c: (firings.claim(c, "me", at(9), at(99), 9), firings.settle(c, "me", [gone])))
    async with here.running(one_at_a_time):
        rows = await here.fired(2)
    assert {row.events for row in rows} == {(event("a", "1").key,), (event("a", "2").key,)}


class LateBus:
    """A bus whose followers wait until they may, as on a busy machine; `meanwhile` happens after the next look at its
    end."""

    def __init__(self, bus: MemoryBus, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._bus = bus
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile
        self.may_follow = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    async def read(self, after: int, *, limit: int = 500) -> list[Record]:
        found = await self._bus.read(after, limit=limit)
        if not found and (meanwhile := self._meanwhile) is not None:
            self._meanwhile = None
            await meanwhile()
        return found

    @asynccontextmanager
    async def tail(self, after: int, *, limit: int = 500) -> AsyncIterator[AsyncIterator[list[Record]]]:
        await self.may_follow.wait()
        async with self._bus.tail(after, limit=limit) as batches:
            yield batches


async def test_a_firing_that_is_over_just_at_the_start_lets_the_next_one_go_when_that_is_told(here: World) -> None:
    """Not before: a replay of the log knows no other moment."""
    one_at_a_time = sensor(triggers={"t": {"concurrency": {"limit": 1}}})
    async with here.running(one_at_a_time) as host:
        await here.publish(event("a", "1"), event("a", "2"))
        await here.reach(host)
    (first,) = await here.fired()
    here.clock.advance(5)

    async def end() -> None:
        gone = firings.Settled(first.id, FiringState.DONE, 1)
        await here.store.write(lambda c: (firings.claim(c, "me", at(9), at(99), 9), firings.settle(c, "me", [gone])))
        await here.publish(told("firing.done", first))

    late = LateBus(here.bus, end)
    async with replace(here, bus=late).running(one_at_a_time):  # type: ignore[arg-type]
        await anyio.sleep(0.1)
        assert len(await here.fired()) == 1
        late.may_follow.set()
        rows = await here.fired(2)
    assert [row.created for row in rows] == [at(0), at(5)]


async def test_lanes_are_mended_though_another_process_moves_on_at_that_moment(here: World) -> None:
    one_at_a_time = sensor(triggers={"t": {"concurrency": {"limit": 1}}})
    async with here.running(one_at_a_time) as host:
        await here.publish(event("a", "1"), event("a", "2"))
        await here.reach(host)
    (first,) = await here.fired()
    gone = firings.Settled(first.id, FiringState.DONE, 1)
    await here.store.write(lambda c: (firings.claim(c, "me", at(9), at(99), 9), firings.settle(c, "me", [gone])))

    def move(connection: Connection) -> None:
        seen = cursors.place(connection, CURSOR)
        assert seen is not None
        assert cursors.move(connection, CURSOR, seen, seen.position, seen.now) is not None

    late = LateBus(here.bus, lambda: here.store.write(move))
    late.may_follow.set()
    async with replace(here, bus=late).running(one_at_a_time):  # type: ignore[arg-type]
        rows = await here.fired(2)
    assert {row.events for row in rows} == {(event("a", "1").key,), (event("a", "2").key,)}


async def test_replacing_takes_back_the_firing_that_has_not_acted(here: World) -> None:
    newest = sensor(triggers={"t": {"concurrency": {"limit": 1, "onConflict": "replace"}}})
    async with here.running(newest) as host:
        await here.publish(event("a", "1"), event("a", "2"))
        await here.reach(host)
        # That it is over is told by the outbox, and lets the next one go.
        rows = await here.fired(2)
    assert {(row.state, row.events) for row in rows} == {
        (FiringState.CANCELLED, (event("a", "1").key,)),
        (FiringState.PENDING, (event("a", "2").key,)),
    }


async def test_five_thousand_timers_of_one_moment_all_happen_once(here: World) -> None:
    many = 5000
    keyed = sensor(dependencies={"a": {"key": "k"}}, triggers={"t": {"window": {"quiet": "10s"}}})
    async with here.running(keyed) as host:
        await here.publish(*(event("a", str(n), k=n) for n in range(many)))
        await here.reach(host)
        assert host.counts()["s"]["join"] == many
        here.clock.advance(10)
        rows = await here.fired(many)
        await until(lambda: _none_open(host))
    assert len({row.events for row in rows}) == many
    assert await here.counts() == {}


async def _none_open(host: object) -> bool:
    return not host.counts()["s"]["join"]  # type: ignore[attr-defined]


async def test_a_timer_that_breaks_is_put_on_record_and_stands_still(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = sensor("broken", **QUIET)

    def tick(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "tick", tick)
    async with here.running(broken, sensor("good", **QUIET)) as host:
        await here.publish(event("a", "1"))
        await here.reach(host)
        here.clock.advance(60)
        await here.fired(1)
        await anyio.sleep(0.05)
        assert host.ledger.ticks == 2
    errors = await here.decided("broken", "error")
    assert [row.reason for row in errors] == ["ZeroDivisionError in the sensor's code"]
    assert await here.counts("broken") == {"join": 1}  # what it had is not lost


async def test_what_was_seen_is_forgotten_when_its_time_is_over(here: World) -> None:
    here.settings = replace(here.settings, keep=Keep(every_s=0.005))
    once = sensor(dependencies={"a": {"dedupe": {"key": "k", "ttl": "1h"}}})
    async with here.running(once) as host:
        await here.publish(event("a", "1", k=1), event("a", "2", k=1), event("a", "3", k=2))
        await here.reach(host)
        assert [row.outcome for row in await here.decided()] == ["passed", "duplicate", "passed"]
        assert await here.counts() == {"seen": 2}
        here.clock.advance(3600)
        await here.publish(event("x", "4"))  # the time of the log moves with its events

        async def clean() -> bool:
            return await here.counts() == {}

        await until(clean)
        await here.publish(event("a", "5", k=1))
        await here.reach(host)
    assert len(await here.fired()) == 3


async def test_old_decisions_and_what_was_set_aside_long_ago_go_away(here: World) -> None:
    here.settings = replace(here.settings, keep=Keep(decisions_for=timedelta(days=1), every_s=0.005))
    join = sensor(dependencies=PAIR)
    async with here.running(join, sensor("other", dependencies={"z": {}})) as host:
        await here.publish(event("a", "1", day="mon"))
        await here.reach(host)
        await host.apply([sensor("other", dependencies={"z": {}})])
        assert [(one.sensor, one.cells) for one in await here.store.read(cells.retired)] == [("s", 1)]
        here.clock.advance(86400 * 6)

        async def no_decisions() -> bool:
            return not await here.decided()

        await until(no_decisions)
        assert await here.store.read(cells.retired) != []
        here.clock.advance(86400 * 1.5)

        async def nothing_aside() -> bool:
            return not await here.store.read(cells.retired)

        await until(nothing_aside)


async def test_a_window_of_many_events_is_whole_through_restarts_and_a_small_memory(here: World) -> None:
    here.settings = replace(here.settings, cells=4, batch=50)
    big = sensor(dependencies={"a": {"key": "k"}}, triggers={"t": {"window": {"count": 300}}})
    for start in range(0, 900, 300):
        async with here.running(big) as host:
            await here.publish(*(event("a", str(n), k=n % 3) for n in range(start, start + 300)))
            await here.reach(host)
            if start < 600:
                assert await here.fired() == []
    rows = await here.fired()
    for row in rows:
        assert len(set(row.events)) == 300
    assert len(rows) == 3
    assert await here.counts() == {}
    left = await here.store.read(lambda c: cells.members(c, ("s", "join", "t", "0")))
    assert left == []


async def test_more_keys_than_memory_still_meet(here: World) -> None:
    here.settings = replace(here.settings, cells=64)
    join = sensor(dependencies=PAIR)
    async with here.running(join) as host:
        await here.publish(*(event("a", f"a{n}", day=n) for n in range(1500)))
        await here.reach(host)
        assert host.cells_at_hand <= 64
        assert host.counts()["s"]["join"] == 1500
        await here.publish(*(event("b", f"b{n}", day=n) for n in range(1500)))
        await here.reach(host)
        assert host.cells_at_hand <= 64
    assert len(await here.fired()) == 1500
    assert await here.counts() == {}


async def test_the_time_of_the_log_never_goes_back(here: World) -> None:
    async with here.running(sensor(**QUIET)) as host:
        await here.publish(event("a", "1"))
        await here.reach(host)
        here.clock.time = NOON - timedelta(hours=1)
        await here.publish(event("a", "2"))
        await here.reach(host)
        assert host.state().now == NOON
        here.clock.time = at(10)
        (row,) = await here.fired(1)
    assert len(row.events) == 2
