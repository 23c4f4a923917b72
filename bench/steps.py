"""Steps per second: `retrain run` beside `make -j2`, and how soon after a request a step's process runs.

    .venv/bin/python bench/steps.py [--steps 500] [--json]

Both run /bin/true so many times, two at once, one after the other on the same machine in one go.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
import structlog
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipelines.core.plan import Catalog  # noqa: E402
from pipelines.host.queue import RunRequest, submit  # noqa: E402
from pipelines.host.runner import Runner, RunnerOptions  # noqa: E402
from pipelines.local.executor import Limits  # noqa: E402
from pipelines.local.leaf import Surroundings, passed_on  # noqa: E402
from pipelines.local.logs import read_log  # noqa: E402
from retrain.clock import SystemClock  # noqa: E402
from retrain.store import open_store, runs  # noqa: E402

MAIN = "import sys; from retrain.cli import main; main()"


def workflow(steps: int) -> dict[str, object]:
    leaf = {"name": "true", "container": {"image": "any", "command": ["/bin/true"]}}
    step = {"name": "s", "template": "true", "withItems": list(range(steps))}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "bench"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "steps": [[step]]}, leaf]},
    }


def timed(argv: list[str], cwd: Path) -> float:
    begun = time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(cwd / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
    subprocess.run(argv, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def retrain_run(folder: Path, steps: int, jobs: int) -> float:
    (folder / "w.yaml").write_text(yaml.safe_dump(workflow(steps)))
    return timed([sys.executable, "-c", MAIN, "run", "w.yaml", "--jobs", str(jobs), "-o", "name"], folder)


def make(folder: Path, steps: int, jobs: int) -> float:
    names = " ".join(f"s{i}" for i in range(steps))
    (folder / "Makefile").write_text(f"all: {names}\n{names}:\n\t@/bin/true\n.PHONY: all {names}\n")
    return timed(["make", f"-j{jobs}"], folder)


async def latencies(folder: Path, count: int) -> list[float]:
    """Milliseconds from the request's commit to the start of its step, as the step itself sees it."""
    source = "date +%s.%N"
    template = {"name": "main", "script": {"image": "any", "command": ["sh"], "source": source}}
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
    manifest["spec"] = {"entrypoint": "main", "templates": [template]}
    around = Surroundings(folder, folder / "data", passed_on(os.environ), {}, any_image=True)
    found = []
    async with open_store(folder / "store.db") as store, anyio.create_task_group() as group:
        runner = Runner(store, SystemClock(), around, Catalog, RunnerOptions(limits=Limits()))
        await group.start(runner.run)
        for number in range(count):
            run_id = f"r-{number}"
            body = {**manifest, "metadata": {"name": run_id}}
            begun = time.time()
            await store.write(lambda c, b=body, r=run_id: submit(c, RunRequest(r, r, b, {})))
            store.signals.notify("runs")
            while (row := await store.read(lambda c, r=run_id: runs.get(c, r))) and row.phase in runs.OPEN:  # noqa: ASYNC110
                await anyio.sleep(0.02)
            log = folder / "data" / "runs" / run_id / run_id / "main.log"
            found.append((float(read_log(log).text) - begun) * 1000)
        group.cancel_scope.cancel()
    return found


def row(what: str, ours: float, peer: float | None, unit: str) -> dict[str, object]:
    ratio = round(ours / peer, 2) if peer else None
    return {
        "what": what,
        "ours": round(ours, 1),
        "peer": round(peer, 1) if peer else None,
        "ratio": ratio,
        "unit": unit,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        retrain_run(folder, 1, 2)  # compiles
        ours = statistics.median(retrain_run(folder, given.steps, 2) for _ in range(given.rounds))
        wide = statistics.median(
            retrain_run(folder, given.steps, 2 * (os.cpu_count() or 1)) for _ in range(given.rounds)
        )
        peer = statistics.median(make(folder, given.steps, 2) for _ in range(given.rounds))
        hello = statistics.median(retrain_run(folder, 1, 2) for _ in range(given.rounds))
        starts = anyio.run(latencies, folder, 50)
    rows = [
        row(
            f"{given.steps} x /bin/true, 2 at once (whole command; peer: make -j2)",
            given.steps / ours,
            given.steps / peer,
            "steps/s",
        ),
        row(
            f"{given.steps} x /bin/true, twice the cores (peer: make -j2)",
            given.steps / wide,
            given.steps / peer,
            "steps/s",
        ),
        row("retrain run of one step, whole command", hello * 1000, None, "ms"),
        row("request committed -> step runs, p50", statistics.median(starts), None, "ms"),
        row("request committed -> step runs, p99", sorted(starts)[int(len(starts) * 0.99)], None, "ms"),
    ]
    if given.json:
        print(json.dumps({"name": "steps", "rows": rows}))
        return
    for one in rows:
        print(f"{one['what']:<72} {one['ours']:>8} {one['peer'] or '-':>8} {one['unit']}")


if __name__ == "__main__":
    main()
