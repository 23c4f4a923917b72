"""Locks: the same promises in memory and on the store."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import update

from pipelines.core.happenings import Lock, LockNews, LockWish
from pipelines.host.keepers import Keepers
from pipelines.host.keepers_memory import MemoryKeepers
from pipelines.host.keepers_store import KeeperOptions, StoreKeepers, open_keepers
from retrain.clock import FakeClock
from retrain.store import Store, open_store, runs, tables
from retrain.store.runs import RunRow

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MUTEX = Lock("default/Mutex/deploy")
GPUS = Lock("default/ConfigMap/limits/gpu", 2)
RUNS = tuple(f"r-{n}" for n in range(12))


class Host:
    """Keepers, and what they told the runs."""

    def __init__(self, keepers: Keepers, clock: FakeClock, store: Store | None = None) -> None:
        self.keepers = keepers
        self.clock = clock
        self.store = store
        self.told: list[tuple[str, LockNews]] = []
        for run_id in RUNS:
            keepers.watch(run_id, lambda news, run_id=run_id: self.told.append((run_id, news)))

    async def ask(self, run: str, *locks: Lock, holder: str = "", priority: int = 0, age_s: float = 0) -> LockNews:
        created = T0 - timedelta(seconds=age_s)
        return await self.keepers.acquire(run, LockWish(holder, locks, priority, created))

    def granted_later(self) -> list[tuple[str, str]]:
        found, self.told = [(run, news.holder) for run, news in self.told if news.granted], []
        return found


@asynccontextmanager
async def memory(_path: Path) -> AsyncIterator[Host]:
    clock = FakeClock(T0)
    yield Host(MemoryKeepers(clock), clock)


@asynccontextmanager
async def on_store(path: Path) -> AsyncIterator[Host]:
    clock = FakeClock(T0)
    async with open_store(path / "retrain.db") as store, open_keepers(store, clock) as keepers:
        await begin(store, RUNS)
        yield Host(keepers, clock, store)


async def begin(store: Store, ids: Sequence[str], owner: str = "me", lease_s: float = 3600) -> None:
    rows = [RunRow(one, one, "w", {"spec": {}}, {}, T0) for one in ids]
    await store.write(lambda c: runs.submit(c, rows))
    await store.write(lambda c: runs.claim(c, owner, T0, T0 + timedelta(seconds=lease_s), len(ids)))


HOSTS = [pytest.param(memory, id="memory"), pytest.param(on_store, id="store")]
every_host = pytest.mark.parametrize("open_host", HOSTS)


@every_host
async def test_a_mutex_has_one_holder_and_the_next_is_told(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        first = await host.ask("r-0", MUTEX)
        second = await host.ask("r-1", MUTEX)
        await host.keepers.release("r-0", [""])

        assert first == LockNews("", granted=True)
        assert second == LockNews("", granted=False, waiting_for=MUTEX.name, status="0/1")
        assert host.granted_later() == [("r-1", "")]


@every_host
async def test_who_holds_and_asks_again_holds(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX, holder="n-1")
        await host.ask("r-1", MUTEX)

        assert (await host.ask("r-0", MUTEX, holder="n-1")).granted
        assert not (await host.ask("r-1", MUTEX)).granted
        assert not (await host.ask("r-0", MUTEX, holder="n-2")).granted


@every_host
async def test_the_highest_priority_is_served_first_then_the_oldest_then_the_first(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX)
        await host.ask("r-1", MUTEX)
        await host.ask("r-2", MUTEX)
        await host.ask("r-3", MUTEX, age_s=60)
        await host.ask("r-4", MUTEX, priority=5)
        order: list[str] = []
        await host.keepers.release_run("r-0")
        while told := host.granted_later():
            order += [run for run, _ in told]
            await host.keepers.release(told[0][0], [""])

        assert order == ["r-4", "r-3", "r-1", "r-2"]


@every_host
async def test_several_locks_are_granted_together_or_not_at_all(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX)
        news = await host.ask("r-1", GPUS, MUTEX)
        one_gpu = await host.ask("r-2", GPUS)

        assert (news.granted, news.waiting_for, news.status) == (False, MUTEX.name, "0/1")
        assert not one_gpu.granted, "who comes later must not overtake a wish for several"

        await host.keepers.release("r-0", [""])

        assert host.granted_later() == [("r-1", ""), ("r-2", "")]


@every_host
async def test_who_leaves_a_queue_makes_room_for_those_behind(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX)
        await host.ask("r-1", MUTEX, GPUS)
        await host.ask("r-2", GPUS)
        await host.keepers.release("r-1", [""])

        assert host.granted_later() == [("r-2", "")]


@every_host
async def test_a_semaphore_of_two_has_two_holders_and_says_how_many_are_free(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        a, b, c = [await host.ask(run, GPUS) for run in ("r-0", "r-1", "r-2")]

        assert (a.granted, b.granted, c.granted, c.status) == (True, True, False, "0/2")


@every_host
async def test_a_limit_that_grew_serves_who_waits(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX)
        await host.ask("r-1", MUTEX)
        await host.ask("r-2", Lock(MUTEX.name, 3))

        assert host.granted_later() == [("r-1", "")]


@every_host
async def test_the_end_of_a_run_gives_back_everything(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX, holder="a")
        await host.ask("r-0", GPUS, holder="b")
        await host.ask("r-1", MUTEX)
        await host.keepers.release_run("r-0")

        assert host.granted_later() == [("r-1", "")]
        assert (await host.ask("r-2", GPUS)).granted


@every_host
async def test_a_wish_for_other_locks_replaces_the_old_one(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.ask("r-0", MUTEX)
        await host.ask("r-1", MUTEX)
        assert (await host.ask("r-1", GPUS)).granted
        await host.keepers.release("r-0", [""])

        assert host.granted_later() == []
        assert (await host.ask("r-2", MUTEX)).granted


@every_host
@pytest.mark.parametrize("seed", range(8))
async def test_limits_hold_and_nobody_starves_whatever_comes(open_host, tmp_path, seed):
    """Random wishes, releases and ends of runs: limits hold, all or nothing, and in the end everybody had a turn."""
    dice = random.Random(seed)
    limits = {"m": 1, "s": 2, "t": 3}
    async with open_host(tmp_path) as host:
        wanted: dict[tuple[str, str], tuple[str, ...]] = {}
        holding: set[tuple[str, str]] = set()

        def check() -> None:
            holding.update(one for one in host.granted_later() if one in wanted)
            for name, limit in limits.items():
                assert sum(name in wanted[one] for one in holding) <= limit

        for n in range(120):
            me = (dice.choice(RUNS), f"n-{dice.randrange(3)}")
            match dice.randrange(10):
                case 0:
                    await host.keepers.release_run(me[0])
                    gone = [one for one in wanted if one[0] == me[0]]
                    for one in gone:
                        del wanted[one]
                        holding.discard(one)
                case 1 | 2 | 3 if me in wanted:
                    await host.keepers.release(me[0], [me[1]])
                    del wanted[me]
                    holding.discard(me)
                case _:
                    names = wanted.get(me) or tuple(dice.sample(sorted(limits), dice.randint(1, 3)))
                    wanted[me] = names
                    locks = [Lock(name, limits[name]) for name in names]
                    news = await host.ask(me[0], *locks, holder=me[1], priority=dice.randrange(2), age_s=n % 7)
                    assert me not in holding or news.granted, "who asks again keeps what he holds"
                    if news.granted:
                        holding.add(me)
            check()

        turns = 0
        while holding:
            one = min(holding)
            await host.keepers.release(one[0], [one[1]])
            del wanted[one]
            holding.discard(one)
            turns += 1
            check()
        assert wanted == {}


async def test_locks_outlive_the_process_and_the_next_one_finds_itself_holding(tmp_path):
    async with on_store(tmp_path) as host:
        await host.ask("r-0", MUTEX, holder="n")
        await host.ask("r-1", MUTEX)
    async with open_store(tmp_path / "retrain.db") as store, open_keepers(store, FakeClock(T0)) as keepers:
        again = Host(keepers, FakeClock(T0), store)

        assert (await again.ask("r-0", MUTEX, holder="n")).granted
        assert not (await again.ask("r-1", MUTEX)).granted
        await keepers.release("r-0", ["n"])
        assert again.granted_later() == [("r-1", "")]


async def test_a_grant_by_another_process_is_found(tmp_path):
    clock, options = FakeClock(T0), KeeperOptions(poll_s=0.02)
    async with (
        on_store(tmp_path) as one,
        open_store(tmp_path / "retrain.db") as store,
        open_keepers(store, clock, options=options) as keepers,
    ):
        heard = anyio.Event()
        await one.ask("r-0", MUTEX)
        keepers.watch("r-1", lambda _news: heard.set())
        await keepers.acquire("r-1", LockWish("", (MUTEX,), 0, T0))
        await one.keepers.release("r-0", [""])

        with anyio.fail_after(5):
            await heard.wait()


async def test_the_lock_of_a_run_that_is_over_is_free(tmp_path):
    async with on_store(tmp_path) as host:
        assert host.store is not None
        await host.ask("r-0", MUTEX)
        await host.store.write(lambda c: runs.advance(c, "me", "r-0", phase="Failed"))

        assert (await host.ask("r-1", MUTEX)).granted


async def test_a_crashed_run_keeps_its_lock_while_it_may_come_back(tmp_path):
    async with on_store(tmp_path) as host:
        assert isinstance(host.keepers, StoreKeepers)
        assert host.store is not None
        await begin(host.store, ["r-dead"], owner="dead", lease_s=30)
        await host.ask("r-dead", MUTEX)
        host.clock.advance(100)
        assert not (await host.ask("r-1", MUTEX)).granted
        host.clock.advance(60)

        await host.keepers.look()

        assert host.granted_later() == [("r-1", "")]


async def test_a_host_that_was_away_itself_takes_nothing_from_those_it_finds(tmp_path):
    async with on_store(tmp_path) as host:
        assert host.store is not None
        await begin(host.store, ["r-dead"], owner="dead", lease_s=30)
        await host.ask("r-dead", MUTEX)
    later = FakeClock(T0 + timedelta(hours=1))
    async with open_store(tmp_path / "retrain.db") as store, open_keepers(store, later) as keepers:
        await store.write(lambda c: runs.renew(c, "me", RUNS, T0 + timedelta(hours=9)))

        assert not (await keepers.acquire("r-1", LockWish("", (MUTEX,), 0, T0))).granted


async def test_a_run_that_nobody_works_on_is_passed_over_in_the_queue(tmp_path):
    async with on_store(tmp_path) as host:
        assert host.store is not None
        await host.ask("r-0", MUTEX)
        await host.ask("r-1", MUTEX)
        await host.ask("r-2", MUTEX)
        await host.store.write(
            lambda c: c.execute(update(tables.runs).where(tables.runs.c.id == "r-1").values(owner=None))
        )
        await host.keepers.release("r-0", [""])

        assert host.granted_later() == [("r-2", "")]


async def test_many_who_ask_at_once_share_one_lock_without_a_lost_wake_up(tmp_path):
    """Ten runs take turns, each as a task of its own: nobody is forgotten, and never two at once."""
    async with on_store(tmp_path) as host:
        inside = most = turns = 0

        async def one(run_id: str) -> None:
            nonlocal inside, most, turns
            for turn in range(5):
                told = anyio.Event()
                host.keepers.watch(run_id, lambda _news, told=told: told.set())
                if not (await host.ask(run_id, MUTEX, holder=f"n-{turn}")).granted:
                    await told.wait()
                inside += 1
                most = max(most, inside)
                await anyio.lowlevel.checkpoint()
                inside -= 1
                turns += 1
                await host.keepers.release(run_id, [f"n-{turn}"])

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for run_id in RUNS[:10]:
                    group.start_soon(one, run_id)

        assert (most, turns) == (1, 50)
