"""How fast the bus is beside plain nats-py, in the same run on the same embedded server.

    python bench/bus.py [--events N] [--json]

Events carry 500 bytes of data. "ours" builds, checks and writes CloudEvents and dedupes by key; "peer" publishes ready
bytes with a message id. Rates are per second, latencies in milliseconds; the ratio is ours / peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import anyio
import nats
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from retrain.bus import EmbeddedServer, NatsBus, embedded, open_nats
from retrain.events import Event

DATA = {"text": "x" * 488}
SUBJECT = "retrain.events.bench.="
ROUNDS = 3
"""Each row is the best of so many, ours and the peer's in turn: other programs share the machine."""


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    ours: float
    peer: float | None
    ratio: float | None
    unit: str


def fresh(count: int) -> list[Event]:
    run = uuid4().hex
    return [Event(id=f"{run}-{number}", source="bench", type="bench.event", data=DATA) for number in range(count)]


async def in_flight(lanes: int, count: int, publish: Callable[[int], Awaitable[object]]) -> float:
    """Publishes per second with `lanes` tasks."""

    async def lane(first: int) -> None:
        for number in range(first, count, lanes):
            await publish(number)

    begin = time.perf_counter()
    async with anyio.create_task_group() as group:
        for first in range(lanes):
            group.start_soon(lane, first)
    return count / (time.perf_counter() - begin)


async def ours(bus: NatsBus, lanes: int, count: int) -> float:
    events = fresh(count)
    return await in_flight(lanes, count, lambda number: bus.publish(events[number]))


async def peers(stream: JetStreamContext, lanes: int, count: int) -> float:
    bodies = [(event.key, event.to_json()) for event in fresh(count)]

    def publish(number: int) -> Awaitable[object]:
        key, body = bodies[number]
        return stream.publish(SUBJECT, body, headers={"Nats-Msg-Id": key})

    return await in_flight(lanes, count, publish)


async def many(bus: NatsBus, count: int) -> float:
    events = fresh(count)
    begin = time.perf_counter()
    await bus.publish_many(events)
    return count / (time.perf_counter() - begin)


async def peers_async(stream: JetStreamContext, count: int) -> float:
    bodies = [(event.key, event.to_json()) for event in fresh(count)]
    begin = time.perf_counter()
    for key, body in bodies:
        await stream.publish_async(SUBJECT, body, headers={"Nats-Msg-Id": key})
    await stream.publish_async_completed()
    return count / (time.perf_counter() - begin)


async def read_all(bus: NatsBus) -> float:
    begin, count, after = time.perf_counter(), 0, 0
    while page := await bus.read(after):
        count, after = count + len(page), page[-1].position
    return count / (time.perf_counter() - begin)


async def tail_all(bus: NatsBus) -> float:
    last = (await bus.bounds()).last
    begin, count = time.perf_counter(), 0
    async with bus.tail(0) as batches:
        async for batch in batches:
            count += len(batch)
            if batch[-1].position >= last:
                break
    return count / (time.perf_counter() - begin)


async def fetch_all(stream: JetStreamContext) -> float:
    """The peer's batches, without looking into them."""
    info = await stream.stream_info("RETRAIN")
    unacknowledged = ConsumerConfig(ack_policy=AckPolicy.NONE)
    subscription = await stream.pull_subscribe("", stream="RETRAIN", config=unacknowledged)
    begin, count = time.perf_counter(), 0
    while count < info.state.messages:
        batch = await subscription.fetch(min(500, info.state.messages - count), timeout=5)
        count += len(batch)
    return count / (time.perf_counter() - begin)


async def latency(count: int, publish: Callable[[int], Awaitable[object]], seen: AsyncIterator[object]) -> list[float]:
    """Milliseconds from the call of publish to the event in a reader that waits, sorted."""
    times: list[float] = []
    for number in range(count):
        reader = asyncio.ensure_future(anext(seen))
        await asyncio.sleep(0)
        begin = time.perf_counter()
        sender = asyncio.ensure_future(publish(number))
        await reader
        times.append((time.perf_counter() - begin) * 1000)
        await sender
    return sorted(times)


async def latencies(bus: NatsBus, client: Client, stream: JetStreamContext, count: int) -> list[Row]:
    events = fresh(count)
    async with bus.tail((await bus.bounds()).last) as batches:
        mine = await latency(count, lambda number: bus.publish(events[number]), batches)
    subscription = await client.subscribe("retrain.events.>")  # no stream between: the least there can be

    async def messages() -> AsyncIterator[object]:
        while True:
            yield await subscription.next_msg(timeout=5)

    bodies = [event.to_json() for event in fresh(count)]
    async with aclosing(messages()) as heard:  # type: ignore[type-var]
        core = await latency(count, lambda number: stream.publish(SUBJECT, bodies[number]), heard)
    await subscription.unsubscribe()
    return [
        row(f"publish to tail {name} (peer: no stream)", mine[at], core[at], "ms")
        for name, at in (("p50", count // 2), ("p99", count * 99 // 100))
    ]


def row(what: str, ours: float, peer: float | None, unit: str) -> Row:
    digits = 3 if unit == "ms" else None
    ratio = round(ours / peer, 2) if peer else None
    return Row(what, round(ours, digits), round(peer, digits) if peer else None, ratio, unit)


async def best(*measures: Callable[[], Awaitable[float]]) -> list[float]:
    rounds = [[await measure() for measure in measures] for _ in range(ROUNDS)]
    return [max(column) for column in zip(*rounds, strict=True)]


async def measure(server: EmbeddedServer, bus: NatsBus, events: int) -> list[Row]:
    client = await nats.connect(server.url, token=server.token.get_secret_value())
    stream = client.jetstream(publish_async_max_pending=4000)
    rows: list[Row] = []
    for lanes in (1, 64, 512):
        count = events if lanes > 1 else events // 5
        mine, peer = await best(
            lambda lanes=lanes, count=count: ours(bus, lanes, count),
            lambda lanes=lanes, count=count: peers(stream, lanes, count),
        )
        rows.append(row(f"publish, {lanes} in flight (peer: js.publish)", mine, peer, "events/s"))
    mine, peer = await best(lambda: many(bus, events), lambda: peers_async(stream, events))
    rows.append(row("publish_many (peer: publish_async)", mine, peer, "events/s"))
    rows += await latencies(bus, client, stream, 1000)
    mine, tailed, peer = await best(lambda: read_all(bus), lambda: tail_all(bus), lambda: fetch_all(stream))
    rows.append(row("read, decoded (peer: fetch, not decoded)", mine, peer, "events/s"))
    rows.append(row("tail catching up, decoded (peer: fetch, not decoded)", tailed, peer, "events/s"))
    await client.close()
    return rows


async def main(events: int, as_json: bool) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as directory:
        async with embedded(Path(directory)) as server, open_nats(server.url, server.settings) as bus:
            rows = await measure(server, bus, events)
    if as_json:
        print(json.dumps({"name": "bus", "rows": [asdict(one) for one in rows]}))
        return
    print(f"{'':56} {'ours':>10} {'peer':>10} {'ratio':>6}")
    for one in rows:
        print(f"{one.what:56} {one.ours:10,} {one.peer or 0:10,} {one.ratio or 0:6} {one.unit}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.events, chosen.json))
