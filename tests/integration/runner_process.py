"""A runner in a process of its own, for tests that kill it: `runner_process.py DIRECTORY [FAULT]`.

Works until every run in the store is over.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio

from pipelines.core.plan import Catalog
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from retrain import faults
from retrain.clock import SystemClock
from retrain.store import open_store, runs


async def main(root: Path) -> None:
    around = Surroundings(root, root / "data", passed_on(os.environ), {})
    options = RunnerOptions(lease_s=0.5, limits=Limits(grace_s=0.5))
    async with open_store(root / "store.db") as store, anyio.create_task_group() as group:
        await group.start(Runner(store, SystemClock(), around, Catalog, options).run)
        while set(await store.read(runs.counts)) & set(runs.OPEN):  # noqa: ASYNC110 - other processes end runs too
            await anyio.sleep(0.05)
        group.cancel_scope.cancel()


faults.arm(sys.argv[2] if len(sys.argv) > 2 else None)
anyio.run(main, Path(sys.argv[1]))
