"""Locks through crashes: of platforms that come back or do not, and of a process that is killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection, func, select, update

from pipelines.core.happenings import Lock, LockNews, LockWish
from pipelines.host.keepers_store import KeeperOptions, StoreKeepers, open_keepers
from retrain.clock import FakeClock, SystemClock
from retrain.store import Store, open_store, runs, tables
from retrain.store.runs import RunRow

pytestmark = pytest.mark.slow  # it kills hosts

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = {"m": 1, "s": 2, "t": 3}
RUNS = tuple(f"r-{n}" for n in range(6))

WORKER = """
import random, sys, anyio
from datetime import UTC, datetime
from pathlib import Path
from pipelines.core.happenings import Lock, LockWish
from pipelines.host.keepers_store import open_keepers
from retrain.clock import SystemClock
from retrain.store import open_store

async def main(path, run_id, seed):
    dice = random.Random(seed)
    limits = {"m": 1, "s": 2, "t": 3}
    async with open_store(path) as store, open_keepers(store, SystemClock()) as keepers:
        print("ready", flush=True)
        for n in range(100_000):
            names = dice.sample(sorted(limits), dice.randint(1, 3))
            wish = LockWish(f"n-{n % 4}", tuple(Lock(one, limits[one]) for one in names), 0, datetime.now(UTC))
            await keepers.acquire(run_id, wish)
            if n % 3:
                await keepers.release(run_id, [f"n-{n % 4}"])

anyio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3])
"""


async def begin(store: Store, ids: Sequence[str], now: datetime, lease_s: float = 3600) -> None:
    rows = [RunRow(one, one, "w", {"spec": {}}, {}, now) for one in ids]
    await store.write(lambda c: runs.submit(c, rows))
    await store.write(lambda c: runs.claim(c, "me", now, now + timedelta(seconds=lease_s), len(ids)))


def held(connection: Connection) -> dict[str, int]:
    """How many hold each lock."""
    query = select(tables.locks.c.name, func.count()).where(tables.locks.c.granted.is_not(None))
    return {row[0]: row[1] for row in connection.execute(query.group_by(tables.locks.c.name))}


def halves(connection: Connection) -> list[tuple[str, str]]:
    """Who holds a part of what he wished for."""
    locks = tables.locks.c
    query = select(locks.run_id, locks.holder).group_by(locks.run_id, locks.holder)
    query = query.having(func.count(locks.granted) > 0, func.count(locks.granted) < func.count())
    return [(row.run_id, row.holder) for row in connection.execute(query)]


async def check(store: Store) -> None:
    now = await store.read(held)
    assert all(count <= LIMITS[name] for name, count in now.items()), now
    assert await store.read(halves) == []


async def lease(store: Store, run_id: str, until: datetime) -> None:
    change = update(tables.runs).where(tables.runs.c.id == run_id).values(lease_until=until)
    await store.write(lambda c: c.execute(change))


class World:
    """Runs that wish, die and come back."""

    def __init__(self, store: Store, keepers: StoreKeepers, clock: FakeClock, dice: random.Random) -> None:
        self.store, self.keepers, self.clock, self.dice = store, keepers, clock, dice
        self.wanted: dict[tuple[str, str], LockWish] = {}
        self.holding: set[tuple[str, str]] = set()
        self.dead: set[str] = set()
        for run_id in RUNS:
            keepers.watch(run_id, lambda news, run_id=run_id: self.hear(run_id, news))

    def hear(self, run_id: str, news: LockNews) -> None:
        if (run_id, news.holder) in self.wanted:
            self.holding.add((run_id, news.holder))

    async def turn(self) -> None:
        run_id = self.dice.choice(RUNS)
        me = (run_id, f"n-{self.dice.randrange(2)}")
        self.clock.advance(1)
        if run_id in self.dead:
            if self.dice.random() < 0.5:
                await self.come_back(run_id)
        elif self.dice.random() < 0.2:
            self.dead.add(run_id)
            await lease(self.store, run_id, self.clock.now() - timedelta(seconds=1))
        elif me in self.holding and self.dice.random() < 0.6:
            await self.release(me)
        elif me not in self.wanted:
            names = self.dice.sample(sorted(LIMITS), self.dice.randint(1, 3))
            locks = tuple(Lock(one, LIMITS[one]) for one in names)
            self.wanted[me] = LockWish(me[1], locks, self.dice.randrange(2), T0)
            await self.ask(me)

    async def come_back(self, run_id: str) -> None:
        """What a platform does that takes a run up: the lease, then everything is asked for again."""
        self.dead.discard(run_id)
        await lease(self.store, run_id, T0 + timedelta(days=30))
        for one in [one for one in self.wanted if one[0] == run_id]:
            await self.ask(one)

    async def ask(self, one: tuple[str, str]) -> None:
        if (await self.keepers.acquire(one[0], self.wanted[one])).granted:
            self.holding.add(one)

    async def release(self, one: tuple[str, str]) -> None:
        self.holding.discard(one)
        del self.wanted[one]
        await self.keepers.release(one[0], [one[1]])


@pytest.mark.parametrize("seed", range(6))
async def test_limits_hold_while_platforms_die_and_come_back(tmp_path: Path, seed: int):
    """Random wishes and releases of runs whose lease runs out and is taken up again; in the end all had a turn."""
    clock, options = FakeClock(T0), KeeperOptions(poll_s=3600, stale_s=600)
    async with open_store(tmp_path / "s.db") as store, open_keepers(store, clock, options=options) as keepers:
        await begin(store, RUNS, T0, lease_s=10**6)
        world = World(store, keepers, clock, random.Random(seed))
        for _ in range(150):
            await world.turn()
            await check(store)
        for run_id in sorted(world.dead):
            await world.come_back(run_id)
        while world.holding:
            await world.release(min(world.holding))
            await check(store)

        assert world.wanted == {}


async def test_a_process_that_is_killed_leaves_locks_that_another_can_count_on(tmp_path: Path):
    """kill -9 at random moments of a process that takes and gives locks: limits and all-or-nothing hold at each look,
    and when the run is over everything is free."""
    path, dice = tmp_path / "s.db", random.Random(7)
    async with open_store(path) as store, open_keepers(store, SystemClock()) as keepers:
        await begin(store, RUNS, datetime.now(UTC))
        for n in range(5):
            worker = subprocess.Popen(  # noqa: ASYNC220 - killed below
                [sys.executable, "-c", WORKER, str(path), RUNS[n], str(n)], stdout=subprocess.PIPE, cwd=Path.cwd()
            )
            assert worker.stdout is not None
            with anyio.fail_after(30):
                await anyio.to_thread.run_sync(worker.stdout.readline)
            for _ in range(dice.randrange(1, 15)):
                await check(store)
            os.kill(worker.pid, signal.SIGKILL)
            await anyio.to_thread.run_sync(worker.wait)
            worker.stdout.close()
            await check(store)
        for run_id in RUNS:
            await keepers.release_run(run_id)

        assert await store.read(held) == {}
        everything = tuple(Lock(name, limit) for name, limit in LIMITS.items())
        assert (await keepers.acquire("r-0", LockWish("", everything, 0, T0))).granted
