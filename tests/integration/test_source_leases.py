"""A source that only one replica may run: one does, another takes over, and whoever lost it has stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest

from eventsources import SourceHost, SourceSettings
from eventsources.host.leases import Leases
from eventsources.kinds import KINDS
from eventsources.port import SourceContext, SourceState
from retrain.bus import MemoryBus
from retrain.clock import SystemClock
from retrain.errors import Transient
from retrain.store import Store, leases
from tests.contract.source_world import Platform, document, until

LEASE_S = 0.6


class Alone:
    """A kind that notes how many of it run at the same time."""

    running = 0
    most = 0

    def __init__(self, name: str, spec: Any, context: SourceContext) -> None:
        self._status = context.status

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: Any) -> None:
        type(self).running += 1
        type(self).most = max(self.most, self.running)
        self._status.listening()
        try:
            await anyio.sleep_forever()
        finally:
            type(self).running -= 1


class Together(Alone):
    shared = True


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store, settings=SourceSettings(lease_s=LEASE_S))


def alone(platform: Platform, kind: type[Alone]) -> Any:
    kind.running = kind.most = 0
    platform.kinds = {**KINDS, "file": kind}
    return document(file={"thing": {"watchPathConfig": {"directory": "/x"}}})


def states(*hosts: SourceHost) -> list[str]:
    return [host.states()[0].state for host in hosts]


async def test_of_two_replicas_one_runs_the_source_and_the_other_takes_over(platform: Platform) -> None:
    wanted = alone(platform, Alone)
    first_runs, second_is_there, first_ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def first() -> None:
        async with platform.running(wanted) as host:
            await until(lambda: states(host) == ["listening"])
            first_runs.set()
            await second_is_there.wait()
            assert states(host) == ["listening"]
            assert Alone.running == 1
        first_ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await first_runs.wait()
        async with platform.running(wanted) as second:
            await until(lambda: states(second) == ["standby"])
            second_is_there.set()
            await first_ended.wait()
            await until(lambda: states(second) == ["listening"])

    assert Alone.most == 1


async def test_kinds_that_may_be_shared_run_in_all_replicas(platform: Platform) -> None:
    wanted = alone(platform, Together)
    async with platform.running(wanted) as first, platform.running(wanted) as second:
        await until(lambda: states(first, second) == ["listening", "listening"])

    assert Together.most == 2


async def test_a_replica_that_died_is_followed_when_its_lease_has_run_out(platform: Platform, store: Store) -> None:
    clock = SystemClock()
    wanted = alone(platform, Alone)
    await store.write(lambda c: leases.take(c, ["source/es/thing"], "dead", clock.now(), _later(clock)))

    async with platform.running(wanted) as host:
        await until(lambda: states(host) == ["standby"])
        await until(lambda: states(host) == ["listening"])


def _later(clock: SystemClock) -> Any:
    return clock.now() + timedelta(seconds=LEASE_S)


async def test_a_lease_that_another_has_taken_ends_the_work(store: Store) -> None:
    """As after a process stood still for longer than its lease lasts."""
    clock, mine = SystemClock(), Leases(store, SystemClock(), "mine", lasts_s=LEASE_S)
    began, ended = anyio.Event(), anyio.Event()

    async def work() -> None:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mine.run)
        tasks.start_soon(mine.while_held, "x", lambda _: None, work)
        with anyio.fail_after(10):
            await began.wait()
            await store.write(lambda c: leases.give_back(c, ["x"], "mine"))
            await store.write(lambda c: leases.take(c, ["x"], "other", clock.now(), _later(clock)))
            await ended.wait()
        tasks.cancel_scope.cancel()


async def test_a_store_that_is_away_ends_the_work_before_the_lease_runs_out(store: Store) -> None:
    class Away:
        gone = False

        async def write(self, work: Any) -> Any:
            if self.gone:
                raise Transient("away")
            return await store.write(work)

    away: Any = Away()
    clock = SystemClock()
    mine = Leases(away, clock, "mine", lasts_s=LEASE_S)
    stood_by = anyio.Event()
    said: list[str | None] = []

    def idle(trouble: str | None) -> None:
        said.append(trouble)
        stood_by.set()

    left: list[Any] = []

    async def work() -> None:
        away.gone = True
        try:
            await anyio.sleep_forever()
        finally:
            other = store.write(lambda c: leases.take(c, ["x"], "other", clock.now(), _later(clock)))
            with anyio.CancelScope(shield=True):
                left.append(await other)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mine.run)
        tasks.start_soon(mine.while_held, "x", idle, work)
        with anyio.fail_after(10):
            await stood_by.wait()
            await until(lambda: bool(left))
        tasks.cancel_scope.cancel()

    assert said[0] == "away"
    assert left == [set()]  # nobody else could have had it while we worked


async def test_a_lease_is_given_back_at_the_end(platform: Platform, store: Store) -> None:
    wanted = alone(platform, Alone)
    async with platform.running(wanted) as host:
        await until(lambda: states(host) == ["listening"])
        held = await store.read(lambda c: leases.holder_of(c, "source/es/thing"))
    after = await store.read(lambda c: leases.holder_of(c, "source/es/thing"))

    assert held is not None
    assert after is None
