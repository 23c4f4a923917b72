"""The runner over a real store and real processes: every run ends, once, whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.core.plan import Catalog
from pipelines.host.queue import RunRequest, submit
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from retrain.app.outbox import OutboxPublisher
from retrain.bus import MemoryBus
from retrain.clock import SystemClock
from retrain.errors import ConfigError
from retrain.store import Store, open_store, outbox, runs

pytestmark = pytest.mark.slow  # it kills runners

PROCESS = Path(__file__).with_name("runner_process.py")


def workflow(*steps: str, **spec: Any) -> dict[str, Any]:
    """Scripts one after the other."""
    templates = [
        {"name": f"t{i}", "script": {"image": "any", "command": ["sh"], "source": source}}
        for i, source in enumerate(steps)
    ]
    main = {"name": "main", "steps": [[{"name": f"s{i}", "template": f"t{i}"}] for i in range(len(steps))]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "wf"},
        "spec": {"entrypoint": "main", "templates": [main, *templates], **spec},
    }


def request(manifest: dict[str, Any], number: int = 0) -> RunRequest:
    body = {**manifest, "metadata": {**manifest["metadata"], "name": f"wf-{number}"}}
    return RunRequest(f"r-{number}", f"f-{number}", body, {"retrain.dev/sensor": "s"}, depth=2)


class Place:
    def __init__(self, root: Path, store: Store) -> None:
        self.root, self.store = root, store

    def runner(self, **options: Any) -> Runner:
        around = Surroundings(self.root, self.root / "data", passed_on(os.environ), {})
        options.setdefault("limits", Limits(grace_s=0.5))
        return Runner(self.store, SystemClock(), around, Catalog, RunnerOptions(**options))

    async def submit(self, *requests: RunRequest) -> None:
        await self.store.write(lambda c: [submit(c, one) for one in requests])
        self.store.signals.notify("runs")

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Runner]:
        runner = self.runner(**options)
        async with anyio.create_task_group() as group:
            await group.start(runner.run)
            yield runner
            group.cancel_scope.cancel()

    async def over(self, number: int = 0) -> runs.RunRow:
        with anyio.fail_after(60):
            while True:
                row = await self.store.read(lambda c: runs.get(c, f"r-{number}"))
                assert row is not None
                if row.phase not in runs.OPEN:
                    return row
                await anyio.sleep(0.02)

    async def told(self) -> list[str]:
        return [event.id for _, event in await self.store.read(outbox.pending)]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.db") as store:
        yield Place(tmp_path, store)


async def test_a_run_goes_from_the_queue_to_its_end_and_is_told(place: Place) -> None:
    await place.submit(request(workflow("echo a", "echo b")))
    async with place.running():
        row = await place.over()
    assert (row.phase, row.message) == ("Succeeded", "")
    assert row.started is not None
    assert row.finished is not None
    nodes = await place.store.read(lambda c: runs.load_nodes(c, "r-0"))
    assert {node["phase"] for node in nodes.values()} == {"Succeeded"}
    events = [event for _, event in await place.store.read(outbox.pending)]
    assert [event.subject for event in events] == ["run.started", "run.succeeded"]
    assert events[1].id == "r-0.succeeded"
    assert events[1].extensions == {"retraincause": "r-0", "retraindepth": 3}
    assert events[1].data["run"]["labels"] == {"retrain.dev/sensor": "s"}


async def test_outputs_and_arguments_are_told(place: Place) -> None:
    manifest = workflow("echo 0.97 > acc")
    manifest["spec"]["arguments"] = {"parameters": [{"name": "day", "value": "1"}]}
    manifest["spec"]["templates"][1]["outputs"] = {
        "parameters": [{"name": "acc", "globalName": "acc", "valueFrom": {"path": "acc"}}]
    }
    await place.submit(request(manifest))
    async with place.running():
        await place.over()
    (_, event) = (await place.store.read(outbox.pending))[-1]
    assert event.data["outputs"] == {"parameters": {"acc": "0.97"}}
    assert event.data["arguments"] == {"day": "1"}


async def test_a_failed_step_fails_the_run(place: Place) -> None:
    await place.submit(request(workflow("exit 4")))
    async with place.running():
        row = await place.over()
    assert row.phase == "Failed"
    assert await place.told() == ["r-0.started", "r-0.failed"]


async def test_the_same_firing_submits_once(place: Place) -> None:
    assert await place.store.write(lambda c: submit(c, request(workflow("true"))))
    assert not await place.store.write(lambda c: submit(c, request(workflow("true"))))


@pytest.mark.parametrize(
    "change", [{"entrypoint": None, "templates": 3}, {"templates": [{"name": "m", "plugin": {"x": {}}}]}]
)
async def test_what_cannot_run_is_refused_when_it_is_submitted(place: Place, change: dict[str, Any]) -> None:
    bad = request(workflow("true", **change))
    with pytest.raises(ConfigError):
        await place.store.write(lambda c: submit(c, bad))


async def test_a_run_whose_template_is_gone_fails_and_the_others_live(place: Place) -> None:
    lost = workflow("true")
    lost["spec"] = {"workflowTemplateRef": {"name": "gone"}}
    await place.submit(request(lost, 0), request(workflow("true"), 1))
    async with place.running():
        row, other = await place.over(0), await place.over(1)
    assert row.phase == "Failed"
    assert "gone" in row.message
    assert other.phase == "Succeeded"
    assert "r-0.failed" in await place.told()


@pytest.mark.parametrize(("control", "steps"), [("stop", ["sleep 99"]), ("terminate", ["sleep 99"])])
async def test_a_run_can_be_stopped_and_leaves_no_process(place: Place, control: str, steps: list[str]) -> None:
    await place.submit(request(workflow(f'touch "$RETRAIN_PROJECT/on"; {steps[0]}')))
    async with place.running():
        await _there(place.root / "on")
        assert await place.store.write(lambda c: runs.ask(c, "r-0", control))
        place.store.signals.notify("runs")
        row = await place.over()
    assert row.phase == "Failed"
    assert row.message == f"Stopped with strategy '{control.capitalize()}'"
    assert not _steps_of(place.root)


async def test_the_deadline_of_a_workflow_ends_it(place: Place) -> None:
    await place.submit(request(workflow("sleep 99", activeDeadlineSeconds=1)))
    async with place.running():
        row = await place.over()
    assert row.phase == "Failed"
    assert not _steps_of(place.root)


async def test_many_runs_are_worked_on_a_few_at_a_time(place: Place) -> None:
    await place.submit(*(request(workflow("true"), number) for number in range(60)))
    async with place.running(max_runs=4) as runner:
        most = 0
        with anyio.fail_after(60):
            while (await place.store.read(runs.counts)).get("Succeeded", 0) < 60:
                most = max(most, len(runner._held))
                await anyio.sleep(0.01)
    assert 1 <= most <= 4
    assert len(await place.told()) == 120


async def test_a_stopped_platform_ends_its_steps_and_the_next_one_runs_them_again(place: Place) -> None:
    await place.submit(request(workflow('echo x >> "$RETRAIN_PROJECT/n"; [ -e "$RETRAIN_PROJECT/go" ] || sleep 99')))
    async with place.running():
        await _there(place.root / "n")
    assert not _steps_of(place.root)
    (place.root / "go").touch()
    async with place.running():
        row = await place.over()
    assert row.phase == "Succeeded"
    assert (place.root / "n").read_text() == "x\nx\n"
    assert await place.told() == ["r-0.started", "r-0.succeeded"]


async def test_a_lease_that_another_runner_took_is_let_go(place: Place) -> None:
    await place.submit(request(workflow('touch "$RETRAIN_PROJECT/on"; sleep 99')))
    async with place.running(lease_s=0.3):
        await _there(place.root / "on")
        later = SystemClock().now() + timedelta(hours=1)
        taken = await place.store.write(lambda c: runs.claim(c, "thief", later, later, 5))
        assert [row.id for row in taken] == ["r-0"]
        with anyio.fail_after(10):
            while _steps_of(place.root):  # noqa: ASYNC110
                await anyio.sleep(0.02)
    row = await place.store.read(lambda c: runs.get(c, "r-0"))
    assert row is not None
    assert (row.owner, row.phase) == ("thief", "Running")


def _process(root: Path, fault: str | None = None) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, str(PROCESS), str(root), *([fault] if fault else [])]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.run(argv, timeout=60, check=False, env=env, capture_output=True)


@pytest.mark.parametrize(
    "fault",
    ["runner.after_start:1", "runner.after_start:2", "runner.before_finish:1", "runner.after_finish:1"],
)
async def test_a_killed_runner_is_taken_over_and_each_run_ends_once(place: Place, fault: str) -> None:
    line = 'echo "$ARGO_NODE_ID" >> "$RETRAIN_PROJECT/n"; sleep 0.2'
    await place.submit(request(workflow(line, line)))
    killed = await anyio.to_thread.run_sync(_process, place.root, fault)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    after = await anyio.to_thread.run_sync(_process, place.root)
    assert after.returncode == 0, after.stderr
    row = await place.over()
    assert row.phase == "Succeeded"
    assert await place.told() == ["r-0.started", "r-0.succeeded"]
    ran = (place.root / "n").read_text().split()
    assert len(ran) == len(set(ran)) == 2
    assert not _steps_of(place.root)


async def test_the_outbox_is_published_in_order_and_emptied(place: Place) -> None:
    await place.submit(*(request(workflow("true"), number) for number in range(3)))
    async with MemoryBus() as bus:
        async with place.running(), anyio.create_task_group() as group:
            await group.start(OutboxPublisher(place.store, bus, SystemClock()).run)
            for number in range(3):
                await place.over(number)
            with anyio.fail_after(10):
                while await place.told():  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        records = await bus.read(0)
    ids = [record.event.id for record in records]
    assert sorted(ids) == sorted(f"r-{n}.{m}" for n in range(3) for m in ("started", "succeeded"))
    assert all(ids.index(f"r-{n}.started") < ids.index(f"r-{n}.succeeded") for n in range(3))


def _steps_of(project: Path) -> list[str]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if f"RETRAIN_PROJECT={project}".encode() in (path / "environ").read_bytes().split(b"\0"):
                    found.append(path.name)
            except OSError:
                continue
    return found


async def _there(path: Path) -> None:
    with anyio.fail_after(20):
        while not path.exists():  # noqa: ASYNC110, ASYNC240
            await anyio.sleep(0.01)
