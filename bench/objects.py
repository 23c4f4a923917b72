"""How fast an object in a bucket becomes a run: a real MinIO, the real `retrain up`, a step that says when it runs.

    python -m bench.objects [--rounds N] [--puts N] [--json]

MinIO, the platform and this process share one machine. A latency runs from the moment a put is sent (or answered, when
the object is durable) to the moment the step's process runs. The peer is what MinIO takes for the put.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from minio import Minio

from bench.report import Row, finish, percentile
from bench.world import World, platform
from tests.servers import launch

BUCKET = "bench"
FIRST_S = 60.0
PACE_S = 0.2


def documents(endpoint: str) -> list[dict[str, object]]:
    """A bucket, and a sensor that submits a workflow for each object in it."""
    keys = {name: {"name": "bench", "key": name.lower()} for name in ("accessKey", "secretKey")}
    lake = {"endpoint": endpoint, "insecure": True, "bucket": {"name": BUCKET}, **keys}
    step = {"image": "any", "command": ["bash", "-c", "echo {{workflow.parameters.n}} $EPOCHREALTIME"]}
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "bench-"},
        "spec": {
            "entrypoint": "main",
            "arguments": {"parameters": [{"name": "n", "value": ""}]},
            "templates": [{"name": "main", "container": step}],
        },
    }
    source = {"dependencyName": "it", "dataKey": "notification.0.s3.object.key"}
    submit = {
        "operation": "submit",
        "source": {"resource": workflow},
        "parameters": [{"src": source, "dest": "spec.arguments.parameters.0.value"}],
    }
    dependency = {"name": "it", "eventSourceName": "lake", "eventName": "objects"}
    sensor = {"dependencies": [dependency], "triggers": [{"template": {"name": "act", "argoWorkflow": submit}}]}
    return [_document("EventSource", "lake", {"minio": {"objects": lake}}), _document("Sensor", "objects", sensor)]


def _document(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": "retrain.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


Put = tuple[float, float, float]
"""Milliseconds: from the put's sending to the step, from its answer to the step, and of the put itself."""


def measure_puts(world: World, client: Minio, first: int, count: int) -> list[Put]:
    """Put objects one after the other, and wait for their steps."""
    sent: dict[int, tuple[float, float]] = {}
    for number in range(first, first + count):
        begin = time.time()
        client.put_object(BUCKET, str(number), io.BytesIO(b"x"), 1)
        sent[number] = (begin, time.time())
        time.sleep(PACE_S)
    ran = _steps(world, sent.keys())
    return [
        ((ran[number] - begin) * 1e3, (ran[number] - end) * 1e3, (end - begin) * 1e3)
        for number, (begin, end) in sent.items()
    ]


def _steps(world: World, wanted: object) -> dict[int, float]:
    """When the step of each object ran."""
    numbers = set(wanted)  # type: ignore[call-overload]
    deadline = time.monotonic() + FIRST_S
    while True:
        texts = [one.read_text() for one in (world.data / "runs").rglob("main.log")]
        # A line of a log begins with its time, the words of the step are the last two.
        said = [text.split()[-2:] for text in texts if text.endswith("\n")]
        found = {int(number): float(at) for number, at in said}
        if numbers <= found.keys():
            return {number: found[number] for number in numbers}
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(numbers & found.keys())} of {len(numbers)} steps ran")
        time.sleep(0.05)


def measure(rounds: int, puts: int) -> list[Row]:
    """The rows of this measurement."""
    programs = launch.minio_programs()
    if not programs:
        print("not measured: no MinIO on this machine; run tests/servers/minio.sh install", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="retrain-bench-minio-") as data:
        for server in launch.started(programs[0], Path(data)):
            client = Minio(server.endpoint, server.access_key, server.secret_key, secure=False, region="us-east-1")
            client.make_bucket(BUCKET)
            os.environ["RETRAIN_SECRET_BENCH_ACCESSKEY"] = server.access_key
            os.environ["RETRAIN_SECRET_BENCH_SECRETKEY"] = server.secret_key
            with platform(documents(server.endpoint)) as world:
                measure_puts(world, client, 0, 5)
                taken = [measure_puts(world, client, 5 + n * puts, puts) for n in range(rounds)]
            return _rows(taken)
    return []


def _rows(taken: Sequence[Sequence[Put]]) -> list[Row]:
    def best(index: int, share: float) -> tuple[float, float]:
        figures = sorted(percentile([one[index] for one in puts], share) for puts in taken)
        return figures[0], figures[len(figures) // 2]

    peer, _ = best(2, 0.5)
    sent, sent_median = best(0, 0.5)
    answered, answered_median = best(1, 0.5)
    last, last_median = best(0, 0.99)
    return [
        Row("MinIO put sent -> step process started, p50", sent, "ms", peer, "the put", 50, False, sent_median),
        Row("MinIO put answered -> step process started, p50", answered, "ms", None, "", None, False, answered_median),
        Row("MinIO put sent -> step process started, p99", last, "ms", None, "", None, False, last_median),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--puts", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    finish("objects", measure(chosen.rounds, chosen.puts))


if __name__ == "__main__":
    sys.exit(main())
