"""How fast an event becomes an action, through the real `retrain up`: embedded NATS, SQLite, HTTP on both sides.

    python -m bench.chain [--rounds N] [--events N] [--json]

The load, the receiver and the platform are processes of their own on one machine. A latency runs from the moment a
webhook's request is sent to the moment the receiver has the trigger's, or the step's process runs. Every row is the
best of the rounds; `--json` has their median too. Peers in the same run: aiohttp posting straight to the receiver, and
the load's own requests to it, without a platform between.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import aiohttp
import anyio
import uvloop

from bench.load import Load, Posted, body, post
from bench.receiver import Receiver, receiver
from bench.report import Row, finish, percentile
from bench.world import World, platform

FIRST_S = 60.0
PACE = 100
STEP_PACE = 5
RUNS = 1000


def documents(port: int) -> list[dict[str, object]]:
    """A project with one endpoint for each measurement."""
    endpoints = {
        name: {"endpoint": f"/{name}", "method": "POST"} for name in ("quiet", "refused", "http", "run", "step")
    }
    filters = {"data": [{"path": "body.n", "type": "number", "comparator": "<", "value": ["0"]}]}
    return [
        _document("EventSource", "bench", {"webhook": endpoints}),
        _sensor("refused", {"filters": filters}, _http(port)),
        _sensor("http", {}, _http(port)),
        _sensor("run", {}, _workflow({"command": ["/bin/true"]})),
        _sensor("step", {}, _workflow({"command": ["bash", "-c", "echo {{workflow.parameters.n}} $EPOCHREALTIME"]})),
    ]


def _document(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": "retrain.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _sensor(event: str, dependency: dict[str, object], template: dict[str, object]) -> dict[str, object]:
    one = {"name": "it", "eventSourceName": "bench", "eventName": event, **dependency}
    return _document("Sensor", event, {"dependencies": [one], "triggers": [{"template": {"name": "act", **template}}]})


def _http(port: int) -> dict[str, object]:
    payload = [{"src": {"dependencyName": "it", "dataKey": "body.n"}, "dest": "n"}]
    return {"http": {"url": f"http://127.0.0.1:{port}/in", "method": "POST", "payload": payload}}


def _workflow(container: dict[str, object]) -> dict[str, object]:
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "bench-"},
        "spec": {
            "entrypoint": "main",
            "arguments": {"parameters": [{"name": "n", "value": ""}]},
            "templates": [{"name": "main", "container": {"image": "any", **container}}],
        },
    }
    parameter = {"src": {"dependencyName": "it", "dataKey": "body.n"}, "dest": "spec.arguments.parameters.0.value"}
    return {"argoWorkflow": {"operation": "submit", "source": {"resource": workflow}, "parameters": [parameter]}}


# --- the measurements -----------------------------------------------------------------------------------------------


def accepted(world: World, path: str, count: int) -> float:
    """Webhooks a second that are answered, 64 connections."""
    return post(Load(world.port, path, count)).rate


def latency(port: int, path: str, there: Receiver, count: int) -> list[float]:
    """Milliseconds from request to trigger at `PACE` a second."""
    posted = post(Load(port, path, count, connections=8, pace=PACE))
    return _matched(posted, there.wait(count, FIRST_S))


def _matched(posted: Posted, arrivals: list[tuple[int, int]]) -> list[float]:
    _check(len(posted.sent), arrivals)
    return [(at - posted.sent[number]) / 1e6 for number, at in arrivals]


def _check(count: int, arrivals: list[tuple[int, int]]) -> None:
    numbers = [number for number, _ in arrivals]
    lost, doubled = count - len(set(numbers)), len(numbers) - len(set(numbers))
    if lost or doubled:
        raise RuntimeError(f"of {count} events {lost} were lost and {doubled} acted twice")


def burst(world: World, there: Receiver, count: int) -> tuple[float, float]:
    """(triggers a second from the first request to the last trigger, webhooks a second meanwhile)."""
    posted = post(Load(world.port, "/http", count))
    arrivals = there.wait(count, FIRST_S)
    _check(count, arrivals)
    return count / ((max(at for _, at in arrivals) - min(posted.sent)) / 1e9), posted.rate


def run_records(world: World, count: int) -> float:
    """Seconds from the first request until the store shows a run for each event."""
    before = _count(world, "select count(*) from runs")
    begin = time.time_ns()
    seen: list[float] = []
    with anyio.from_thread.start_blocking_portal() as portal:
        load = portal.start_task_soon(anyio.to_thread.run_sync, post, Load(world.port, "/run", count))
        while _count(world, "select count(*) from runs") < before + count:
            if time.time_ns() - begin > FIRST_S * 1e9:
                raise RuntimeError("the runs were not there in time")
            time.sleep(0.01)
        seen.append(time.time_ns())
        posted = load.result()
    return (seen[0] - min(posted.sent)) / 1e9


def settled(world: World) -> None:
    """Wait until no run is open."""
    deadline = time.monotonic() + 2 * FIRST_S
    while _count(world, "select count(*) from runs where phase in ('Pending', 'Running')"):
        if time.monotonic() > deadline:
            raise RuntimeError("the runs did not end")
        time.sleep(0.1)


def steps(world: World, count: int) -> list[float]:
    """Milliseconds from request to the step's own first word."""
    known = set(_logs(world))
    posted = post(Load(world.port, "/step", count, connections=1, pace=STEP_PACE))
    deadline = time.monotonic() + FIRST_S
    while len(found := [one for one in _logs(world) if one not in known and one.read_text().endswith("\n")]) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(found)} of {count} steps ran")
        time.sleep(0.05)
    lines = [one.read_text().split()[-2:] for one in found]  # before them: when, which stream, whole or part
    return [float(at) * 1e3 - posted.sent[int(number)] / 1e6 for number, at in lines]


def _logs(world: World) -> list[Path]:
    return list((world.data / "runs").rglob("main.log"))


def _count(world: World, query: str) -> int:
    connection = sqlite3.connect(f"file:{world.data / 'store.db'}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchone()[0]
    finally:
        connection.close()


# --- the peers ------------------------------------------------------------------------------------------------------


async def plain_posts(port: int, count: int) -> float:
    """aiohttp's requests a second to the receiver, 64 in flight."""
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def lane() -> None:
            for number in numbers:
                async with session.post(f"http://127.0.0.1:{port}/in", data=body(number)) as answer:
                    await answer.read()

        begin = time.perf_counter()
        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(lane)
        return count / (time.perf_counter() - begin)


# --- the run --------------------------------------------------------------------------------------------------------


def _best(row: Row, figures: Iterable[float]) -> Row:
    """The row with the best figure; the median is said beside it."""
    ordered = sorted(figures, reverse=row.at_least)
    median = statistics.median(ordered)
    return replace(row, ours=ordered[0], median=median)


def measure(rounds: int, events: int) -> list[Row]:
    with receiver() as there, platform(documents(there.port)) as world:
        for path in ("/http", "/quiet"):
            post(Load(world.port, path, 500))
        there.wait(500, FIRST_S)
        steps(world, 5)

        def again(what: Callable[[], float]) -> list[float]:
            return [what() for _ in range(rounds)]

        bare = latency(there.port, "/in", there, 5 * PACE)
        passed = [latency(world.port, "/http", there, 10 * PACE) for _ in range(rounds)]
        begun = [steps(world, 40) for _ in range(rounds)]
        bursts = [burst(world, there, events) for _ in range(rounds)]
        peer = max(uvloop.run(plain_posts(there.port, events)) for _ in range(rounds))
        there.wait(events * rounds, FIRST_S)
        quiet = again(lambda: accepted(world, "/quiet", events))
        refused = again(lambda: accepted(world, "/refused", events))
        records = [_settled_records(world) for _ in range(rounds)]
    mine = "the load straight to the receiver"
    low = {"at_least": False}
    return [
        _best(
            Row("event -> HTTP trigger received, 100/s, p50", 0, "ms", percentile(bare, 0.5), mine, 4, **low),
            [percentile(one, 0.5) for one in passed],
        ),
        _best(
            Row("event -> HTTP trigger received, 100/s, p99", 0, "ms", percentile(bare, 0.99), mine, 25, **low),
            [percentile(one, 0.99) for one in passed],
        ),
        _best(
            Row("event -> step process started, p50", 0, "ms", goal=15, at_least=False),
            [percentile(one, 0.5) for one in begun],
        ),
        _best(
            Row("event -> step process started, p99", 0, "ms", at_least=False),
            [percentile(one, 0.99) for one in begun],
        ),
        _best(
            Row(f"burst of {events:,} -> HTTP triggers, 0 lost, 0 doubled", 0, "triggers/s", peer, "aiohttp", 1000),
            [one[0] for one in bursts],
        ),
        _best(Row(f"burst of {RUNS:,} -> all run records", 0, "s", goal=2, at_least=False), records),
        _best(Row("webhooks accepted, no sensor cares, 64 connections", 0, "events/s", goal=3000), quiet),
        _best(Row("webhooks accepted, a sensor's filter says no", 0, "events/s"), refused),
        _best(Row("webhooks accepted while each fires an HTTP trigger", 0, "events/s"), [one[1] for one in bursts]),
    ]


def _settled_records(world: World) -> float:
    seconds = run_records(world, RUNS)
    settled(world)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    finish("chain", measure(chosen.rounds, chosen.events))


if __name__ == "__main__":
    sys.exit(main())
