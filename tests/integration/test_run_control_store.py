"""Runs that are suspended, resumed, retried and resubmitted, over a real store and real processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.core.plan import Catalog
from pipelines.host import control
from pipelines.host.control import ResubmitOptions, RetryOptions
from pipelines.host.queue import RunRequest, submit
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from pipelines.local.machine import SlotsSettings
from retrain.clock import SystemClock
from retrain.errors import ConfigError, Refused
from retrain.store import Store, firings, open_store, outbox, run_requests, runs
from retrain.store.firings import FiringRow, FiringState
from retrain.store.runs import RunFilter, RunRow

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def workflow(*scripts: str, **spec: Any) -> dict[str, Any]:
    """Scripts one after the other."""
    templates = [
        {"name": f"t{i}", "script": {"image": "any", "command": ["sh"], "source": source}}
        for i, source in enumerate(scripts)
    ]
    main = {"name": "main", "steps": [[{"name": f"s{i}", "template": f"t{i}"}] for i in range(len(scripts))]}
    spec = {"entrypoint": "main", "templates": [main, *templates], **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "wf"}, "spec": spec}


class Place:
    def __init__(self, root: Path, store: Store) -> None:
        self.root, self.store = root, store

    @property
    def lines(self) -> list[str]:
        path = self.root / "ran"
        return path.read_text().split() if path.exists() else []

    async def submit(self, manifest: dict[str, Any], run_id: str = "r-0", **more: Any) -> None:
        request = RunRequest(run_id, more.pop("firing_id", None), manifest, {}, **more)
        await self.store.write(lambda c: submit(c, request))
        self.store.signals.notify("runs")

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Runner]:
        slots = SlotsSettings(gpus=1)
        around = Surroundings(self.root, self.root / "data", passed_on(os.environ), {}, slots=slots)
        options.setdefault("limits", Limits(grace_s=0.5))
        runner = Runner(self.store, SystemClock(), around, Catalog, RunnerOptions(**options))
        async with anyio.create_task_group() as group:
            await group.start(runner.run)
            yield runner
            group.cancel_scope.cancel()

    async def ask(self, work: Callable[..., Any]) -> Any:
        row = await self.get()
        done = await self.store.write(lambda c: work(c, row))
        self.store.signals.notify("runs")
        return done

    async def heard(self, run_id: str = "r-0") -> None:
        """The runner has taken in all that was asked of a run."""
        with anyio.fail_after(60):
            while await self.store.read(lambda c: run_requests.of_run(c, run_id)):  # noqa: ASYNC110
                await anyio.sleep(0.02)

    async def get(self, run_id: str = "r-0") -> RunRow:
        row = await self.store.read(lambda c: runs.get(c, run_id))
        assert row is not None
        return row

    async def until(self, fits: Callable[[RunRow], bool], run_id: str = "r-0") -> RunRow:
        with anyio.fail_after(60):
            while not fits(row := await self.get(run_id)):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        return row

    async def over(self, run_id: str = "r-0") -> RunRow:
        return await self.until(lambda row: row.phase not in runs.OPEN, run_id)

    async def told(self) -> list[str]:
        return [event.id for _, event in await self.store.read(outbox.pending)]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.db") as store:
        yield Place(tmp_path, store)


def parked(row: RunRow) -> bool:
    return row.control == "suspend" and row.owner is None


SAY = 'echo {} >> "$RETRAIN_PROJECT/ran"'
ONCE = 'echo b >> "$RETRAIN_PROJECT/ran"; test -e "$RETRAIN_PROJECT/fixed"'


async def test_a_suspended_run_lets_its_step_end_and_starts_no_other_until_it_is_resumed(place: Place) -> None:
    wait = f'{SAY.format("a")}; while [ ! -e "$RETRAIN_PROJECT/go" ]; do sleep 0.02; done'
    await place.submit(workflow(wait, SAY.format("b")))
    async with place.running():
        with anyio.fail_after(20):
            while not place.lines:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        await place.ask(lambda c, run: control.ask(c, run, "suspend"))
        await place.heard()
        (place.root / "go").touch()
        held = await place.until(parked)
        assert (held.phase, place.lines) == ("Running", ["a"])

        await place.ask(lambda c, run: control.ask(c, run, "resume"))
        row = await place.over()

    assert (row.phase, place.lines) == ("Succeeded", ["a", "b"])
    assert await place.told() == ["r-0.started", "r-0.succeeded"]


async def test_suspended_runs_take_no_place_of_others(place: Place) -> None:
    await place.submit(workflow(SAY.format("a")))
    await place.ask(lambda c, run: control.ask(c, run, "suspend"))
    await place.submit(workflow(SAY.format("b")), "r-1")
    async with place.running(max_runs=1):
        await place.over("r-1")
        assert (await place.get()).phase == "Pending"
        await place.ask(lambda c, run: control.ask(c, run, "stop"))
        row = await place.over()

    assert (row.phase, row.message, place.lines) == ("Failed", "Stopped with strategy 'Stop'", ["b"])


async def test_a_higher_priority_is_worked_on_first(place: Place) -> None:
    await place.submit(workflow(SAY.format("low")))
    await place.submit(workflow(SAY.format("own"), priority=2), "r-1")
    await place.submit(workflow(SAY.format("high")), "r-2", priority=5)
    async with place.running(max_runs=1):
        for run_id in ("r-0", "r-1", "r-2"):
            await place.over(run_id)

    assert place.lines == ["high", "own", "low"]


async def test_a_retry_keeps_what_succeeded_and_is_told_of_as_another_end(place: Place) -> None:
    await place.submit(workflow(SAY.format("a"), ONCE, SAY.format("c")))
    async with place.running():
        assert (await place.over()).phase == "Failed"
        (place.root / "fixed").touch()
        await place.ask(lambda c, run: control.retry(c, run, RetryOptions(), SystemClock().now()))
        row = await place.over()

    assert (row.phase, row.retries, place.lines) == ("Succeeded", 1, ["a", "b", "b", "c"])
    assert await place.told() == ["r-0.started", "r-0.failed", "r-0.succeeded.1"]
    assert sorted(path.name.partition("~")[2] for path in (place.root / "data/runs/r-0").glob("[!.]*")) == [
        "", "", "", "retried1",
    ]  # fmt: skip


async def test_a_run_fails_and_is_retried_twice_and_each_end_is_told_once(place: Place) -> None:
    await place.submit(workflow(ONCE))
    async with place.running():
        for _ in range(2):
            assert (await place.over()).phase == "Failed"
            await place.ask(lambda c, run: control.retry(c, run, RetryOptions(), SystemClock().now()))
        await place.until(lambda row: row.phase == "Failed" and row.retries == 2)

    assert await place.told() == ["r-0.started", "r-0.failed", "r-0.failed.1", "r-0.failed.2"]
    assert place.lines == ["b", "b", "b"]


async def test_a_single_container_is_retried_with_other_parameters(place: Place) -> None:
    leaf = {
        "name": "main",
        "script": {"image": "x", "command": ["sh"], "source": "exit {{workflow.parameters.code}}"},
    }
    arguments = {"parameters": [{"name": "code", "value": "3"}]}
    await place.submit(workflow(templates=[leaf], arguments=arguments))
    async with place.running():
        assert (await place.over()).phase == "Failed"
        wrong = RetryOptions(parameters={"kode": "0"})
        with pytest.raises(ConfigError, match="no parameter 'kode'; it has code"):
            await place.ask(lambda c, run: control.retry(c, run, wrong, NOW))
        right = RetryOptions(parameters={"code": "0"})
        await place.ask(lambda c, run: control.retry(c, run, right, SystemClock().now()))
        assert (await place.over()).phase == "Succeeded"


async def test_what_cannot_be_retried_says_why(place: Place) -> None:
    await place.submit(workflow("true"))
    with pytest.raises(Refused, match="is Pending; it can be retried once it has failed"):
        await place.ask(lambda c, run: control.retry(c, run, RetryOptions(), NOW))
    async with place.running():
        await place.over()
    with pytest.raises(Refused, match="--restart-successful"):
        await place.ask(lambda c, run: control.retry(c, run, RetryOptions(), NOW))
    with pytest.raises(Refused, match="is over"):
        await place.ask(lambda c, run: control.ask(c, run, "suspend"))
    await place.store.write(lambda c: runs.reopen(c, "r-0", phase="Failed"))
    options = RetryOptions(node_selector="displayName=s0")
    with pytest.raises(ConfigError, match="needs --restart-successful"):
        await place.ask(lambda c, run: control.retry(c, run, options, NOW))


async def test_a_chosen_step_of_a_good_run_runs_again(place: Place) -> None:
    await place.submit(workflow(SAY.format("a"), SAY.format("b")))
    async with place.running():
        await place.over()
        options = RetryOptions(restart_successful=True, node_selector="displayName=s1")
        await place.ask(lambda c, run: control.retry(c, run, options, SystemClock().now()))
        row = await place.over()

    assert (row.phase, place.lines) == ("Succeeded", ["a", "b", "b"])


async def test_a_resubmitted_run_is_a_new_one_with_other_arguments(place: Place) -> None:
    leaf = {
        "name": "main",
        "script": {"image": "x", "command": ["sh"], "source": SAY.format("{{workflow.parameters.n}}")},
    }
    arguments = {"parameters": [{"name": "n", "value": "1"}]}
    await place.submit(workflow(templates=[leaf], arguments=arguments))
    async with place.running():
        await place.over()
        options = ResubmitOptions(parameters={"n": "2"}, run_id="r-1")
        assert await place.ask(lambda c, run: control.resubmit(c, run, options, SystemClock())) == "r-1"
        row = await place.over("r-1")

    assert place.lines == ["1", "2"]
    assert row.name.startswith("wf-")
    assert row.labels == {control.RESUBMITTED_LABEL: "wf"}


async def test_a_run_tells_of_its_firing_and_of_what_it_used(place: Place) -> None:
    asked = {"requests": {"nvidia.com/gpu": 1}}
    leaf = {"name": "main", "script": {"image": "x", "command": ["sh"], "source": "true", "resources": asked}}
    row = FiringRow("f-0", "my sensor", "train", "", (), {"kind": "argoWorkflow"}, NOW, state=FiringState.DONE)
    await place.store.write(lambda c: firings.add(c, [row]))
    await place.submit(workflow(templates=[leaf]), firing_id="f-0", depth=2)
    async with place.running():
        await place.over()

    for _, event in await place.store.read(outbox.pending):
        assert event.extensions == {
            "retraincause": "r-0",
            "retraindepth": 3,
            "retrainfiring": "f-0",
            "retrainsensor": "my sensor",
            "retraintrigger": "train",
        }
    (_, _started), (_, ended) = await place.store.read(outbox.pending)
    assert ended.data["resources"].keys() == {"nvidia.com/gpu"}


async def test_a_killed_runners_suspended_run_waits_for_its_resume(place: Place) -> None:
    await place.submit(workflow(SAY.format("a"), SAY.format("b")))
    past = SystemClock().now() - timedelta(minutes=1)
    await place.store.write(lambda c: runs.claim(c, "dead", past, past, 5))
    await place.ask(lambda c, run: control.ask(c, run, "suspend"))
    await place.submit(workflow(SAY.format("x")), "r-1")
    async with place.running():
        await place.over("r-1")
        await place.until(lambda row: row.parked == 1)
        assert place.lines == ["x"]
        await place.ask(lambda c, run: control.ask(c, run, "resume"))
        await place.over()

    listed = await place.store.read(lambda c: runs.listing(c, RunFilter()))
    assert {row.phase for row in listed.items} == {"Succeeded"}
    assert place.lines == ["x", "a", "b"]
