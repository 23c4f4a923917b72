"""`kill -9` at random moments, many times, while events go the whole way: nothing is lost and nothing happens twice.

RETRAIN_TEST_SEED repeats a run's order of kills; RETRAIN_TEST_FAULTS=all makes it longer, RETRAIN_TEST_KILLS and
RETRAIN_TEST_ORDERS as long as one likes.
"""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.crash_world import Receiver, World, check_everything_once, key, read_log
from tests.e2e.platform_driver import LOOK_S, Process, Unreachable
from tests.support.size import size

ORDERS = int(os.environ.get("RETRAIN_TEST_ORDERS") or size(100, 300))
KILLS = int(os.environ.get("RETRAIN_TEST_KILLS") or size(14, 36))
SENDERS = 4
MOMENT_S = 0.6
"""The longest pause before a kill. It only spreads the moments: nothing is waited for by it."""
START_S = 2.0
"""About what a start takes: a platform that is killed while it starts dies at a moment within."""
LEARN_S = 0.15
SETTLE_S = 180.0


class Senders:
    """Threads that send orders until each is acknowledged, whatever happens to the platform meanwhile."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._orders: queue.Queue[int | None] = queue.Queue()
        self._threads = [threading.Thread(target=self._work, name=f"sender-{n}") for n in range(SENDERS)]
        self._over = threading.Event()
        self.refused = 0
        """Requests that ended without an acknowledgement: each was sent again."""

    def put(self, number: int) -> None:
        self._orders.put(number)

    def await_all(self, timeout_s: float) -> None:
        """Wait until everything is acknowledged."""
        for _ in self._threads:
            self._orders.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), f"{thread.name} still waits for an acknowledgement after {timeout_s:g} s"

    @contextmanager
    def running(self) -> Generator[Senders]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for _ in self._threads:
                self._orders.put(None)
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (number := self._orders.get()) is not None and not self._over.is_set():
            while not self._over.is_set() and not self._taken(number):
                self.refused += 1
                self._over.wait(LOOK_S)

    def _taken(self, number: int) -> bool:
        try:
            return self._world.send(number).taken
        except Unreachable:
            return False


class Killer:
    """Ends processes of one platform with SIGKILL, and counts those that it ended."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._platform = world.platform
        self._port = world.port
        self._chance = chance
        self.killed: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return sum(self.killed.values())

    def strike(self, victim: str) -> None:
        if victim in {"step", "git"}:  # they live for a moment only
            self._kill_one(victim)
            return
        time.sleep(self._chance.uniform(0.0, MOMENT_S))
        if victim == "bus":
            self._kill_one("bus")
            return
        self._kill_platform()
        if victim == "start":
            self._platform.launch(port=self._port)
            time.sleep(self._chance.uniform(0.0, START_S))
            self._kill_platform("start")
        self._platform.start(port=self._port)

    def _kill_platform(self, what: str = "platform") -> None:
        assert self._platform.running, "it ended by itself"
        self._platform.kill()
        self.killed[what] += 1

    def _kill_one(self, what: str) -> None:
        """Kill one of them, at this look or the next."""

        def done() -> bool:
            found = self._platform.bus_processes() if what == "bus" else self._short_lived(what)
            chosen = bool(found) and self._chance.random() < 0.5
            return chosen and self._platform.kill_process(self._chance.choice(found).pid)

        self._platform.wait(done, f"there is a process to kill: {what}")
        self.killed[what] += 1

    def _short_lived(self, what: str) -> list[Process]:
        if what == "step":
            # `mkdir` may not be done twice, so whoever kills it does what no platform can mend.
            return [one for one in self._platform.step_processes() if "mkdir" not in one.command]
        # The server's side is not the platform's: who kills it may leave a lock on the branch that a person must mend.
        ours = (one for one in self._platform.git_processes() if "git-dir" in one.command)
        return [one for one in ours if "receive-pack" not in one.command and "upload-pack" not in one.command]


def plan_of(chance: random.Random) -> list[str]:
    """Whom to kill, in order. A `start` is two kills: a running platform, and the next one while it starts."""
    sorts = ["platform", "bus", "step", "bus", "step", "start", "git"]
    plan = [sorts[n % len(sorts)] for n in range(KILLS)]
    chance.shuffle(plan)
    return plan


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_through_random_kills_everything_acknowledged_happens_once(tmp_path: Path) -> None:
    """Orders go through the whole chain, while platform, bus, steps and git are killed: each sort twice at least."""
    seed = int(os.environ.get("RETRAIN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"RETRAIN_TEST_SEED={seed}")  # noqa: T201 - pytest shows it beside a failure
    chance = random.Random(seed)
    began = time.monotonic()
    with Receiver() as receiver:
        world = World.make(tmp_path, receiver, learn=("/bin/sleep", str(LEARN_S)))
        platform = world.platform
        platform.start(port=world.port)
        with platform:
            killer, plan = Killer(world, chance), plan_of(chance)
            with Senders(world).running() as senders:
                for turn, victim in enumerate(plan):
                    for number in range(turn * ORDERS // len(plan), (turn + 1) * ORDERS // len(plan)):
                        senders.put(number)
                    killer.strike(victim)
                senders.await_all(SETTLE_S)
            killing = time.monotonic() - began
            world.await_settled(ORDERS, SETTLE_S)

            doubled = len(receiver.requests) - 2 * ORDERS
            print(  # noqa: T201
                f"{dict(killer.killed)} killed, {platform.starts} starts, {senders.refused} sends refused, "
                f"{doubled} requests doubled; {killing:.0f} s of kills, {time.monotonic() - began:.0f} s in all"
            )
            assert killer.total >= KILLS
            check_everything_once(world, ORDERS)
            assert platform.stop() == 0
            assert platform.processes() == []
            assert "Traceback" not in platform.log.read_text(), "nothing that came was a surprise"

        records = await read_log(platform.data)

    keys = [record.event.key for record in records]
    assert len(keys) == len(set(keys)), "the log has every event once"
    assert {record.event.id for record in records if record.event.source == "shop"} == {key(n) for n in range(ORDERS)}
