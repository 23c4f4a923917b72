"""One run on the store of a data directory, driven by this call: `retrain run --data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio

from pipelines.agents.objects_store import open_objects
from pipelines.core.engine import Decision
from pipelines.core.nodes import Phase
from pipelines.host.given import given_objects
from pipelines.host.queue import RunRequest, submit
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.host.saving import Ledger
from pipelines.host.showing import workflow_object
from pipelines.local.executor import Limits
from pipelines.local.foreground import LocalRun, Watch
from pipelines.local.leaf import Surroundings
from retrain.clock import Clock, SystemClock
from retrain.errors import NotFound
from retrain.store import Store, open_store, runs
from retrain.store.runs import RunRow

STORE = "store.db"
"""As the platform calls it: what was run here can be looked at there."""


async def run_in_store(
    what: LocalRun, around: Surroundings, clock: Clock, limits: Limits, watch: Watch
) -> dict[str, Any]:
    """Write a run down, work on it and those that it starts until it is over, and give its Workflow object."""
    async with open_store(around.data / STORE) as store:
        manifest = {**what.manifest, "metadata": {**(what.manifest.get("metadata") or {}), "name": what.name}}
        await store.write(lambda c: submit(c, RunRequest(what.run_id, None, manifest, {}), clock))
        over = anyio.Event()

        def see(row: RunRow, decision: Decision) -> None:
            if row.id == what.run_id:
                watch(decision)
                if decision.run.ended:
                    over.set()

        try:
            async with open_objects(store, clock, list(given_objects(what.documents, around.references))) as objects:
                here = replace(around, references=objects.references)
                options = RunnerOptions(only=what.run_id, limits=limits)
                runner = Runner(store, clock, here, lambda: what.catalog, options, objects=objects, watch=see)
                async with anyio.create_task_group() as group:
                    await group.start(runner.run)
                    await _until_over(store, what.run_id, over)
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                await _give_up(store, clock, what.run_id)
        return await _shown(store, what.run_id)


async def _until_over(store: Store, run_id: str, over: anyio.Event) -> None:
    """A run that the engine could not drive ends without a decision, hence the look."""
    while not over.is_set():
        with anyio.move_on_after(0.5):
            await over.wait()
        if not over.is_set():
            row = await store.read(lambda c: runs.get(c, run_id))
            if row is None or row.phase not in runs.OPEN:
                return


async def give_up_all(data: Path, run_ids: Sequence[str]) -> list[str]:
    """End the runs that killed commands have left in a data directory, with those that they had started; their ids."""
    async with open_store(data / STORE) as store:
        return [one for run_id in run_ids for one in await _give_up(store, SystemClock(), run_id)]


async def _give_up(store: Store, clock: Clock, run_id: str) -> list[str]:
    """A run that was left by the person who started it is over: nobody would go on with it. What was open of it."""
    now, owner = clock.now(), f"end-{uuid4().hex[:12]}"
    ended = [run_id]
    while rows := await store.write(partial(runs.seize, owner=owner, until=now, ids=ended)):
        for row in rows:
            ledger = Ledger(row, owner, told=True)
            await store.write(lambda c, ledger=ledger: ledger.fail(c, "interrupted", Phase.Failed, now))
        ended += [row.id for row in rows]
    return ended[1:]


async def _shown(store: Store, run_id: str) -> dict[str, Any]:
    row = await store.read(lambda c: runs.get(c, run_id))
    if row is None:
        raise NotFound(f"run {run_id} was deleted")
    return workflow_object(row, await store.read(lambda c: runs.load_nodes(c, run_id)))
