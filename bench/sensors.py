"""The sensor host with a real bus and SQLite: events through many sensors, what recording costs, loading, restarting.

    python -m bench.sensors [--events N] [--rounds N] [--json]

The log holds the events before the host begins, so that nothing but the host is measured. One sensor cares for each
event (a data filter; one event of a hundred passes and fires), the others wait for other events.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import structlog
from sqlalchemy import Connection, insert

from bench.report import Row, finish
from bench.world import started
from retrain.app.projects.known import Known, without_collecting
from retrain.app.projects.project import load_project
from retrain.bus import NatsBus, embedded, open_nats
from retrain.clock import SystemClock
from retrain.events import Event
from retrain.store import Store, cursors, decisions, open_store
from retrain.store import sensors as memories
from retrain.store.sensors import SensorRow
from retrain.store.tables import events as events_table
from sensors import Sensor, SensorDocument
from sensors.host.ledger import CURSOR
from sensors.host.loop import SensorHost

DATA = {"body": {"n": 0, "text": "x" * 200}}


def document(number: int) -> dict[str, object]:
    """A Sensor for events of the name `in-<number>`, with one data filter."""
    dependency = {"name": "it", "eventSourceName": "bench", "eventName": f"in-{number}"}
    data = [{"path": "body.n", "type": "number", "comparator": "=", "value": ["0"]}]
    payload = [{"src": {"dependencyName": "it", "dataKey": "body.n"}, "dest": "number"}]
    http = {"url": "http://127.0.0.1:9/in", "method": "POST", "payload": payload}
    return {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": f"sensor-{number}"},
        "spec": {
            "dependencies": [{**dependency, "filters": {"data": data}}],
            "triggers": [{"template": {"name": "act", "http": http}}],
        },
    }


def compiled(count: int) -> list[Sensor]:
    return [Sensor(SensorDocument.model_validate(document(number))) for number in range(count)]


def events(count: int, run: str) -> Iterable[Event]:
    for n in range(count):
        body = {"n": n % 100, "text": DATA["body"]["text"]}
        yield Event(id=f"{run}-{n}", source="bench", type="bench", subject="in-0", data={"body": body})


@asynccontextmanager
async def logged(folder: Path, count: int) -> AsyncIterator[NatsBus]:
    """A bus whose log holds so many events."""
    async with embedded(folder / "bus") as server, open_nats(server.url, server.settings) as bus:
        await bus.publish_many(list(events(count, uuid4().hex)))
        yield bus


def known(connection: Connection, sensors: list[Sensor]) -> None:
    """Let the sensors be there from before the first event."""
    now = SystemClock().now()
    cursors.save(connection, CURSOR, 0)
    memories.save(connection, [SensorRow(one.name, one.digest, 0, now, shape=one.shape()) for one in sensors])


async def rate(bus: NatsBus, folder: Path, sensors: list[Sensor], count: int) -> tuple[float, float]:
    """Events per second from the log to the last commit; microseconds of processor for each."""
    async with open_store(folder / f"{uuid4().hex}.db") as store:
        await store.write(lambda c: known(c, sensors))
        host = SensorHost(bus, store, SystemClock(), sensors)
        gc.collect()
        async with anyio.create_task_group() as group:
            await group.start(host.run)
            begin, used = time.perf_counter(), time.process_time()
            while host.state().position < count:  # noqa: ASYNC110 - the host tells nobody
                await anyio.sleep(0.001)
            assert sum(host.ledger.outcomes.values()) == count or not host.ledger.outcomes
            took_s, used_s = time.perf_counter() - begin, time.process_time() - used
            group.cancel_scope.cancel()
    return count / took_s, used_s / count * 1e6


async def rates(rounds: int, count: int) -> list[Row]:
    """Through 100 sensors; with 10 and with 10,000 others; with and without decisions on record."""
    few, hundred, many = compiled(10), compiled(100), compiled(10_000)
    # As `retrain up` does once its project is loaded: what stays is not looked at again and again.
    gc.collect()
    gc.freeze()
    found: dict[str, list[tuple[float, float]]] = {"100": [], "10": [], "10000": [], "silent": []}
    record = decisions.add
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with logged(folder, count) as bus:
            await rate(bus, folder, hundred, count)  # the first one warms up
            for _ in range(rounds):
                found["100"].append(await rate(bus, folder, hundred, count))
                found["10"].append(await rate(bus, folder, few, count))
                found["10000"].append(await rate(bus, folder, many, count))
                decisions.add = lambda *_: None
                found["silent"].append(await rate(bus, folder, hundred, count))
                decisions.add = record
    best = {key: max(speed for speed, _ in values) for key, values in found.items()}
    # Other programs share the machine: what is compared is processor time.
    used = {key: min(cost for _, cost in values) for key, values in found.items()}
    typical = statistics.median(speed for speed, _ in found["100"])
    return [
        Row("host: 100 sensors, one cares", best["100"], "events/s", goal=15_000, median=typical),
        Row("host: processor, 100 sensors", used["100"], "us/event"),
        Row("host: cost with 10,000 sensors to 10", used["10000"] / used["10"], "x", goal=1.2, at_least=False),
        Row("host: of it recording decisions", used["100"] - used["silent"], "us/event"),
    ]


def loading(count: int) -> list[Row]:
    """From the files of so many sensors to what runs; and again when one of them has changed."""
    import json

    with tempfile.TemporaryDirectory() as name:
        folder, known = Path(name), Known()
        for number in range(count):
            (folder / f"s{number:05}.yaml").write_text(to_yaml(document(number)))
        loaded, took_s = timed(lambda: load_project([folder], known=known))
        assert not loaded.errors, loaded.errors[0]
        _, compile_s = timed(lambda: [Sensor(item.model) for item in loaded.sensors])
        (folder / "s00007.yaml").write_text(json.dumps(document(count)))
        again, again_s = timed(lambda: load_project([folder], known=known))
        kept = {id(item) for item in loaded.sensors}
        changed = [item for item in again.sensors if id(item) not in kept]
        assert len(changed) == 1
    return [
        Row(f"load {count:,} sensor files", took_s + compile_s, "s", goal=5, at_least=False),
        Row("of it compiling", compile_s, "s"),
        Row(f"load again with one of {count:,} files changed", again_s, "s"),
    ]


def to_yaml(value: dict[str, object]) -> str:
    from retrain.manifests import to_yaml as write

    return write(value)


def timed(work: Callable[[], object]) -> tuple[object, float]:
    gc.collect()
    begin = time.perf_counter()
    with without_collecting():
        made = work()
    return made, time.perf_counter() - begin


async def old_log(data: Path, count: int) -> None:
    """What a platform leaves that has read so many events."""
    async with embedded(data / "bus") as server, open_nats(server.url, server.settings) as bus:
        run = uuid4().hex
        for start in range(0, count, 20_000):
            await bus.publish_many([Event(id=f"{run}-{n}", source="s", type="t") for n in range(start, start + 20_000)])
        last = (await bus.bounds()).last
    async with open_store(data / "store.db") as store:
        await store.write(lambda c: cursors.save(c, CURSOR, last))
        await fill(store, count)


async def aged(data: Path) -> None:
    """Let the log be older than the time in which its server looks for duplicates (ten minutes, all published again in
    its memory when it starts): that a million events came just before the restart is not what is measured."""
    async with embedded(data / "bus") as server:
        short = server.settings.model_copy(update={"duplicate_window_s": 0.1})
        async with open_nats(server.url, short) as bus:
            await bus.bounds()


async def fill(store: Store, count: int) -> None:
    now = SystemClock().now()
    for start in range(0, count, 20_000):
        rows = [
            {"key": f"{n:032x}", "id": str(n), "source": "s", "type": "t", "position": n, "received": now, "body": "{}"}
            for n in range(start, start + 20_000)
        ]
        await store.write(lambda c, some=rows: c.execute(insert(events_table), some))


def restart(count: int) -> list[Row]:
    """A platform with an old log: until it is ready."""
    with tempfile.TemporaryDirectory() as name:
        project, data = Path(name) / "project", Path(name) / "data"
        project.mkdir()
        data.mkdir()
        (project / "s.yaml").write_text(to_yaml(document(0)))
        (empty := Path(name) / "empty").mkdir()
        anyio.run(old_log, data, count)
        took = {data: list[float](), empty: list[float]()}
        for _ in range(4):
            anyio.run(aged, data)
            for place, values in took.items():
                with started(project, place, Path(name) / "log") as world:
                    values.append(world.ready_s)
        # Of the empty one all but the first start: that one makes the stream and the tables.
        typical = statistics.median(took[data])
        what = f"restart with {count:,} events in the log"
        peer = min(took[empty][1:])
    return [Row(what, min(took[data]), "s", peer, "an empty log", goal=2, at_least=False, median=typical)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sensors", type=int, default=10_000)
    parser.add_argument("--old", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["rates", "loading", "restart"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    rows: list[Row] = []
    if given.only in (None, "rates"):
        rows += anyio.run(rates, given.rounds, given.events)
    if given.only in (None, "loading"):
        rows += loading(given.sensors)
    if given.only in (None, "restart"):
        rows += restart(given.old)
    finish("sensors", rows)


if __name__ == "__main__":
    sys.exit(main())
