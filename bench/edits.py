"""Files edited in a second, beside PyYAML's load and dump of the same files by its C code; and what many take.

    python -m bench.edits [--files N] [--rounds N] [--json]

Typical manifests: the samples of tests/data/edits/serving, each with one value set. An edit reads the file twice (to
find, to prove); load and dump read it once, write it, and lose comments and quotes. The floor: libyaml's events, twice.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from yaml.cyaml import CParser

from bench.report import Row, finish
from bench.world import memory_mb
from deploy.edits import edit, selector
from deploy.edits.edit import Target, Value

SAMPLES = Path(__file__).parents[1] / "tests/data/edits/serving"
PATHS = {
    "kserve.yaml": "spec.predictor.model.storageUri",
    "kserve-canary.yaml": "spec.canary[predictor.name=v42].trafficPercent",
    "kserve-knative.yaml": "spec.predictor.sklearn.storageUri",
    "seldon.yaml": "spec.storageUri",
    "deployment.yaml": "spec.template.spec.containers[name=server].env[name=MODEL_URI].value",
    "kustomization.yaml": "configMapGenerator[name=model].literals[^MODEL_URI=]",
    "values.yaml": "model.uri",
    "configmap.yaml": 'data["model.yaml"]|model.uri',
    "rayservice.yaml": "spec.serveConfigV2|applications[name=digits].deployments[name=Model].user_config.model_uri",
}
NEW = "s3://models/digits/v"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    targets = {name: Target(selector.parse(path)) for name, path in PATHS.items()}
    files = [(name, (SAMPLES / name).read_bytes()) for name in PATHS] * (options.files // len(PATHS))
    before = memory_mb(os.getpid())
    works: dict[str, Callable[[str, bytes, int], object]] = {
        "ours": lambda name, data, n: edit.apply(data, [(targets[name], Value(f"{NEW}{n}"))], name),
        "peer": lambda _, data, __: dump(data),
        "floor": lambda _, data, __: (events(data), events(data)),
    }
    rates = {what: [rate(work, files) for _ in range(options.rounds)] for what, work in works.items()}
    grown = memory_mb(os.getpid()) - before
    ours, peer, floor = (max(rates[what]) for what in works)
    median = statistics.median(rates["ours"])
    rows = [
        Row("edits: one value in a manifest", ours, "files/s", peer, "load+dump", goal=2000, median=median),
        Row("edits: beside the floor", ours, "files/s", floor, "events twice", median=median),
        Row(f"edits: memory after {len(files) * options.rounds:,} files", max(grown, 0), "MB", goal=10, at_least=False),
    ]
    finish("edits", rows)


def rate(work: Callable[[str, bytes, int], object], files: list[tuple[str, bytes]]) -> float:
    """Files per second."""
    start = time.perf_counter()
    for number, (name, data) in enumerate(files):
        work(name, data, number)
    return len(files) / (time.perf_counter() - start)


def dump(data: bytes) -> str:
    documents = list(yaml.load_all(data, Loader=yaml.CSafeLoader))
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False)


def events(data: bytes) -> int:
    parser, count = CParser(data.decode()), 0
    while parser.get_event() is not None:
        count += 1
    return count


if __name__ == "__main__":
    main()
