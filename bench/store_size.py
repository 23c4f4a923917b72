"""What a full store takes on disk, table by table; how fast a back-up is; how fast old things go, and what that costs
whoever writes meanwhile.

    python -m bench.store_size [--events N] [--store FILE] [--json]

`--store`: a store that `bench.filling` has made; it is copied and not touched. Writes are small transactions at 100 a
second, as those of events that come one by one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from bench.report import Row, finish
from retrain.app.keeping.backup import copy_database
from retrain.app.keeping.keeping import Keep, Keeping
from retrain.app.keeping.measures import measure
from retrain.clock import SystemClock
from retrain.events import Event
from retrain.store import Store, events, open_store
from retrain.store.database import reading
from retrain.store.forgetting import pages

PAUSE_S = 0.01
WRITES = 1000
KEPT = timedelta(days=30)
"""What is older goes in the measurement: most of what `bench.filling` has made but for the last day."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retrain-bench-") as folder:
        place = Path(folder)
        source = words.store or _filled(place / "full.db", words.events)
        begun = time.perf_counter()
        copy_database(source.resolve(), place / "copy.db")
        took = time.perf_counter() - begun
        rows = [*_sizes(source), _row("copy for a back-up", (place / "copy.db").stat().st_size / 1e6 / took, "MB/s")]
        rows.append(_row("copy for a back-up", took, "s"))
        rows += anyio.run(_deleting, place / "copy.db")
    finish("store_size", rows)
    return 0


def _filled(path: Path, many: int) -> Path:
    from bench.filling import fill

    fill(path, events=many, runs=many // 10, promotions=many // 500, decisions=many)
    return path


def _sizes(path: Path) -> list[Row]:
    with reading(path) as connection:
        tables = measure(connection)
    found = [
        _row(f"{one['name']}, {one['rows']} rows", one["bytes"] / 1e6, "MB") for one in tables if one["bytes"] > 1e6
    ]
    return [_row("store, whole", path.stat().st_size / 1e6, "MB"), *found]


async def _deleting(path: Path) -> list[Row]:
    async with open_store(path) as store:
        before = await _latencies(store, 0)
        keeping = Keeping(store, SystemClock(), Keep(events=KEPT, firings=KEPT, deadletters=KEPT, memos=None))
        done = anyio.Event()
        gone: dict[str, int] = {}

        async def delete() -> None:
            gone.update(await keeping.round())
            done.set()

        begun, beside = time.perf_counter(), list[float]()
        async with anyio.create_task_group() as group:
            group.start_soon(delete)
            beside = await _latencies(store, 1_000_000, done)
        took = time.perf_counter() - begun
        left = await store.read(pages)
    rows = sum(many for name, many in gone.items() if name != "pages")
    return [
        _row(f"deleted: {gone}", rows / took, "rows/s"),
        _row("file after", left.all * 4096 / 1e6, "MB"),
        _row("a write, nothing deleted, p50", statistics.median(before), "ms"),
        _row("a write, nothing deleted, p99", _p99(before), "ms"),
        _row("a write beside the deletion, p50", statistics.median(beside), "ms"),
        _row("a write beside the deletion, p99", _p99(beside), "ms"),
    ]


async def _latencies(store: Store, base: int, until: anyio.Event | None = None) -> list[float]:
    """Milliseconds of each write."""
    found: list[float] = []
    now = datetime.now(UTC)
    while len(found) < WRITES if until is None else not until.is_set():
        number = 100_000_000 + base + len(found)
        event = events.SeenEvent(Event(id=str(number), source="bench", type="t"), number, now)
        begun = time.perf_counter()
        await store.write(lambda c, one=event: events.add(c, [one]))
        found.append((time.perf_counter() - begun) * 1000)
        await anyio.sleep(PAUSE_S)
    return found


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


def _row(what: str, value: float, unit: str) -> Row:
    return Row(what, value, unit)


if __name__ == "__main__":
    raise SystemExit(main())
