"""What a platform takes that a cluster tells what to run (`up --kubernetes`), while nothing happens.

    python -m bench.kubernetes_operator [--sensors N] [--seconds S] [--json]

A real API server with its etcd and our CRDs; the platform watches one namespace of it, where there is nothing at first,
and then one EventSource and N Sensors with a filter and a parameter. Memory is RSS of the platform without its embedded
NATS server; processor is the platform's over S seconds at rest, as seconds of each minute.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cluster
from bench.footprint import endpoint, sensor
from bench.report import Row, finish
from bench.world import World, cpu_s, memory_mb, started
from tests.integration.operator_world import Objects, ask, base, install
from tests.servers.kube_lab import Lab
from tests.servers.launch import wait_until

SETTLE_S = 15.0
"""Until what a change sets off is done: statuses are told some seconds later."""
VERSION = "retrain.dev/v1"
VERBS = ("GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "APPLY", "DELETE")
ASKED = ("eventsources", "sensors", "promotions", "eventbus", "workflows", "configmaps", "secrets", "services")
"""What the platform asks the API server for."""
SETTINGS = ("RETRAIN_KUBERNETES_KUBECONFIG", "KUBECONFIG")


@dataclass(frozen=True, slots=True)
class Rest:
    """A platform at rest. `cpu_s`, `requests` (to the API server): for each minute."""

    memory_mb: float
    cpu_s: float
    requests: float


def measure(sensors: int, seconds: float) -> list[Row]:
    """The rows of this measurement."""
    if wanted := cluster.missing():
        cluster.say(f"not measured: run {wanted}")
        return []
    with (
        cluster.ground() as (made, kubeconfig),
        tempfile.TemporaryDirectory(prefix="retrain-bench-operator-") as folder,
    ):
        install(made.api)
        objects = Objects(made.api, cluster.OURS)
        with _operator(kubeconfig, Path(folder)) as world:
            ready_s, none = world.ready_s, _rest(made, world, seconds)
            begin = time.perf_counter()
            _apply(objects, [endpoint(0), *map(sensor, range(sensors))])
            wait_until(lambda: _ready(objects) == sensors, f"{sensors} Sensors run")
            taken_s = time.perf_counter() - begin
            many = _rest(made, world, seconds)
    return _rows(sensors, none, many, ready_s, taken_s)


@contextmanager
def _operator(kubeconfig: Path, place: Path) -> Generator[World]:
    project = place / "project"
    project.mkdir()
    os.environ.update(zip(SETTINGS, (str(kubeconfig), ""), strict=True))
    try:
        with started(project, place / "data", place / "log", "--kubernetes", "-n", cluster.OURS) as world:
            yield world
    finally:
        for name in SETTINGS:
            os.environ.pop(name, None)


def _apply(objects: Objects, documents: list[dict[str, object]]) -> None:
    for one in documents:
        objects.put(one)


def _ready(objects: Objects) -> int:
    """How many Sensors say of themselves that they are ready."""
    found = ask(objects.api, "GET", base(VERSION, objects.namespace, "sensors"))
    return sum(_is_ready(one.get("status") or {}) for one in found["items"])


def _is_ready(status: Mapping[str, Any]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))


def _rest(made: Lab, world: World, seconds: float) -> Rest:
    time.sleep(SETTLE_S)
    used, asked = cpu_s(world.pid), _requests(made)
    time.sleep(seconds)
    minutes = seconds / 60
    return Rest(memory_mb(world.pid), (cpu_s(world.pid) - used) / minutes, (_requests(made) - asked) / minutes)


def _requests(made: Lab) -> int:
    return sum(made.requests(verb, one) for one in ASKED for verb in VERBS)


def _rows(sensors: int, none: Rest, many: Rest, ready_s: float, taken_s: float) -> list[Row]:
    def bound(what: str, value: float, unit: str) -> Row:
        return Row(what, value, unit, at_least=False)

    rows = [bound("up --kubernetes: start to /readyz 200", ready_s, "s")]
    for what, rest in (("no Sensor", none), (f"{sensors} Sensors", many)):
        rows.append(bound(f"at rest, {what}: memory (RSS)", rest.memory_mb, "MB"))
        rows.append(bound(f"at rest, {what}: processor", rest.cpu_s, "s/min"))
        rows.append(bound(f"at rest, {what}: requests to the API server", rest.requests, "/min"))
    each = max(0.0, many.memory_mb - none.memory_mb) / sensors
    return [*rows, bound("each further Sensor", each, "MB"), bound(f"{sensors} Sensors applied -> Ready", taken_s, "s")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sensors", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    finish("kubernetes_operator", measure(chosen.sensors, chosen.seconds))


if __name__ == "__main__":
    sys.exit(main())
