"""Messages flow through a proxy that spoils connections, to a platform that is killed again and again.

The messages go to the real server directly, and every one is waited for, so it is known what was sent. The platform is
a process of tests/contract/source_process.py; it comes to the server by the proxy alone.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from retrain.bus import EmbeddedServer, NatsBus
from tests.contract.outside import World
from tests.contract.source_process import SourceProcess, order
from tests.servers.proxy import Proxy

LISTENS_S = 60.0
ARRIVES_S = 90.0
"""Within so long something must come, or the test ends and says what is lacking."""

FAULTS = ("cut", "delay", "half-close", "tear")
KILL = "kill"
DELAY_S = 0.03

PATIENCE_S = 1.0
"""So long a fault waits for messages of its own to have come."""

CONNECTS_S = 20.0
"""So long a fault waits for a connection that it can spoil."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much: messages in all, and how often the platform is killed. Between two kills comes each fault once."""

    messages: int
    kills: int

    @property
    def acts(self) -> list[str]:
        return [*FAULTS, KILL] * self.kills + [*FAULTS]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table."""

    kind: str
    faults: Mapping[str, int]
    sent: int
    received: int
    lost: int
    doubled: int

    def row(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in self.faults.items())
        return f"| {self.kind} | {faults} | {self.sent:,} | {self.received:,} | {self.lost} | {self.doubled} |"


@dataclass
class Log:
    """What has come to the bus: how often each name."""

    name_in: Callable[[Any], str]
    seen: Counter[str] = field(default_factory=Counter)
    _more: anyio.Condition = field(default_factory=anyio.Condition)

    async def follow(self, bus: NatsBus) -> None:
        async with bus.tail(0) as batches:
            async for batch in batches:
                async with self._more:
                    self.seen.update(self.name_in(record.event) for record in batch)
                    self._more.notify_all()

    async def until(self, done: Callable[[Counter[str]], bool], lacking: Callable[[], str]) -> None:
        """Wait until `done`; for ARRIVES_S at most while nothing comes."""
        async with self._more:
            while not done(self.seen):
                before = len(self.seen)
                with anyio.move_on_after(ARRIVES_S) as waiting:
                    await self._more.wait()
                if waiting.cancelled_caught and len(self.seen) == before:
                    raise AssertionError(f"nothing came for {ARRIVES_S} s: {lacking()}")


@dataclass
class Victim:
    """The platform's process, killed and started again on the same store and bus."""

    folder: Path
    nats: EmbeddedServer
    outside: World
    proxy: Proxy
    process: SourceProcess | None = None

    async def start(self) -> None:
        """Returns at once: faults go on while it starts."""
        self.process = await anyio.to_thread.run_sync(self._launch)

    def _launch(self) -> SourceProcess:
        document = self.outside.document().model_dump(by_alias=True, exclude_unset=True)
        spec = json.dumps(document["spec"]).replace(address_of(self.outside), self.proxy.address)
        document |= {"spec": json.loads(spec)}
        return SourceProcess(
            order(self.outside, document, self.folder / "platform.db", self.nats), self.folder / "platform.log"
        )

    async def listens(self) -> None:
        assert self.process is not None
        await self.process.listens(LISTENS_S)

    def kill(self) -> None:
        """As `kill -9` does."""
        if self.process is not None:
            self.process.kill()
            self.process = None


def address_of(outside: World) -> str:
    """Where the outside's own client goes, and what its document says."""
    return getattr(outside.running, "endpoint", None) or outside.running.address


@dataclass
class Storm:
    """One kind, its proxy and its victim, and what is done to them."""

    outside: World
    proxy: Proxy
    victim: Victim
    log: Log
    dice: random.Random
    kills: int = 0
    delays: int = 0

    async def blow(self, plan: Plan) -> Outcome:
        """Send everything while everything goes wrong; then let it be quiet, and count."""
        names = [f"m{index:06}" for index in range(plan.messages)]
        await self.victim.start()
        await self.victim.listens()
        acts = plan.acts
        size = -(-len(names) // len(acts))
        for index, act in enumerate(acts):
            await self._flow(names[index * size : (index + 1) * size], act)
        self.proxy.delay_s = 0.0
        await self._quiet(names)
        return self._outcome(names)

    async def _flow(self, names: Sequence[str], act: str) -> None:
        """Send some messages; when some of them, no telling how many, have come, do something bad.

        What the last fault has held up may come only when the server gives it out again: that is not waited for.
        """
        wanted = len(self.log.seen) + self.dice.randint(0, max(len(names) - 1, 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.outside.happen_many, list(names))
            with anyio.move_on_after(PATIENCE_S):
                await self.log.until(lambda seen: len(seen) >= wanted, lambda: f"before {act}, {wanted} are wanted")
            await self._do(act)

    async def _do(self, act: str) -> None:
        self.proxy.delay_s = 0.0
        with anyio.move_on_after(CONNECTS_S):
            await self.proxy.connected()
        match act:
            case "cut":
                self.proxy.cut()
            case "tear":
                self.proxy.tear()
            case "half-close":
                await self.proxy.half_close()
            case "delay":
                self.proxy.delay_s = DELAY_S
                self.delays += 1
            case _:
                self.victim.kill()
                self.kills += 1
                await self.victim.start()

    async def _quiet(self, names: Sequence[str]) -> None:
        """All have come; and what the outside still believes not to be taken comes again at one more start."""
        await self._come([*names])
        self.victim.kill()
        await self.victim.start()
        await self.victim.listens()
        await self.outside.happen("last")
        await self._come([*names, "last"])

    async def _come(self, names: Sequence[str]) -> None:
        def lacking() -> str:
            gone = [name for name in names if name not in self.log.seen]
            return f"{len(gone)} of {len(names)} are lacking, such as {gone[:5]}"

        await self.log.until(lambda seen: seen.keys() >= set(names), lacking)

    def _outcome(self, names: Sequence[str]) -> Outcome:
        seen = self.log.seen
        done = self.proxy.done
        faults = {
            "cut": done.get("cut", 0),
            "torn": done.get("tear", 0),
            "half-closed": done.get("half_close", 0),
            "delayed": self.delays,
            "killed": self.kills,
        }
        once = sum(1 for name in names if seen[name])
        doubled = sum(seen[name] - 1 for name in names if seen[name] > 1)
        return Outcome(
            self.outside.kind, faults, len(names), sum(seen[name] for name in names), len(names) - once, doubled
        )


@asynccontextmanager
async def storm(
    folder: Path, nats: EmbeddedServer, bus: NatsBus, outside: World, between: Proxy
) -> AsyncGenerator[Storm]:
    """Everything ready to blow; the platform's process ends with the block."""
    victim = Victim(folder, nats, outside, between)
    log = Log(outside.name_in)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(log.follow, bus)
        try:
            yield Storm(outside, between, victim, log, random.Random(outside.kind))
        finally:
            victim.kill()
            tasks.cancel_scope.cancel()
