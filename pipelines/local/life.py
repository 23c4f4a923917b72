"""The life of one container: started, found again after a restart of the platform, asked to end, and ended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import anyio
import anyio.to_thread

from pipelines.local import process
from pipelines.local.process import Command, Ending, Leader, began_at
from pipelines.local.sign import Sign
from pipelines.local.spawner import Spawner
from retrain.clock import Clock

KILLED = 137

T = TypeVar("T")


class Lost(Exception):
    """The container's leader died with no word: the machine went down, or somebody killed it."""


class Halted(Exception):
    """The container was asked to end before it began."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What runs containers. `leave`: what a cancellation does to those that run. `threads` are for short work,
    `transfers` for artifacts, which may take long. `fleeting`, `finish_s`: see `Limits`."""

    spawner: Spawner
    clock: Clock
    grace_s: float
    leave: Literal["kill", "keep"]
    threads: anyio.CapacityLimiter
    transfers: anyio.CapacityLimiter
    fleeting: bool = False
    finish_s: float = 0.0

    async def thread(self, work: Callable[[], T]) -> T:
        """Do something that blocks for moments."""
        return await anyio.to_thread.run_sync(work, limiter=self.threads)

    async def transfer(self, work: Callable[[], T]) -> T:
        """Do something that may block for long."""
        return await anyio.to_thread.run_sync(work, limiter=self.transfers)


@dataclass(slots=True)
class Life:
    """One container in its directory `home`. `command` is asked for only where nothing has begun, and on a thread if it
    is not `quick`, which is: a few looks at the disk, and nothing made."""

    machine: Machine
    home: Path
    mark: str
    command: Callable[[], Command]
    quick: bool = False
    light: bool = False
    """What follows its end is no more than a look at a small file: no work for a thread."""
    asked: Sign = field(default_factory=Sign)
    running: Sign = field(default_factory=Sign)
    found: bool = False
    """An earlier platform had started it."""
    _waits: anyio.CancelScope | None = None
    """Where its end is waited for, until it is asked for."""
    cut: bool = False
    """It was ended in the middle, by a cancellation: what it did does not count."""

    def stop(self) -> None:
        """Ask for its end: SIGTERM, and SIGKILL after the grace time."""
        self.asked.set()
        if self._waits is not None:
            self._waits.cancel()

    async def live(self, started: Callable[[datetime], None], after: Callable[[Ending], T]) -> T:
        """See it to its end; what `after` makes of that, on a thread.

        Raises:
            Lost: it is gone without an ending.
            Halted: it was asked to end before it began.
            OSError, ValueError, ConfigError: it cannot be started.
        """
        leader, at = await self._begin()
        while leader is not None:
            self.running.set()
            started(at)
            await self._attend(leader)
            work = partial(self._after, self._part(leader), after)
            simple = self.light and not (self.found or self.asked.is_set())
            result, leader = work() if simple else await self.machine.thread(work)
            if leader is None:
                return result[0]
        result, leader = await self.machine.thread(partial(self._after, None, after))
        if leader is not None:
            raise Lost
        return result[0]

    async def _begin(self) -> tuple[Leader | None, datetime]:
        """Find the process or start it; no leader if it has ended. A process is not lost to a cancellation."""
        command = self._look() if self.quick else await self.machine.thread(self._look)
        if command is None:
            return await self.machine.thread(self._find)
        at = self.machine.clock.now()
        try:
            return await self.machine.spawner.lead(self.home, command), at
        except FileExistsError:
            # A leader claimed the home, and was killed before it could answer; or another platform's was quicker.
            self.found = True
            return await self.machine.thread(self._find)

    def _look(self) -> Command | None:
        """What to start; None if that was done already."""
        # Where there are no records there is nothing to be found.
        self.found = not self.machine.fleeting and process.began(self.home)
        if self.found:
            return None
        if self.asked.is_set():
            raise Halted
        return self.command()

    def _find(self) -> tuple[Leader | None, datetime]:
        return process.attach(self.home), began_at(self.home) or self.machine.clock.now()

    async def _attend(self, leader: Leader) -> None:
        """Stay until it has ended, by itself or because it was asked to. A cancellation takes the descriptor."""
        if leader.ended():
            return
        try:
            # A scope, and a task only for one that is to end: for every step it would cost as much as starting it.
            with anyio.CancelScope() as self._waits:
                if self.asked.is_set():
                    self._waits.cancel()
                await leader.wait()
                return
            async with anyio.create_task_group() as group:
                group.start_soon(self._urge, leader)
                await leader.wait()
                group.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            if self.machine.leave == "keep":
                leader.let_go()
            else:
                with anyio.CancelScope(shield=True):
                    await self._cut_off(leader)
            raise

    async def _urge(self, leader: Leader) -> None:
        leader.signal_group(signal.SIGTERM)
        await anyio.sleep(self.machine.grace_s)
        leader.signal_group(signal.SIGKILL)

    async def _cut_off(self, leader: Leader) -> None:
        if not self.asked.is_set():
            # It may be about to end: one that has acted, and is cut off all the same, would act twice.
            with anyio.move_on_after(self.machine.finish_s):
                await leader.wait()
        # One that has ended already, though nobody has seen it yet, is not to run again.
        self.cut = await self.machine.thread(partial(process.ending, self.home)) is None
        async with anyio.create_task_group() as group:
            group.start_soon(self._urge, leader)
            await leader.wait()
            group.cancel_scope.cancel()
        leader.close()

    def _part(self, leader: Leader) -> Ending | None:
        """Take leave of the leader of an ended step; what it has said of the end."""
        ending = leader.line.ending if leader.line is not None else None
        leader.close()
        return ending

    def _after(self, said: Ending | None, after: Callable[[Ending], T]) -> tuple[tuple[T, ...], Leader | None]:
        """Once the leader has ended: what `after` gives, or another leader that came first in this home."""
        ending = said or process.ending(self.home)
        if ending is None:
            if not self.asked.is_set():
                other = process.attach(self.home)
                if other is None:
                    raise Lost
                return (), other
            ending = self._killed()
        return (after(ending),), None

    def _killed(self) -> Ending:
        """For one that was asked to end and whose leader went with it."""
        process.sweep(process.MARKER, [self.mark])
        now = self.machine.clock.now()
        return Ending(
            code=KILLED,
            signal=signal.SIGKILL,
            began=True,
            started=began_at(self.home) or now,
            finished=now,
            cpu_s=0.0,
            peak_bytes=0,
            trouble="",
        )
