"""A process that has many runs created on a cluster and follows them to their ends; it says what that took.

Words: a kubeconfig, a namespace, a folder for the store, how many runs.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from pathlib import Path
from typing import Any

import anyio

from pipelines.host.queue import RunRequest, submit
from pipelines.kubernetes.creating import Creator
from pipelines.kubernetes.host import ClusterGround, ClusterHost
from retrain.clock import SystemClock
from retrain.kube import Cluster, cluster
from retrain.store import open_store, outbox, runs

SPEC = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {}}]}


def resident_mb() -> float:
    """What the process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def main(kubeconfig: str, space: str, folder: str, many: int) -> None:
    async with open_store(Path(folder) / "store.db") as store, cluster(kubeconfig) as opened:

        async def connection() -> Cluster:
            return opened

        async def home() -> str:
            return space

        def ask(session: Any) -> None:
            for number in range(many):
                metadata = {"name": f"w{number}", "namespace": space}
                body = {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Workflow",
                    "metadata": metadata,
                    "spec": SPEC,
                }
                submit(session, RunRequest(f"r-{number}", None, body, {}, engine="argo"))

        await store.write(ask)
        clock = SystemClock()
        host = ClusterHost(ClusterGround(store, clock, connection, Creator(store, connection, home), home))
        before, most = resident_mb(), 0.0
        async with anyio.create_task_group() as group:
            await group.start(host.run)
            while (await store.read(runs.counts)).get("Succeeded", 0) < many:
                most = max(most, resident_mb())
                await anyio.sleep(0.2)
            group.cancel_scope.cancel()
        gc.collect()
        told = await store.read(lambda c: len(outbox.pending(c, 10 * many)))
        nodes = await store.read(lambda c: sum(len(runs.load_bare(c, f"r-{one}")) for one in range(many)))
        said = {"before": before, "mb": most, "after": resident_mb(), "told": told, "nodes": nodes}
        sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    file, space, folder, many = sys.argv[1:]
    anyio.run(main, Path(file).read_text(), space, folder, int(many))
