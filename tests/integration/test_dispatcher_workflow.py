"""An `argoWorkflow` firing becomes one run in the engine's queue."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from retrain.store import Store, firings, open_store, runs
from retrain.store.firings import FiringRow
from retrain.store.runs import RunFilter, RunRow
from triggers import KINDS, Dispatcher

pytestmark = pytest.mark.integration

WORKFLOW: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "train-"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "x", "command": ["true"]}}]},
}


def a_firing(n: int, **action: Any) -> FiringRow:
    body = {"kind": "argoWorkflow", "operation": "submit", "resource": WORKFLOW} | action
    return FiringRow(f"f-{n:020x}", "s", "train", "", (f"{n:032x}",), body, datetime.now(UTC), depth=3)


async def all_ended(store: Store, count: int) -> dict[str, int]:
    with anyio.fail_after(30):
        while True:
            counts = await store.read(firings.counts)
            if counts.get("done", 0) + counts.get("dead", 0) >= count:
                return counts
            await anyio.sleep(0.01)


async def act(store: Store, rows: list[FiringRow]) -> dict[str, int]:
    dispatcher = Dispatcher(store, "me", KINDS)
    async with anyio.create_task_group() as group:
        await group.start(dispatcher.run)
        dispatcher.offer(await store.write(lambda c: dispatcher.enlist(c, rows)))
        counts = await all_ended(store, len(rows))
        group.cancel_scope.cancel()
    return counts


async def all_runs(store: Store, limit: int = 50) -> list[RunRow]:
    return (await store.read(lambda c: runs.listing(c, RunFilter(), limit=limit))).items


async def test_a_run_waits_for_the_engine_with_where_it_comes_from(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        row = a_firing(1)
        await act(store, [row])
        (run,) = await all_runs(store)
        firing = await store.read(lambda c: firings.get(c, row.id))
        assert await store.signals.wait("runs", 0)

    assert firing is not None
    assert firing.result == {"run": run.id, "name": run.name}
    assert (run.id, run.firing_id, run.depth, run.phase) == (row.id.replace("f-", "r-"), row.id, 3, "Pending")
    assert run.workflow == "train"
    assert run.labels["retrain.dev/trigger"] == "train"
    assert run.manifest["metadata"]["name"] == run.name


async def test_a_thousand_firings_are_a_thousand_runs(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        counts = await act(store, [a_firing(n) for n in range(1000)])
        listed = await all_runs(store, limit=1000)

    assert counts == {"done": 1000}
    assert len({run.name for run in listed}) == 1000


PLUGIN = {"name": "main", "plugin": {"x": {}}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resource": {**WORKFLOW, "spec": {"entrypoint": "main", "templats": []}}}, "the workflow cannot run"),
        ({"resource": {**WORKFLOW, "spec": {"entrypoint": "main", "templates": [PLUGIN]}}}, "need a cluster"),
        ({"operation": "terminate"}, "argoWorkflow terminate needs the workflow's metadata.name"),
        ({"operation": "stop", "resource": {"metadata": {"name": "gone"}}}, "there is no workflow 'gone'"),
    ],
)
async def test_a_workflow_that_cannot_run_is_a_dead_letter_that_says_why(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    async with open_store(tmp_path / "store.db") as store:
        counts = await act(store, [a_firing(1, **change), a_firing(2)])
        dead = await store.read(lambda c: firings.get(c, a_firing(1).id))

        assert counts == {"dead": 1, "done": 1}
        assert dead is not None
        assert said in (dead.error or "")
        assert len(await all_runs(store)) == 1
