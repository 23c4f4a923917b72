"""Promise 2: what a sensor decided is what its recorded log decides again, at any speed and through any restart."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from sqlalchemy import select

from retrain.bus import MemoryBus, Record
from retrain.store import Store, cells, outbox
from retrain.store.firings import FiringRow
from retrain.store.tables import decisions as decision_table
from sensors import Sensor, SensorDocument
from sensors.core.course import Course
from sensors.core.outcome import Decision
from sensors.host.loop import SensorHost
from sensors.replay import Recorded, replay
from tests.integration.sensor_world import NOON, World, at, event, sensor, told, until, world
from tests.support.sensor_dice import Dice

pytestmark = pytest.mark.integration

MOMENTS = 60
SEEDS = 12
Fact = tuple[Any, ...]


@pytest.fixture
async def here(store: Store) -> AsyncIterator[World]:
    async with world(store) as made:
        yield made


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_recorded_log_decides_the_same_again_word_by_word(here: World, seed: int) -> None:
    chance = random.Random(seed)
    dice = Dice(chance)
    document = SensorDocument.model_validate(dice.sensor("s"))

    await Live(here, chance, dice, Sensor(document)).run()

    log = await read_log(here.bus)
    course = Course([Sensor(document)], feed_back=False)
    taken = course.begin(NOON)
    for record in log:
        taken += course.take(record.event, record.received)
    taken += course.run_until(here.clock.now())
    live = await here.fired()
    fired = [fired for one in taken for fired in one.step.firings]
    assert fired, "a test in which nothing fires tells nothing"
    assert by_id(live) == by_id(fired)
    again = [fact(d, one.event.key if one.event else None) for one in taken for d in one.step.decisions]
    assert await recorded_decisions(here.store) == again


@pytest.mark.parametrize("seed", range(100, 100 + SEEDS))
async def test_sensors_replay_makes_the_same_firings_from_the_recorded_log(here: World, seed: int) -> None:
    chance = random.Random(seed)
    dice = Dice(chance, tells=False)
    document = SensorDocument.model_validate(dice.sensor("s"))

    await Live(here, chance, dice, Sensor(document)).run()

    live = await here.fired()
    log = [(record.event, record.received) for record in await read_log(here.bus)]
    again = replay(Sensor(document), log, here.clock.now(), Recorded(frozenset(row.id for row in live)))
    assert again.assumed == 0
    assert by_id(live) == by_id(again.firings)


async def test_an_event_that_arrives_while_a_timer_is_looked_for_comes_before_the_timers_after_it(here: World) -> None:
    """A timer is due at 10 s. While the log is read to its end for it, an event arrives at 10.2 s, and the clock goes
    on to 10.6 s: the timer that is due at 10.5 s must wait for that event, as it does in a replay."""
    bus = BusyBus(here.bus)
    windows = sensor(dependencies={"a": {"key": "k"}}, triggers={"t": {"window": {"quiet": "10s"}}})
    host = SensorHost(bus, here.store, here.clock, [windows], settings=here.settings)  # type: ignore[arg-type]

    async def meanwhile() -> None:
        here.clock.advance(0.2)
        await here.publish(event("a", "y2", k="y"))
        here.clock.advance(0.4)

    async with anyio.create_task_group() as group:
        await group.start(host.run)
        await here.publish(event("a", "x1", k="x"))
        here.clock.advance(0.5)
        await here.publish(event("a", "y1", k="y"))
        await here.reach(host)
        bus.gate, bus.meanwhile = anyio.Event(), meanwhile
        here.clock.advance(9.5)
        (first,) = await here.fired(1)
        bus.gate.set()
        await here.reach(host)
        here.clock.advance(100)
        _, second = await here.fired(2)
        group.cancel_scope.cancel()
    assert [(first.key, first.created), (second.key, second.created)] == [("x", at(10)), ("y", at(20.2))]
    assert len(second.events) == 2


class BusyBus:
    """A bus whose tail waits for `gate`, and on which something happens right after a look at the end of the log."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.bounds = bus.bounds
        self.gate = anyio.Event()
        self.gate.set()
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def read(self, after: int, *, limit: int = 500) -> Sequence[Record]:
        found = await self._bus.read(after, limit=limit)
        work, self.meanwhile = self.meanwhile, None
        if work is not None:
            await work()
        return found

    @asynccontextmanager
    async def tail(self, after: int, *, limit: int = 500) -> AsyncIterator[AsyncIterator[Sequence[Record]]]:
        async with self._bus.tail(after, limit=limit) as batches:
            yield self._gated(batches)

    async def _gated(self, batches: AsyncIterator[Sequence[Record]]) -> AsyncIterator[Sequence[Record]]:
        async for records in batches:
            await self.gate.wait()
            yield records


class Live:
    """A sensor that lives through events, time, ends of firings and restarts, as chance will have it."""

    def __init__(self, here: World, chance: random.Random, dice: Dice, sensor: Sensor) -> None:
        self._here, self._chance, self._dice, self._sensor = here, chance, dice, sensor
        self._over: set[str] = set()
        self._stack = AsyncExitStack()

    async def run(self) -> None:
        """All of it; then time goes on until nothing more is due."""
        async with self._stack:
            host = await self._start()
            for _ in range(MOMENTS):
                host = await self._moment(host)
            for _ in range(3):
                await self._end_some(share=1.0)
                self._here.clock.advance(200)
                await self._settle(host)

    async def _start(self) -> SensorHost:
        return await self._stack.enter_async_context(self._here.running(self._sensor))

    async def _moment(self, host: SensorHost) -> SensorHost:
        here, chance = self._here, self._chance
        match chance.choice(["events", "events", "events", "time", "time", "ends", "restart"]):
            case "events":
                for _ in range(chance.randint(1, 4)):
                    await here.publish(self._dice.event())
                    here.clock.advance(chance.choice([0, 0, 0.25, 1]))
            case "time":
                await self._settle(host)
                here.clock.advance(chance.choice([1, 5, 20, 70]))
            case "ends":
                await self._settle(host)
                await self._end_some(share=0.5)
            case _:
                await self._stack.aclose()
                for _ in range(chance.randint(0, 3)):  # while nobody runs
                    await here.publish(self._dice.event())
                    here.clock.advance(chance.choice([0, 3, 30]))
                return await self._start()
        return host

    async def _end_some(self, share: float) -> None:
        for row in await self._here.fired():
            if row.tracked and row.id not in self._over and self._chance.random() < share:
                self._over.add(row.id)
                await self._here.publish(told("firing.done", row))

    async def _settle(self, host: SensorHost) -> None:
        """Wait until all that can happen at this time of the clock has happened."""
        here = self._here

        async def still() -> bool:
            last = (await here.bus.bounds()).last
            if host.state().position < last:
                return False
            due = await here.store.read(lambda c: cells.next_due(c, cells.LIVE))
            waits = await here.store.read(lambda c: outbox.pending(c, 1))
            return not waits and (due is None or due > here.clock.now()) and (await here.bus.bounds()).last == last

        await until(still)


async def read_log(bus: MemoryBus) -> list[Record]:
    found: list[Record] = []
    while more := await bus.read(found[-1].position if found else 0):
        found += more
    return found


def by_id(firings: Sequence[FiringRow] | Sequence[Any]) -> dict[str, Fact]:
    return {one.id: (one.trigger, one.key, tuple(one.events), one.created, one.tracked) for one in firings}


def fact(decision: Decision, key: str | None) -> Fact:
    event_key = decision.event or (key if decision.trigger is None else None)
    return shown(
        event_key, decision.dependency, decision.outcome.value, decision.reason, decision.trigger, decision.key
    )


def shown(event_key: str | None, dependency: str | None, outcome: str, reason: str, *more: str | None) -> Fact:
    # Of an event that came twice the platform says where in the log it was before.
    twice = outcome == "duplicate" and dependency is None
    return event_key, dependency, outcome, "" if twice else reason, *more


async def recorded_decisions(store: Store) -> list[Fact]:
    t = decision_table.c
    query = select(t.event_key, t.dependency, t.outcome, t.reason, t.trigger, t.key).order_by(t.id)
    rows = await store.read(lambda c: list(c.execute(query)))
    return [shown(*row) for row in rows]
