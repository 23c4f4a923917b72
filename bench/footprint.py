"""How soon a platform is ready and what it takes while nothing happens.

    python -m bench.footprint [--rounds N] [--json]

Memory is RSS of all processes (the platform and the embedded NATS server), a few seconds after the start; processor is
what all of them used in some idle seconds. A further source or sensor costs the difference to a platform with 100 more
of it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import replace

from bench.report import Row, finish
from bench.world import COMMAND, World, cpu_s, family, memory_mb, platform, program

SETTLE_S = 4.0
MORE = 100


def endpoint(number: int) -> dict[str, object]:
    """An EventSource with one webhook."""
    hook = {"endpoint": f"/hook-{number}", "method": "POST"}
    return {
        "apiVersion": "retrain.dev/v1",
        "kind": "EventSource",
        "metadata": {"name": f"source-{number}"},
        "spec": {"webhook": {"in": hook}},
    }


def sensor(number: int) -> dict[str, object]:
    """A Sensor on the first source, with a filter and a parameter."""
    dependency = {"name": "it", "eventSourceName": "source-0", "eventName": "in"}
    filters = {"data": [{"path": "body.n", "type": "number", "comparator": "=", "value": [str(number)]}]}
    payload = [{"src": {"dependencyName": "it", "dataKey": "body.n"}, "dest": "n"}]
    http = {"url": "http://127.0.0.1:9/in", "method": "POST", "payload": payload}
    return {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": f"sensor-{number}"},
        "spec": {
            "dependencies": [{**dependency, "filters": filters}],
            "triggers": [{"template": {"name": "act", "http": http}}],
        },
    }


def settled(sources: int, sensors: int) -> tuple[float, dict[str, float], float]:
    """(seconds to ready, MB by program, percent of a core) of an idle platform."""
    documents = [*map(endpoint, range(sources)), *map(sensor, range(sensors))]
    with platform(documents) as world:
        time.sleep(SETTLE_S)
        return world.ready_s, _memory(world), _idle(world)


def _memory(world: World) -> dict[str, float]:
    found: dict[str, float] = {}
    for pid in family(world.pid):
        name = "nats-server" if "nats" in program(pid) else "retrain"
        found[name] = found.get(name, 0) + memory_mb(pid)
    return found


def _idle(world: World) -> float:
    pids = family(world.pid)
    before = sum(map(cpu_s, pids))
    time.sleep(SETTLE_S)
    return (sum(map(cpu_s, pids)) - before) / SETTLE_S * 100


def seconds(words: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def measure(rounds: int) -> list[Row]:
    bare = min(seconds([sys.executable, "-c", "pass"]) for _ in range(rounds)) * 1000
    helps = [seconds([*COMMAND, "--help"]) * 1000 for _ in range(2 * rounds + 1)]
    few = [settled(1, 1) for _ in range(rounds)]
    sources, sensors = settled(1 + MORE, 1), settled(1, 1 + MORE)
    ready = sorted(one[0] for one in few)
    base = statistics.median(sum(one[1].values()) for one in few)
    server = statistics.median(one[1]["nats-server"] for one in few)

    typical = statistics.median(helps)

    def each(many: tuple[float, dict[str, float], float]) -> float:
        return max(0.0, sum(many[1].values()) - base) / MORE

    def bound(what: str, ours: float, unit: str, goal: float | None = None) -> Row:
        return Row(what, ours, unit, goal=goal, at_least=False)

    return [
        replace(bound("retrain --help", min(helps), "ms", 150), peer=bare, peer_name="python -c pass", median=typical),
        Row("cold start to /readyz 200", ready[0], "s", goal=2, at_least=False, median=statistics.median(ready)),
        bound(f"start with {MORE} more sources", sources[0], "s"),
        bound(f"start with {MORE} more sensors", sensors[0], "s"),
        bound("idle memory, all processes (RSS)", base, "MB", 180),
        bound("of it the embedded nats-server", server, "MB"),
        bound("each further source", each(sources), "MB", 1),
        bound("each further sensor", each(sensors), "MB", 1),
        bound("idle processor, all processes", min(one[2] for one in few), "% of a core"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    finish("footprint", measure(parser.parse_args().rounds))


if __name__ == "__main__":
    sys.exit(main())
