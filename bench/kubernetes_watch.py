"""What it takes to follow many Workflows: memory, lists, and how far the rows are behind the objects.

    python -m bench.kubernetes_watch [--workflows N] [--nodes N] [--json]

The real `retrain up` submits the Workflows for events; then this process writes their status as Argo's controller does,
all of their nodes with each change: running, and over. `LIST` requests are counted by the API server itself. After that
the platform is started again beside what has ended, and once more without knowing up to where it had watched, as after
a `410 Gone`: then it lists everything.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from bench import cluster
from bench.load import Load, post
from bench.report import Row, finish
from bench.world import memory_mb
from pipelines.kubernetes.submission import path_to
from retrain import kube
from retrain.kube import Cluster
from retrain.kube.cluster import PAGE
from tests.servers.kube_lab import Lab

LIMIT_S = 240.0
SETTLE_S = 4.0
MOST_MB = 200.0
AT_ONCE = 16
OVER = "SELECT count(*) FROM runs WHERE phase = 'Succeeded'"


@dataclass
class Memory:
    """The most that a process held (RSS, MB) while it was looked at."""

    pid: int
    most: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, memory_mb(self.pid))

    @contextmanager
    def looked_at(self) -> Generator[None]:
        thread = threading.Thread(target=self.look)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


@dataclass(frozen=True, slots=True)
class Followed:
    """Of a stretch of time: the most memory, how many lists were asked for, seconds."""

    most_mb: float
    lists: int
    seconds: float
    objects_s: float = 0.0
    """Of these, until the last object was as it ends."""


def measure(workflows: int, nodes: int) -> list[Row]:
    """The rows of this measurement."""
    if wanted := cluster.missing():
        cluster.say(f"not measured: run {wanted}")
        return []
    with cluster.ground() as (made, kubeconfig), tempfile.TemporaryDirectory(prefix="retrain-bench-watch-") as folder:
        place = Path(folder)
        with cluster.ours(kubeconfig, place) as ours:
            time.sleep(SETTLE_S)
            idle = memory_mb(ours.world.pid)
            followed = _follow(made, ours, kubeconfig, workflows, nodes)
        with cluster.ours(kubeconfig, place) as ours:
            again = _started(made, ours)
        with closing(sqlite3.connect(place / "data" / "store.db")) as store, store:
            store.execute("DELETE FROM checkpoints WHERE owner = 'kubernetes'")
        with cluster.ours(kubeconfig, place) as ours:
            listed = _follow(made, ours, kubeconfig, 1, nodes, before=workflows)
    return _rows(workflows, nodes, idle, followed, again, listed)


def _follow(made: Lab, ours: cluster.Ours, kubeconfig: Path, count: int, nodes: int, before: int = 0) -> Followed:
    """Have `count` Workflows made and brought to their end."""
    memory, lists = Memory(ours.world.pid), made.requests("LIST")
    with memory.looked_at():
        _wait_for(ours.world.data, "SELECT 1")
        post(Load(ours.port, cluster.ENDPOINT, count, connections=min(64, count)))
        _wait_for(ours.world.data, "SELECT count(*) FROM runs", before + count)
        begin = time.perf_counter()
        anyio.run(_write, kubeconfig.read_text(), nodes)
        written = time.perf_counter() - begin
        _wait_for(ours.world.data, OVER, before + count)
        seconds = time.perf_counter() - begin
    # One is ours, to know what to write.
    return Followed(memory.most, made.requests("LIST") - lists - _pages(before + count), seconds, written)


def _started(made: Lab, ours: cluster.Ours) -> Followed:
    memory, lists = Memory(ours.world.pid), made.requests("LIST")
    with memory.looked_at():
        time.sleep(SETTLE_S)
    return Followed(memory.most, made.requests("LIST") - lists, ours.world.ready_s)


def _wait_for(data: Path, query: str, least: int = 1) -> None:
    """Look at the platform's store until a count is reached."""
    deadline, found = time.monotonic() + LIMIT_S, 0
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(f"file:{data / 'store.db'}?mode=ro", uri=True, timeout=10)) as store:
            (found,) = store.execute(query).fetchone()
        if found >= least:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{query}: {found} of {least} after {LIMIT_S:.0f} s")


# --- what the controller would write ---------------------------------------------------------------------------------


async def _write(kubeconfig: str, nodes: int) -> None:
    """Bring all Workflows that have no status yet to their end."""
    async with kube.cluster(kubeconfig) as server:
        names = [
            one["metadata"]["name"]
            async for page, _ in server.pages(path_to(cluster.OURS), {})
            for one in page
            if not one.get("status")
        ]
        for phase in ("Running", "Succeeded"):
            await _write_all(server, names, phase, nodes)


async def _write_all(server: Cluster, names: Sequence[str], phase: str, nodes: int) -> None:
    room = anyio.CapacityLimiter(AT_ONCE)

    async def one(name: str) -> None:
        async with room:
            await server.patch(path_to(cluster.OURS, name), {"status": status(name, phase, nodes)})

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(one, name)


def status(name: str, phase: str, nodes: int) -> dict[str, Any]:
    """What the controller says of a Workflow: a DAG and its pods."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    over = {"finishedAt": now, "resourcesDuration": {"cpu": 3, "memory": 17}} if phase == "Succeeded" else {}
    pods = {f"{name}-{number}": _pod(name, number, phase, now, over) for number in range(1, nodes)}
    whole = _node(name, name, "DAG", phase, now, over) | {"children": list(pods)}
    progress = f"{len(pods) if over else 0}/{len(pods)}"
    return {"phase": phase, "startedAt": now, "progress": progress, **over, "nodes": {name: whole, **pods}}


def _pod(name: str, number: int, phase: str, now: str, over: dict[str, Any]) -> dict[str, Any]:
    arguments = {"parameters": [{"name": "shard", "value": str(number)}, {"name": "rate", "value": "0.001"}]}
    outputs = {"outputs": {"exitCode": "0", "parameters": [{"name": "loss", "value": "0.25"}]}} if over else {}
    return {
        **_node(f"{name}-{number}", f"{name}.train({number})", "Pod", phase, now, over),
        "boundaryID": name,
        "hostNodeName": "node-1",
        "progress": "1/1",
        "inputs": arguments,
        **outputs,
    }


def _node(node_id: str, name: str, kind: str, phase: str, now: str, over: dict[str, Any]) -> dict[str, Any]:
    named = {"id": node_id, "name": name, "displayName": name.rpartition(".")[2], "type": kind}
    return {**named, "templateName": "train", "templateScope": "local/bench", "phase": phase, "startedAt": now, **over}


def _pages(objects: int) -> int:
    return -(-objects // PAGE)


def _rows(workflows: int, nodes: int, idle: float, followed: Followed, again: Followed, listed: Followed) -> list[Row]:
    def bound(what: str, value: float, unit: str, goal: float | None = None) -> Row:
        return Row(what, value, unit, None, "", goal, at_least=False)

    many = f"{workflows:,} Workflows x {nodes} nodes"
    rate = 2 * workflows / followed.seconds
    objects = 2 * workflows / followed.objects_s
    return [
        bound("idle, engine argo: memory (RSS)", idle, "MB"),
        bound(f"{many}: most memory (RSS)", followed.most_mb, "MB", MOST_MB),
        bound("the same: LIST requests", followed.lists, "", 1),
        Row("the same: changes mirrored", rate, "/s", objects, "as they were written"),
        bound("the same: last row behind last object", followed.seconds - followed.objects_s, "s"),
        bound(f"started beside {workflows:,} that have ended", again.seconds, "s"),
        bound("the same: memory (RSS)", again.most_mb, "MB", MOST_MB),
        bound("the same: LIST requests", again.lists, "", 0),
        bound(f"{workflows:,} listed anew, as after a 410: most memory (RSS)", listed.most_mb, "MB", MOST_MB),
        bound("the same: until the one that had changed is mirrored", listed.seconds, "s"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, default=2000)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    finish("kubernetes_watch", measure(chosen.workflows, chosen.nodes))


if __name__ == "__main__":
    sys.exit(main())
