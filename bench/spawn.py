"""Steps per second of the machine below the engine: leaders with their records and logs beside bare `posix_spawn`.

    .venv/bin/python -m bench.spawn [--steps 1000] [--json]

Both run /bin/true so many times from two threads; ours claims a home, keeps a log and notes how each one ended.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipelines.local.isolation import Rung, no_namespace  # noqa: E402
from pipelines.local.process import Command, ending  # noqa: E402
from pipelines.local.spawner import Spawner  # noqa: E402
from pipelines.local.view import Wants, open_view  # noqa: E402

TRUE = "/bin/true"


def rate(work: Callable[[Path], None], homes: list[Path]) -> float:
    """Calls per second, from two threads."""
    left: Iterator[Path] = iter(homes)
    lock = threading.Lock()

    def worker() -> None:
        while True:
            with lock:
                home = next(left, None)
            if home is None:
                return
            work(home)

    threads = [threading.Thread(target=worker) for _ in range(2)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(homes) / (time.perf_counter() - begun)


def bare(_home: Path) -> None:
    os.waitpid(os.posix_spawn(TRUE, [TRUE], {}), 0)


def led(spawner: Spawner, home: Path, command: Command) -> None:
    leader = spawner.launch(home, command)
    poll = select.poll()
    poll.register(leader.descriptor, select.POLLIN)
    poll.poll()
    leader.close()
    assert (ended := ending(home)) is not None
    assert ended.code == 0, ended


def in_root(spawner: Spawner, home: Path) -> None:
    view = open_view(Rung.namespace, home, Wants(paths=("/tmp/out",)), ROOT)
    view.prepare()
    led(spawner, home, view.command([TRUE], {}))


def make_homes(place: Path, count: int) -> list[Path]:
    homes = [place / f"{time.monotonic_ns()}-{number}" for number in range(count)]
    for home in homes:
        home.mkdir()
    return homes


def private_kb(spawner: Spawner, place: Path) -> float:
    """What a leader weighs by itself while its step runs."""
    (home,) = make_homes(place, 1)
    leader = spawner.launch(home, Command(("/bin/sleep", "30"), {}, place))
    number = int((home / "pid").read_text().split()[1])
    rollup = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
    os.killpg(leader.pid, 9)
    leader.let_go()
    return float(sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")))


def row(what: str, ours: float, peer: float | None, unit: str) -> dict[str, object]:
    ratio = round(ours / peer, 2) if peer else None
    return {"what": what, "ours": round(ours, 1), "peer": peer and round(peer, 1), "ratio": ratio, "unit": unit}


def measure(place: Path, steps: int, rounds: int) -> list[dict[str, object]]:
    spawner = Spawner()
    spawner.start()
    plain = Command((TRUE,), {}, place)
    rate(lambda home: led(spawner, home, plain), make_homes(place, 20))
    ours, peer, rooted = [], [], []
    for _ in range(rounds):
        peer.append(rate(bare, make_homes(place, steps)))
        ours.append(rate(lambda home: led(spawner, home, plain), make_homes(place, steps)))
        if not no_namespace():
            rooted.append(rate(lambda home: in_root(spawner, home), make_homes(place, steps // 5)))
    bare_rate = statistics.median(peer)
    rows = [
        row(f"{steps} x {TRUE} under leaders, 2 at once (peer: posix_spawn)", statistics.median(ours), bare_rate, "1/s")
    ]
    if rooted:
        rows.append(row("the same in a private root (peer: posix_spawn)", statistics.median(rooted), bare_rate, "1/s"))
    rows.append(row("a leader's own memory", private_kb(spawner, place), None, "KB"))
    spawner.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name), given.steps, given.rounds)
    if given.json:
        print(json.dumps({"name": "spawn", "rows": rows}))
        return
    for one in rows:
        print(f"{one['what']:<72} {one['ours']:>8} {one['peer'] or '-':>8} {one['ratio'] or '-':>5} {one['unit']}")


if __name__ == "__main__":
    main()
