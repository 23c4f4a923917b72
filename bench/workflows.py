"""Workflows of many steps: the whole command beside bare spawning, `make -j2` and other engines; the engine by itself;
a runner on its store with many runs at once.

    python -m bench.workflows [--steps 1000] [--rounds 3] [--json]

Peers run /bin/true as often, two at once, in turns with ours. Snakemake is measured where its program is on the PATH or
where BENCH_SNAKEMAKE says it is, Prefect where BENCH_PREFECT names a Python that has it (a hundred steps each: they are
slow). Temporary directories are made below $TMPDIR.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import structlog
import yaml

from bench.report import Row, finish, percentile
from bench.world import COMMAND, ROOT
from pipelines.core import engine
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import rehearse
from pipelines.host.queue import RunRequest, submit
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from retrain.clock import SystemClock
from retrain.store import open_store, runs

TRUE = "/bin/true"
WIDTH = 2
LAYERS = 10
RUNS, RUN_STEPS = 50, 20
STARTS = 40
Manifest = dict[str, Any]


def dag(tasks: list[Manifest], name: str = "bench") -> Manifest:
    """A workflow of one DAG, of which two steps may run at once."""
    leaf = {"name": "true", "container": {"image": "any", "command": [TRUE]}}
    main = {"name": "main", "dag": {"tasks": [{"template": "true", **task} for task in tasks]}}
    spec = {"entrypoint": "main", "parallelism": WIDTH, "templates": [main, leaf]}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec}


def chains(steps: int) -> Manifest:
    """Two chains side by side."""
    return dag([{"name": f"s{i}", **({"depends": f"s{i - WIDTH}"} if i >= WIDTH else {})} for i in range(steps)])


def layers(steps: int) -> Manifest:
    """Layers of ten, each task after three of the layer before."""
    tasks: list[Manifest] = []
    for i in range(steps):
        before = [i - LAYERS - (i + k) % LAYERS for k in (0, 3, 7)]
        needs = " && ".join(f"s{one}" for one in before if one >= 0)
        tasks.append({"name": f"s{i}", **({"depends": needs} if needs else {})})
    manifest = dag(tasks)
    del manifest["spec"]["parallelism"]
    return manifest


# --- the whole command ------------------------------------------------------------------------------------------------


def seconds(words: Sequence[str], folder: Path) -> tuple[float, float]:
    """(seconds, seconds of processor time) of a command that must succeed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
    before, began = _used(), time.perf_counter()
    subprocess.run(words, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, _used() - before


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def retrain_run(folder: Path, manifest: Manifest) -> tuple[float, float]:
    (folder / "w.yaml").write_text(yaml.safe_dump(manifest))
    return seconds([*COMMAND, "run", "w.yaml", "--jobs", str(WIDTH), "-o", "name"], folder)


def make(folder: Path, steps: int) -> tuple[float, float]:
    names = " ".join(f"s{i}" for i in range(steps))
    (folder / "Makefile").write_text(f"all: {names}\n{names}:\n\t@{TRUE}\n.PHONY: all {names}\n")
    return seconds(["make", f"-j{WIDTH}"], folder)


def snakemake(program: str, folder: Path, steps: int) -> float:
    """Steps per second. Its rules say something to a file each: it has no steps without."""
    all_of = f"rule all:\n  input: expand('o/{{i}}', i=range({steps}))\n"
    one = "rule one:\n  output: 'o/{i}'\n  shell: 'touch {output}'\n"
    (folder / "Snakefile").write_text(all_of + one)
    shutil.rmtree(folder / "o", ignore_errors=True)
    return steps / seconds([program, f"-j{WIDTH}", "--quiet", "all"], folder)[0]


PREFECT_FLOW = """
import subprocess, sys
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

@task
def true(number):
    subprocess.run(["/bin/true"], check=True)

@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def bench(steps: int):
    for future in [true.submit(number) for number in range(steps)]:
        future.result()

bench(int(sys.argv[1]))
"""


def prefect(python: str, folder: Path, steps: int) -> float:
    """Steps per second, with the server that Prefect starts for itself."""
    (folder / "flow.py").write_text(PREFECT_FLOW)
    home = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    words = [f"{name}={value}" for name, value in home.items()]
    return steps / seconds(["env", *words, python, "flow.py", str(steps)], folder)[0]


def bare(steps: int) -> float:
    """Seconds for as many steps by bare `posix_spawn`, from two threads."""
    left = iter(range(steps))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            os.waitpid(os.posix_spawn(TRUE, [TRUE], {}), 0)

    threads = [threading.Thread(target=work) for _ in range(WIDTH)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def commands(folder: Path, steps: int, rounds: int) -> list[Row]:
    ours, used, spawned, made, made_cpu, hello = [], [], [], [], [], []
    retrain_run(folder, dag([{"name": "hello"}]))
    for _ in range(rounds):
        wall, cpu = retrain_run(folder, chains(steps))
        ours.append(steps / wall)
        used.append(cpu / steps * 1000)
        spawned.append(steps / bare(steps))
        wall, cpu = make(folder, steps)
        made.append(steps / wall)
        made_cpu.append(cpu / steps * 1000)
        hello.append(retrain_run(folder, dag([{"name": "hello"}])))
    what = f"retrain run: a DAG of {steps} x {TRUE}, 2 at once, whole command"
    best, typical = max(ours), statistics.median(ours)
    rows = [
        Row(what, best, "steps/s", max(spawned), "posix_spawn", 0.6 * max(spawned), median=typical),
        Row(what, best, "steps/s", max(made), "make -j2", max(made), median=typical),
        Row("the same, processor time for each step", min(used), "ms", min(made_cpu), "make -j2"),
        Row("retrain run of one step, whole command", min(hello)[0] * 1000, "ms", goal=700, at_least=False,
            median=statistics.median(one[0] for one in hello) * 1000),
        Row("the same, processor time", min(one[1] for one in hello) * 1000, "ms"),
    ]  # fmt: skip
    return rows + slow_peers(folder, steps, Row(what, best, "steps/s", median=typical))


def slow_peers(folder: Path, steps: int, ours: Row) -> list[Row]:
    """Engines that are measured once, with a hundred steps, where they are installed."""
    few = min(steps, 100)
    found: list[Row] = []
    for name, program, measure in (
        ("snakemake -j2", os.environ.get("BENCH_SNAKEMAKE") or shutil.which("snakemake"), snakemake),
        ("Prefect, 2 threads", os.environ.get("BENCH_PREFECT"), prefect),
    ):
        if not program:
            print(f"{name}: not installed, not measured", file=sys.stderr)
            continue
        try:
            peer = measure(program, folder, few)
        except subprocess.CalledProcessError as error:
            print(f"{name}: does not run here, not measured: {error}", file=sys.stderr)
            continue
        found.append(replace(ours, what=f"{ours.what}; peer with {few}", peer=peer, peer_name=name, goal=peer))
    return found


# --- the engine by itself ---------------------------------------------------------------------------------------------


def played(manifest: Manifest, watch: Callable[[], None] | None = None) -> float:
    """Processor seconds to play a workflow to its end, with answers instead of processes."""
    now = datetime(2026, 11, 20, tzinfo=UTC)

    def answer(task: Task) -> TaskResult:
        if watch is not None:
            watch()
        return TaskResult(task.node_id, Phase.Succeeded, exit_code=0, started_at=now, finished_at=now)

    gc.collect()
    began = time.process_time()
    run = engine.begin(manifest, name="bench", uid="u", created=now, templates=Catalog())
    decision = rehearse(run, answer, now=now)
    assert decision.phase is Phase.Succeeded, decision.message
    return time.process_time() - began


def engine_rows(rounds: int) -> list[Row]:
    gc.set_threshold(50_000, 50, 100)  # as `retrain run` and `retrain up` do
    rows: list[Row] = []
    for name, shape in (("two chains", chains), ("layers of ten", layers)):
        few = min(played(shape(1000)) for _ in range(rounds)) / 1000
        many = min(played(shape(10_000)) for _ in range(max(1, rounds - 1))) / 10_000
        rows.append(Row(f"engine: a node of 10,000 ({name})", many * 1e6, "us", few * 1e6, "of 1,000", 1.3 * few * 1e6,
                        at_least=False))  # fmt: skip
    small, large = change(100), change(10_000)
    rows.append(Row("engine: a status change at 10,000 nodes", large * 1e6, "us", small * 1e6, "at 100",
                    1.5 * small * 1e6, at_least=False))  # fmt: skip
    tracemalloc.start()
    run = engine.begin(layers(10_000), name="m", uid="u", created=datetime.now(UTC), templates=Catalog())
    rehearse(run, now=datetime.now(UTC))
    rows.append(Row("engine: memory of a run of 10,000 nodes", tracemalloc.get_traced_memory()[1] / 1e6, "MB", goal=400,
                    at_least=False))  # fmt: skip
    tracemalloc.stop()
    return rows


def change(nodes: int) -> float:
    """Processor seconds of one task's result in a fan-out of so many that all run; the median of a hundred."""
    now = datetime.now(UTC)
    loop = {"name": "s", "template": "true", "withItems": list(range(nodes))}
    manifest = dag([loop])
    del manifest["spec"]["parallelism"]
    run = engine.begin(manifest, name="bench", uid="u", created=now, templates=Catalog())
    started = engine.step(run, [engine.Tick()], now).start
    spent: list[float] = []
    for task in started[: min(100, nodes - 1)]:
        began = time.perf_counter()
        engine.step(run, [TaskResult(task.node_id, Phase.Succeeded, started_at=now, finished_at=now)], now)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


# --- a runner on its store --------------------------------------------------------------------------------------------


async def hosted(folder: Path) -> list[Row]:
    """How soon a run's first step starts, and whether fifty runs at once share the machine fairly."""
    around = Surroundings(folder, folder / "data", passed_on(os.environ), {}, any_image=True)
    ended: dict[str, float] = {}
    first: dict[str, float] = {}
    signals: dict[str, anyio.Event] = defaultdict(anyio.Event)

    def watch(row: runs.RunRow, decision: engine.Decision) -> None:
        now = time.time()
        leaves = (decision.run.nodes[one] for one in decision.changed)
        at = [one.started_at for one in leaves if one.type == "Pod" and one.phase != "Pending" and one.started_at]
        if at and row.id not in first:
            first[row.id] = min(at).timestamp()
        if decision.run.ended:
            ended[row.id] = now
            signals[row.id].set()

    async with open_store(folder / "store.db") as store, anyio.create_task_group() as group:
        runner = Runner(store, SystemClock(), around, Catalog, RunnerOptions(limits=Limits()), watch=watch)
        await group.start(runner.run)

        async def ask(*run_ids: str, steps: int) -> float:
            bodies = {one: {**chains(steps), "metadata": {"name": one}} for one in run_ids}
            began = time.time()
            await store.write(lambda c: [submit(c, RunRequest(one, one, bodies[one], {})) for one in run_ids])
            store.signals.notify("runs")
            for one in run_ids:
                await signals[one].wait()
            return began

        await ask("warm", steps=1)
        starts: list[float] = []
        for number in range(STARTS):
            began = await ask(f"one-{number}", steps=1)
            starts.append((first[f"one-{number}"] - began) * 1000)
        before = _self_mb()
        names = [f"many-{number}" for number in range(RUNS)]
        began = await ask(*names, steps=RUN_STEPS)
        group.cancel_scope.cancel()
    finishes = sorted(ended[one] - began for one in names)
    waits = sorted(first[one] - began for one in names)
    all_steps = RUNS * RUN_STEPS
    return [
        Row("request committed -> first step started, p50", statistics.median(starts), "ms", goal=15, at_least=False),
        Row("the same, p99", percentile(starts, 0.99), "ms"),
        Row(f"{RUNS} runs of {RUN_STEPS} steps at once, on the store", all_steps / finishes[-1], "steps/s"),
        Row("the same: first run's end to the last one's", finishes[0] / finishes[-1], "", goal=0.7),
        Row("the same: first step of the last run, part of the whole", waits[-1] / finishes[-1], "", goal=0.2,
            at_least=False),
        Row("the same: memory for each run in hand", max(0.0, _self_mb() - before) / RUNS, "MB"),
    ]  # fmt: skip


def _self_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with tempfile.TemporaryDirectory(prefix="retrain-bench-") as name:
        folder = Path(name)
        rows = [*anyio.run(hosted, folder), *commands(folder, given.steps, given.rounds), *engine_rows(given.rounds)]
    finish("workflows", rows)


if __name__ == "__main__":
    main()
