"""Joins with many open keys, through the host with a real bus and SQLite: memory, and the cost of one event.

    python -m bench.joins [--keys N] [--events N] [--json]

A pair is joined by key: first one half of every key comes, then more events for keys that are open already. Memory is
what the process holds more (RSS) with all keys open than before the first.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import anyio
import structlog

from bench.report import Row, finish
from bench.world import memory_mb
from retrain.bus import NatsBus, embedded, open_nats
from retrain.clock import SystemClock
from retrain.events import Event
from retrain.store import cursors, open_store
from sensors import Sensor, SensorDocument
from sensors.host.ledger import CURSOR
from sensors.host.loop import SensorHost

FEW = 100
PORTION = 5000


def pair() -> Sensor:
    """Two halves that meet by `k`."""
    halves = [{"name": name, "eventSourceName": "bench", "eventName": name, "key": "k"} for name in ("a", "b")]
    trigger = {"template": {"name": "train", "log": {}}}
    document = {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": "pair"},
        "spec": {"dependencies": halves, "triggers": [trigger]},
    }
    return Sensor(SensorDocument.model_validate(document))


def halves(keys: Iterable[int]) -> list[Event]:
    run = uuid4().hex
    return [
        Event(id=f"{run}-{n}", source="bench", type="bench", subject="a", data={"k": f"2026-11-21/part-{key:08}"})
        for n, key in enumerate(keys)
    ]


class Bench:
    """A host over an own log and store."""

    def __init__(self, bus: NatsBus, host: SensorHost) -> None:
        self._bus = bus
        self._host = host

    async def take(self, events: list[Event]) -> float:
        """Microseconds of processor for each event, from the log to the commit; publishing left out."""
        async with self._host._turn:  # it waits until all are there
            await self._bus.publish_many(events)
        last = (await self._bus.bounds()).last
        begun = self._host.state().position
        used = time.process_time()
        while self._host.state().position < last:  # noqa: ASYNC110 - the host tells nobody
            await anyio.sleep(0.002)
        return (time.process_time() - used) / max(1, last - begun) * 1e6


async def cost(keys: int, events: int, before: int) -> tuple[float, float, float]:
    """(us for an event that opens a key, us for one of an open key, MB that the open keys take). `before`: events that
    come before the second are measured, the same number however many keys they open: the log's length costs too."""
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            embedded(folder / "bus") as server,
            open_nats(server.url, server.settings) as bus,
            open_store(folder / "s.db") as store,
            anyio.create_task_group() as group,
        ):
            await store.write(lambda c: cursors.save(c, CURSOR, 0))
            host = SensorHost(bus, store, SystemClock(), [pair()])
            await group.start(host.run)
            bench = Bench(bus, host)
            await bench.take(halves(range(-FEW, 0)))
            gc.collect()
            empty_mb = memory_mb(os.getpid())
            starts = range(0, before, PORTION)
            opening = [await bench.take(halves(n % keys for n in range(s, s + PORTION))) for s in starts]
            gc.collect()
            more = memory_mb(os.getpid()) - empty_mb
            assert host.counts()["pair"]["join"] == keys + FEW
            again = await bench.take(halves(chance.randrange(keys) for _ in range(events)))
            group.cancel_scope.cancel()
    return min(opening), again, more


async def measure(keys: int, events: int) -> list[Row]:
    _, few_again, _ = await cost(FEW, events, keys)
    many_open, many_again, more_mb = await cost(keys, events, keys)
    return [
        Row(f"{keys:,} open keys: memory", more_mb, "MB", goal=200, at_least=False),
        Row(f"{keys:,} open keys: opening one", many_open, "us/event"),
        Row(f"an event of an open key, {FEW} open", few_again, "us/event"),
        Row(f"an event of an open key, {keys:,} open", many_again, "us/event", peer=few_again, peer_name=f"{FEW} open"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    finish("joins", anyio.run(measure, given.keys, given.events))


if __name__ == "__main__":
    sys.exit(main())
