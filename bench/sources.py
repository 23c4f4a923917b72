"""How many events a second the sources take in, durable on the bus, and what sources cost that have nothing to do.

    python -m bench.sources [--events N] [--idle N] [--json] [webhook] [kafka] [jetstream] [idle]

Kafka and JetStream (real servers) hold N messages of 500 bytes; timed is from the source's first event to its last, all
of them on the bus (NATS, embedded) and then acknowledged. The peer is a bare loop of the same client library on the
same messages in the same run: fetch, acknowledge, nothing else. Webhooks come from another process over 1, 8 and 64
connections; once more with `bus.sync: always`. Idle: one process with N entries of a kind, over one with a single
entry: memory for all of them, and processor time while ten seconds pass. Best of three rounds; idle once.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import nats
import structlog
import uvloop

from bench.load import Load, post
from bench.report import Row, finish
from eventsources import EventSourceDocument, SourceHost, SourceSettings, Tools
from retrain.bus import BusSettings, embedded, open_nats
from retrain.serving import Server, bind
from retrain.store import open_store

PARTS = ("webhook", "kafka", "jetstream", "idle")
ROUNDS = 3
SIZE = 500
PACE = 1000
IDLE_S = 10.0
READY_S = 60.0
BODY = json.dumps({"text": "x" * (SIZE - 12)}).encode()
MB = 1024 * 1024


class Keys:
    """The servers' own logins: the benchmark has no others."""

    def secret(self, name: str, key: str) -> str:
        return {("nats", "user"): "ann", ("nats", "password"): "hunter22"}[name, key]


def document(kind: str, entries: dict[str, dict[str, Any]]) -> EventSourceDocument:
    spec = {kind: entries}
    head = {"apiVersion": "retrain.dev/v1", "kind": "EventSource", "metadata": {"name": "bench"}}
    return EventSourceDocument.model_validate({**head, "spec": spec})


@asynccontextmanager
async def hosting(folder: Path, wanted: EventSourceDocument, settings: BusSettings) -> AsyncGenerator[SourceHost]:
    """A host with a bus and a store of its own."""
    async with (
        embedded(folder / "nats", settings) as server,
        open_nats(server.url, server.settings) as bus,
        open_store(folder / "retrain.db") as store,
        anyio.create_task_group() as tasks,
    ):
        host = SourceHost([wanted], Tools(bus, store, Keys()), settings=SourceSettings(project=folder))
        await tasks.start(lambda *, task_status: host.run(task_status=task_status))
        yield host
        tasks.cancel_scope.cancel()


async def drained(wanted: EventSourceDocument, count: int) -> float:
    """Events a second while a source takes in the `count` messages that wait for it."""
    with tempfile.TemporaryDirectory() as folder:
        async with hosting(Path(folder), wanted, BusSettings()) as host:
            await _received(host, 1)
            first, begin = host.states()[0].received, time.perf_counter()
            await _received(host, count)
            return (count - first) / (time.perf_counter() - begin)


async def _received(host: SourceHost, count: int) -> None:
    with anyio.fail_after(READY_S):
        while host.states()[0].received < count:  # noqa: ASYNC110 - a count has no event
            await anyio.sleep(0.002)


def compared(what: str, ours: Sequence[float], peers: Sequence[float], peer: str) -> Row:
    median = statistics.median(ours)
    return Row(what, max(ours), "events/s", max(peers), peer, goal=10_000, median=median)


# --- webhook -------------------------------------------------------------------------------------------------------


async def webhook(events: int) -> list[Row]:
    return [*await _hooks(events, BusSettings()), *await _hooks(events, BusSettings(sync="always"))]


async def _hooks(events: int, settings: BusSettings) -> list[Row]:
    always = settings.sync == "always"
    wanted = document("webhook", {"in": {"endpoint": "/in", "method": "POST"}})
    with tempfile.TemporaryDirectory() as folder:
        async with hosting(Path(folder), wanted, settings) as host, anyio.create_task_group() as tasks:
            listener = bind("127.0.0.1", 0)
            web = Server(host.webhooks, listener)
            await tasks.start(lambda *, task_status: web.run(task_status=task_status))
            port = listener.getsockname()[1]
            await _post(Load(port, "/in", 500))  # warm
            rows = [await _flat_out(port, connections, events, always=always) for connections in (1, 8, 64)]
            if not always:
                paced = [await _post(Load(port, "/in", 3 * PACE, pace=PACE)) for _ in range(ROUNDS)]
                p99 = [one.p99 for one in paced]
                rows.append(
                    Row(
                        "webhook p99 at 1,000/s", min(p99), "ms", goal=20, at_least=False, median=statistics.median(p99)
                    )
                )
            tasks.cancel_scope.cancel()
    return rows


async def _flat_out(port: int, connections: int, events: int, *, always: bool) -> Row:
    count = events if connections > 1 else events // 4
    rates = [(await _post(Load(port, "/in", count, connections))).rate for _ in range(ROUNDS)]
    what = f"webhooks, {connections} connection{'s' * (connections > 1)}{', bus.sync: always' * always}"
    goal = (3000 if always else 5000) if connections == 64 else None
    return Row(what, max(rates), "events/s", goal=goal, median=statistics.median(rates))


async def _post(load: Load) -> Any:
    return await anyio.to_thread.run_sync(post, load)


# --- kafka ---------------------------------------------------------------------------------------------------------


async def kafka(events: int) -> list[Row]:
    from tests.servers import kafka_server

    with tempfile.TemporaryDirectory() as folder, kafka_server.started(Path(folder) / "kafka") as server:
        await anyio.to_thread.run_sync(server.make_topic, "bench")
        await anyio.to_thread.run_sync(lambda: server.send("bench", *[BODY] * events))
        ours, peers = [], []
        for number in range(ROUNDS):
            group = {"groupName": f"ours-{number}", "oldest": True}
            entry = {"url": server.address, "topic": "bench", "consumerGroup": group}
            ours.append(await drained(document("kafka", {"in": entry}), events))
            peers.append(await anyio.to_thread.run_sync(_bare_kafka, server.address, f"bare-{number}", events))
    return [compared("kafka", ours, peers, "kafka-python poll, commit")]


def _bare_kafka(address: str, group: str, events: int) -> float:
    from tests.servers.kafka_server import KafkaConsumer

    consumer = KafkaConsumer(
        "bench",
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=2000,
    )
    first = seen = 0
    begin = time.perf_counter()
    while seen < events:
        batch = consumer.poll(1000)
        seen += sum(map(len, batch.values()))
        if batch:
            consumer.commit()
        if seen and not first:  # as for ours: joining the group is not counted
            first, begin = seen, time.perf_counter()
    rate = (seen - first) / (time.perf_counter() - begin)
    consumer.close()
    return rate


# --- jetstream -----------------------------------------------------------------------------------------------------

NATS_CONF = "authorization { user: ann, password: hunter22 }\n"


async def jetstream(events: int) -> list[Row]:
    from tests.servers import brokers

    with tempfile.TemporaryDirectory() as folder, brokers.nats_server(Path(folder) / "data", NATS_CONF) as server:
        await _fill(server.url, events)
        ours, peers = [], []
        for number in range(ROUNDS):
            wanted = document("jetstream", {"in": _stream_entry(server.url, f"ours-{number}")})
            ours.append(await drained(wanted, events))
            peers.append(await _bare_stream(server.url, f"bare-{number}", events))
    return [compared("jetstream", ours, peers, "nats-py fetch, ack")]


def _stream_entry(url: str, consumer: str) -> dict[str, Any]:
    login = {"username": {"name": "nats", "key": "user"}, "password": {"name": "nats", "key": "password"}}
    return {"url": url, "stream": "bench", "consumer": consumer, "auth": {"basic": login}}


async def _fill(url: str, events: int) -> None:
    client = await nats.connect(url, user="ann", password="hunter22")
    stream = client.jetstream(publish_async_max_pending=500)
    await stream.add_stream(name="bench", subjects=["bench.>"])
    for sent in [await stream.publish_async("bench.in", BODY) for _ in range(events)]:
        await sent
    await client.close()


async def _bare_stream(url: str, durable: str, events: int) -> float:
    client = await nats.connect(url, user="ann", password="hunter22")
    pull = await client.jetstream().pull_subscribe("bench.>", durable=durable, stream="bench")
    seen, begin = 0, time.perf_counter()
    while seen < events:
        messages = await pull.fetch(500, timeout=5)
        for message in messages:
            await message.ack()
        seen += len(messages)
    await client.flush()
    rate = seen / (time.perf_counter() - begin)
    await client.close()
    return rate


# --- idle ----------------------------------------------------------------------------------------------------------


async def idle(count: int) -> list[Row]:
    from tests.servers import brokers

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, brokers.nats_server(Path(folder) / "data", NATS_CONF) as server:
        await _fill(server.url, 0)
        for kind in ("webhook", "file", "jetstream"):
            one, many = [await _resting(kind, server.url, number) for number in (1, count)]
            rows += [
                Row(f"{count} idle {kind} sources: memory", (many[0] - one[0]) / MB, "MB", goal=60, at_least=False),
                Row(f"{count} idle {kind} sources: processor", many[1] - one[1], "% of a core", goal=1, at_least=False),
            ]
    return rows


async def _resting(kind: str, url: str, count: int) -> tuple[int, float]:
    """Memory in bytes, and per cent of a core, of a process with `count` entries."""
    command = [sys.executable, "-m", "bench.sources", "--rest", kind, url, str(count)]
    done = await anyio.run_process(command, stderr=None)
    memory, processor = json.loads(done.stdout)
    return memory, processor


async def rest(kind: str, url: str, count: int) -> tuple[int, float]:
    """What `_resting` runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = document(kind, {f"in{number}": _idle_entry(kind, url, number, folder) for number in range(count)})
        async with hosting(Path(folder), wanted, BusSettings()) as host:
            with anyio.fail_after(READY_S):
                while not all(one.state == "listening" for one in host.states()):  # noqa: ASYNC110 - no event
                    await anyio.sleep(0.05)
            begin, used = time.perf_counter(), time.process_time()
            await anyio.sleep(IDLE_S)
            processor = (time.process_time() - used) / (time.perf_counter() - begin) * 100
            return _memory(), processor


def _idle_entry(kind: str, url: str, number: int, folder: str) -> dict[str, Any]:
    if kind == "webhook":
        return {"endpoint": f"/in{number}", "method": "POST"}
    if kind == "jetstream":
        return _stream_entry(url, f"idle-{number}")
    drop = Path(folder) / f"drop{number}"
    drop.mkdir()
    return {"watchPathConfig": {"directory": str(drop), "pathRegexp": ".*"}, "eventType": "CREATE"}


def _memory() -> int:
    """Bytes of this process in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


# --- the run -------------------------------------------------------------------------------------------------------


async def measure(parts: Sequence[str], events: int, idle_count: int) -> list[Row]:
    rows: list[Row] = []
    for part, made in (("webhook", webhook), ("kafka", kafka), ("jetstream", jetstream)):
        if part in parts:
            rows += await made(events)
    return rows + (await idle(idle_count) if "idle" in parts else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], metavar="PART")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--idle", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rest", nargs=3, metavar=("KIND", "URL", "COUNT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    # As the platform logs: without that, the access log's line for each request would be what is measured.
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=quiet)
    run: Callable[[Awaitable[object]], object] = uvloop.run  # type: ignore[assignment]
    if chosen.rest:
        kind, url, count = chosen.rest
        print(json.dumps(run(rest(kind, url, int(count)))))
        return
    finish("sources", run(measure(chosen.parts or PARTS, chosen.events, chosen.idle)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
