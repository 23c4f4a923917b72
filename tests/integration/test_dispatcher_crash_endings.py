"""`kill -9` of the platform around the end of a firing: what follows from it follows once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from retrain import faults
from retrain.events import Event
from retrain.store import deadletters, events, firings, open_store, outbox, runs
from retrain.store.events import SeenEvent
from retrain.store.firings import FiringRow, FiringState
from retrain.store.runs import RunRow
from triggers import Dispatcher, Tools
from triggers.argo_workflow import open_argo_workflow
from triggers.log import open_log

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FIRING = "f-0123456789abcdef0123"
KINDS = {"log": open_log, "argoWorkflow": open_argo_workflow}
WORKFLOW = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "train-"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "x", "command": ["true"]}}]},
}
SUBMIT = {"kind": "argoWorkflow", "operation": "submit", "resource": WORKFLOW}
NOWHERE = {"kind": "argoWorkflow", "operation": "stop", "resource": {"metadata": {"name": "nowhere"}}}


async def platform(path: Path, fault: str) -> None:
    """What the killed process runs: a dispatcher until nothing is open."""
    async with open_store(path / "store.db") as store, anyio.create_task_group() as group:
        faults.arm(fault)
        await group.start(Dispatcher(store, "me", KINDS, tools=Tools(data=path)).run)
        with anyio.fail_after(30):
            while (counts := await store.read(firings.counts)).keys() & {"pending", "running"} or not counts:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()


async def run_platform(path: Path, fault: str = "") -> int:
    command = [sys.executable, str(Path(__file__)), str(path), fault]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await anyio.run_process(command, check=False, env=environment, stdout=subprocess.PIPE, stderr=None)
    return process.returncode


async def enlist(path: Path, *rows: FiringRow) -> None:
    async with open_store(path / "store.db") as store:
        await store.write(lambda c: firings.add(c, rows))


def a_firing(action: dict[str, Any], firing_id: str = FIRING, keys: tuple[str, ...] = (), **more: Any) -> FiringRow:
    return FiringRow(firing_id, "s", "t", "k", keys or ("e" * 32,), action, datetime.now(UTC), **more)


async def all_rows(path: Path) -> list[FiringRow]:
    async with open_store(path / "store.db") as store:
        return (await store.read(lambda c: firings.listing(c, firings.FiringFilter()))).items


@pytest.mark.parametrize("fault", ["trigger.before_act", "trigger.after_act", "trigger.before_act:2"])
async def test_a_dead_firing_fires_its_other_trigger_once_though_the_platform_was_killed(
    tmp_path: Path, fault: str
) -> None:
    await enlist(tmp_path, a_firing({**NOWHERE, "dlqTrigger": SUBMIT}, tracked=True))

    assert await run_platform(tmp_path, fault) == -signal.SIGKILL
    assert await run_platform(tmp_path) == 0

    rows = await all_rows(tmp_path)
    assert sorted((row.trigger, str(row.state)) for row in rows) == [("t", "dead"), ("t.dlq", "done")]
    async with open_store(tmp_path / "store.db") as store:
        assert await store.read(deadletters.count) == 1
        assert len((await store.read(lambda c: runs.listing(c, runs.RunFilter()))).items) == 1
        told = [event.subject for _, event in await store.read(outbox.pending)]
    assert told == ["firing.failed"]


@pytest.mark.parametrize("fault", ["trigger.before_act", "trigger.after_act"])
@pytest.mark.parametrize("action", [SUBMIT, {"kind": "log"}], ids=["writes", "acts"])
async def test_the_end_of_a_tracked_firing_is_told_once_though_the_platform_was_killed(
    tmp_path: Path, fault: str, action: dict[str, Any]
) -> None:
    await enlist(tmp_path, a_firing(action, tracked=True))

    assert await run_platform(tmp_path, fault) == -signal.SIGKILL
    assert await run_platform(tmp_path) == 0

    async with open_store(tmp_path / "store.db") as store:
        told = [event.id for _, event in await store.read(outbox.pending)]
    assert told == [f"{FIRING}.done.1"]


@pytest.mark.parametrize("fault", ["trigger.before_act", "trigger.after_act"])
@pytest.mark.parametrize("action", [SUBMIT, {"kind": "log"}], ids=["writes", "acts"])
async def test_a_manifest_is_whole_though_the_platform_was_killed(
    tmp_path: Path, fault: str, action: dict[str, Any]
) -> None:
    some = [Event(id=f"e{n}", source="me", type="t", subject="x", data=n) for n in range(700)]
    keys = tuple(event.key for event in some)
    await enlist(tmp_path, a_firing({**action, "manifest": "manifests/one.ndjson"}, keys=keys))
    async with open_store(tmp_path / "store.db") as store:
        seen = [SeenEvent(event, n + 1, datetime.now(UTC)) for n, event in enumerate(some)]
        await store.write(lambda c: events.add(c, seen))

    assert await run_platform(tmp_path, fault) == -signal.SIGKILL
    assert await run_platform(tmp_path) == 0

    (row,) = await all_rows(tmp_path)
    assert row.state == FiringState.DONE
    assert len((tmp_path / "manifests" / "one.ndjson").read_text().splitlines()) == 700


@pytest.mark.parametrize("fault", ["trigger.before_act", "trigger.after_act"])
@pytest.mark.parametrize("operation", ["retry", "resubmit"])
async def test_a_run_is_tried_again_once_though_the_platform_was_killed(
    tmp_path: Path, fault: str, operation: str
) -> None:
    now = datetime.now(UTC)
    failed = RunRow("r-1", "train", "train", WORKFLOW, {}, now, phase="Failed", started=now, finished=now)
    async with open_store(tmp_path / "store.db") as store:
        await store.write(lambda c: runs.submit(c, [failed]))
    resource = {"metadata": {"name": "train"}}
    await enlist(tmp_path, a_firing({"kind": "argoWorkflow", "operation": operation, "resource": resource}))

    assert await run_platform(tmp_path, fault) == -signal.SIGKILL
    assert await run_platform(tmp_path) == 0

    async with open_store(tmp_path / "store.db") as store:
        listed = (await store.read(lambda c: runs.listing(c, runs.RunFilter()))).items
    phases = {run.id: (run.phase, run.retries) for run in listed}
    new = FIRING.replace("f-", "r-")
    assert phases == ({"r-1": ("Running", 1)} if operation == "retry" else {"r-1": ("Failed", 0), new: ("Pending", 0)})


@pytest.mark.parametrize("fault", ["trigger.before_act:2", "trigger.after_act:2"])
async def test_ordered_firings_keep_their_order_though_the_platform_was_killed(tmp_path: Path, fault: str) -> None:
    ids = [f"f-{9 - n:020x}" for n in range(4)]
    await enlist(tmp_path, *(a_firing(SUBMIT, one, ordered=True) for one in ids))

    assert await run_platform(tmp_path, fault) == -signal.SIGKILL
    assert await run_platform(tmp_path) == 0

    async with open_store(tmp_path / "store.db") as store:
        made = (await store.read(lambda c: runs.listing(c, runs.RunFilter()))).items
    assert [run.firing_id for run in sorted(made, key=lambda run: run.created)] == ids


if __name__ == "__main__":
    asyncio.run(platform(Path(sys.argv[1]), sys.argv[2]))
