"""Artifacts of the local repository beside `cp`: one large file, many small ones, and saving what is known.

    .venv/bin/python bench/artifacts.py [--megabytes 1024] [--files 10000] [--rounds 3] [--json]

`cp` copies the same files on the same file system in the same run. A save reads, hashes and writes; a load writes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.report import Row, draw  # noqa: E402
from pipelines.artifacts import ArtifactRun, open_artifacts  # noqa: E402

RUN = ArtifactRun("bench", "bench", "default", "n", "p")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-artifacts-") as name:
        place = Path(name)
        large = _large(place / "large", args.megabytes)
        many = _many(place / "many", args.files)
        rows = [
            *_measure(place, large, f"one file of {args.megabytes} MiB", args.megabytes, "MiB/s", args.rounds),
            *_measure(place, many, f"{args.files} files of 4 KiB", args.files, "files/s", args.rounds),
        ]
    if args.json:
        print(json.dumps({"name": "artifacts", "rows": [row.to_json() for row in rows]}))
    else:
        draw([row.to_json() for row in rows])


def _large(file: Path, megabytes: int) -> Path:
    with file.open("wb") as out:
        for _ in range(megabytes):
            out.write(os.urandom(1 << 20))
    return file


def _many(folder: Path, files: int) -> Path:
    for number in range(files):
        path = folder / f"{number % 100:02}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(4096))
    return folder


def _measure(place: Path, source: Path, what: str, amount: int, unit: str, rounds: int) -> list[Row]:
    """Each round anew, in turns, so that what the disk does meanwhile meets all of them."""
    taken: dict[str, list[float]] = {"cp": [], "save": [], "again": [], "load": []}
    for number in range(rounds):
        data, copy, got = (place / f"{name}-{number}" for name in ("data", "copy", "got"))
        taken["cp"].append(_timed(lambda: subprocess.run(["cp", "-a", "--reflink=never", source, copy], check=True)))  # noqa: B023
        keeper = open_artifacts(data, {})
        taken["save"].append(_timed(lambda: keeper.save({"name": "a"}, source, RUN)))  # noqa: B023
        taken["again"].append(_timed(lambda: keeper.save({"name": "b"}, source, RUN)))  # noqa: B023
        taken["load"].append(_timed(lambda: keeper.load({"name": "a", "s3": {"key": "bench/p/a.tgz"}}, got, RUN)))  # noqa: B023
        keeper.local.close()
        for path in (data, copy, got):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.sync()  # the writing back of one round is not to slow the next
    peer = amount / min(taken["cp"])
    names = {"save": f"save {what}", "again": f"save {what}, known", "load": f"load {what}"}
    return [
        Row(name, amount / min(taken[key]), unit, peer, "cp -a", median=amount / statistics.median(taken[key]))
        for key, name in names.items()
    ]


def _timed(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
