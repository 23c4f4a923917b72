"""Listeners on a real platform: what they cost in memory, that none misses the last change, nor waits for another.

Part of `bench.page`. `/ui/live` tells of changes; `/api/v1/events/tail` tells every event. One more of each is opened
whose reader reads nothing.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

import anyio

from bench.load import Load, post
from bench.report import Row, percentile
from bench.world import World, cpu_s, memory_mb

PACE, EVENTS = 100, 1000
PATIENCE_S = 60.0
VIEWS_PER_S, VIEWS_S = 20, 10


@dataclass(slots=True)
class Feed:
    """One listener: the ids it has heard, and when it heard the last."""

    path: str
    deaf: bool = False
    ids: list[str] = field(default_factory=list[str])
    last: float = 0.0

    async def run(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(f"GET {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
        try:
            if self.deaf:
                await anyio.sleep_forever()
            while line := await reader.readline():
                if line.startswith(b"id: "):
                    self.ids.append(line[4:].strip().decode())
                    self.last = time.perf_counter()
        finally:
            writer.close()


async def _heard(world: World, feeds: list[Feed], tails: list[Feed]) -> tuple[float, float, float, int]:
    """(MB that they cost at most, seconds until the last has heard the last change, MB that stay, updates lost)."""
    before = most = memory_mb(world.pid)
    done, lost = 0.0, -1
    async with anyio.create_task_group() as group:
        for one in (*feeds, *tails):
            group.start_soon(one.run, world.port)
        await anyio.sleep(3)
        posting = asyncio.get_running_loop().run_in_executor(
            None, post, Load(world.port, "/in", EVENTS, connections=4, pace=PACE)
        )
        while not posting.done():
            most = max(most, memory_mb(world.pid))
            await anyio.sleep(0.2)
        done = time.perf_counter()
        lost = await _missing(world, [one for one in feeds if not one.deaf], [one for one in tails if not one.deaf])
        most = max(most, memory_mb(world.pid))
        group.cancel_scope.cancel()
    late = max(one.last for one in feeds if not one.deaf) - done
    await anyio.sleep(2)
    return most - before, late, memory_mb(world.pid) - before, lost


async def _missing(world: World, feeds: list[Feed], tails: list[Feed]) -> int:
    """How many listeners have not heard of the newest moment, and events that tails lack, once all is quiet."""
    lost = -1
    with anyio.move_on_after(PATIENCE_S):
        while lost:
            await anyio.sleep(1)
            newest = Feed("/ui/live?after=none")
            with anyio.move_on_after(2):
                await newest.run(world.port)
            moment = newest.ids[-1] if newest.ids else ""
            lost = sum(not one.ids or one.ids[-1] != moment for one in feeds)
            lost += sum(max(0, EVENTS - len(set(one.ids))) for one in tails)
    return lost


def feeds(world: World, count: int) -> list[Row]:
    """What `count` listeners to changes and a quarter as many to events cost."""
    anyio.run(_warm, world)
    live = [Feed("/ui/live"), *(Feed("/ui/live") for _ in range(count - 1)), Feed("/ui/live", deaf=True)]
    tails = [*(Feed("/api/v1/events/tail") for _ in range(count // 4)), Feed("/api/v1/events/tail", deaf=True)]
    cost, late, stays, lost = anyio.run(_heard, world, live, tails)
    return [
        Row(
            f"{count} feeds of changes, {count // 4} of events, 2 that read nothing: memory",
            cost,
            "MB",
            goal=100,
            at_least=False,
        ),
        Row(f"the same: updates lost while {EVENTS} events came", lost, "", goal=0, at_least=False),
        Row("the same: from the last event to the last listener", late, "s", at_least=False),
        Row("the same: memory that stays when all have gone", stays, "MB", at_least=False),
        *_refetched(world),
    ]


async def _warm(world: World) -> None:
    """What is made once is no listener's cost."""
    async with anyio.create_task_group() as group:
        for path in ("/ui/live", "/api/v1/events/tail"):
            group.start_soon(Feed(path).run, world.port)
        await anyio.sleep(2)
        group.cancel_scope.cancel()


def _refetched(world: World) -> list[Row]:
    """Views asked for at a steady pace, as browsers do that were told of a change."""
    took: list[float] = []
    before, begin = cpu_s(world.pid), time.perf_counter()
    threads = [threading.Thread(target=_browse, args=(world.port, n, took)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    used = (cpu_s(world.pid) - before) / (time.perf_counter() - begin) * 100
    bare = Row(f"{VIEWS_PER_S} views a second of overview, events, runs, firings: p95", percentile(took, 0.95), "ms")
    return [
        replace(bare, goal=150, at_least=False, median=percentile(took, 0.5)),
        Row("the same: processor", used, "% of a core", at_least=False),
    ]


def _browse(port: int, number: int, took: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    paths = ("/ui/", "/ui/events", "/ui/runs", "/ui/firings")
    begin = time.perf_counter() + number / VIEWS_PER_S
    for n in range(VIEWS_PER_S * VIEWS_S // 4):
        with suppress(ValueError):
            time.sleep(begin + n * 4 / VIEWS_PER_S - time.perf_counter())
        start = time.perf_counter()
        connection.request("GET", paths[(n + number) % len(paths)])
        connection.getresponse().read()
        took.append((time.perf_counter() - start) * 1000)
