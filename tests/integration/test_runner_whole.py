"""The runner over a real store with all that workflows can ask of it: people, locks, memos, children, retention."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import event as sql_event

from pipelines.artifacts import open_artifacts
from pipelines.core.happenings import Resume, SetNodes, Stop
from pipelines.core.nodes import Outputs
from pipelines.core.plan import Catalog
from pipelines.host import control
from pipelines.host.control import ResubmitOptions
from pipelines.host.queue import RunRequest, submit
from pipelines.host.retention import Keep, Retention
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from retrain.clock import SystemClock
from retrain.errors import ConfigError, Refused
from retrain.store import Store, open_store, run_requests, runs
from retrain.store.runs import RunRow

pytestmark = pytest.mark.slow  # it kills runners

PROCESS = Path(__file__).with_name("runner_process.py")


def script(name: str, source: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "script": {"image": "any", "command": ["sh"], "source": source}, **more}


def workflow(*templates: dict[str, Any], name: str = "wf", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": templates[0]["name"], "templates": list(templates), **spec},
    }


def steps(*names: str, name: str = "main") -> dict[str, Any]:
    return {"name": name, "steps": [[{"name": one, "template": one}] for one in names]}


def line(text: str) -> str:
    return f'echo {text} >> "$RETRAIN_PROJECT/lines"'


class Place:
    def __init__(self, root: Path, store: Store) -> None:
        self.root, self.store = root, store

    async def submit(self, manifest: dict[str, Any], run_id: str = "r-0", **words: Any) -> None:
        await self.store.write(lambda c: submit(c, RunRequest(run_id, None, manifest, {}, **words)))
        self.store.signals.notify("runs")

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Runner]:
        around = Surroundings(self.root, self.root / "data", passed_on(os.environ), {})
        options.setdefault("limits", Limits(grace_s=0.5))
        runner = Runner(self.store, SystemClock(), around, Catalog, RunnerOptions(**options))
        async with anyio.create_task_group() as group:
            await group.start(runner.run)
            yield runner
            group.cancel_scope.cancel()

    async def ask(self, request: Any, run_id: str = "r-0") -> None:
        row = await self.get(run_id)
        await self.store.write(lambda c: control.ask(c, row, request))
        self.store.signals.notify("runs")

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

    async def nodes(self, run_id: str = "r-0") -> dict[str, Any]:
        found = await self.store.read(lambda c: runs.load_nodes(c, run_id))
        return {node["displayName"]: node for node in found.values()}

    @property
    def lines(self) -> list[str]:
        path = self.root / "lines"
        return path.read_text().split() if path.exists() else []

    def retention(self, keep: Keep | None = None) -> Retention:
        artifacts = open_artifacts(self.root / "data", {})
        return Retention(self.store, SystemClock(), self.root / "data", artifacts, keep)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.db") as store:
        yield Place(tmp_path, store)


WAIT = {
    "name": "wait",
    "suspend": {},
    "outputs": {"parameters": [{"name": "verdict", "valueFrom": {"supplied": {}}}]},
}


async def test_a_suspended_node_parks_the_run_until_somebody_supplies_its_value(place: Place) -> None:
    tell = script("tell", line("{{inputs.parameters.x}}"), inputs={"parameters": [{"name": "x"}]})
    given = {"parameters": [{"name": "x", "value": "{{steps.wait.outputs.parameters.verdict}}"}]}
    main = {
        "name": "main",
        "steps": [[{"name": "wait", "template": "wait"}], [{"name": "tell", "template": "tell", "arguments": given}]],
    }
    await place.submit(workflow(main, WAIT, tell))
    async with place.running():
        await place.until(lambda row: row.parked == 1)
        with pytest.raises(ConfigError):
            await place.ask(SetNodes("displayName=wait", outputs=Outputs({"other": "1"})))
        await place.ask(SetNodes("displayName=wait", outputs=Outputs({"verdict": "good"})))
        await place.ask(Resume("displayName=wait"))
        row = await place.over()

    assert (row.phase, place.lines) == ("Succeeded", ["good"])
    assert await place.store.read(lambda c: run_requests.of_run(c, "r-0")) == []


async def test_a_request_is_done_though_the_runner_that_heard_it_died(place: Place) -> None:
    await place.submit(workflow(steps("wait", "a"), {"name": "wait", "suspend": {}}, script("a", line("a"))))
    killed = await _process(place.root, "runner.after_save:1")
    assert killed == -signal.SIGKILL
    await place.ask(Resume())
    assert await _process(place.root, "runner.before_save:1") == -signal.SIGKILL
    assert len(await place.store.read(lambda c: run_requests.of_run(c, "r-0"))) == 1
    assert await _process(place.root) == 0

    assert ((await place.get()).phase, place.lines) == ("Succeeded", ["a"])


async def test_nodes_can_be_failed_alone_and_a_run_that_is_over_takes_no_request(place: Place) -> None:
    main = {"name": "main", "dag": {"tasks": [{"name": "wait", "template": "wait"}, {"name": "a", "template": "a"}]}}
    await place.submit(workflow(main, {"name": "wait", "suspend": {}}, script("a", line("a"))))
    async with place.running():
        await place.until(lambda row: row.parked == 1)
        await place.ask(Stop("Stop", "no", "displayName=wait"))
        row = await place.over()
    with pytest.raises(Refused):
        await place.ask(Resume("displayName=wait"))

    found = await place.nodes()
    assert (row.phase, found["wait"]["phase"], found["a"]["phase"]) == ("Failed", "Failed", "Succeeded")


async def test_spec_suspend_waits_through_a_restart_until_it_is_resumed(place: Place) -> None:
    await place.submit(workflow(script("main", line("a")), suspend=True))
    for _ in range(2):
        async with place.running():
            await place.until(lambda row: row.parked == 1)
    assert place.lines == []
    async with place.running():
        await place.ask("resume")
        await place.over()
    assert place.lines == ["a"]


MUTEX = {"synchronization": {"mutexes": [{"name": "one"}]}}


async def test_a_mutex_holds_across_runs_and_the_higher_priority_comes_next(place: Place) -> None:
    gate = 'until [ -e "$RETRAIN_PROJECT/go" ]; do sleep 0.02; done'
    await place.submit(workflow(script("main", f"{line('in0')}; {gate}; {line('out0')}"), name="a", **MUTEX))
    async with place.running():
        await _until(lambda: place.lines == ["in0"])
        await place.submit(workflow(script("main", line("low")), name="b", **MUTEX), "r-1")
        await place.until(lambda row: row.message != "", "r-1")
        await place.submit(workflow(script("main", line("high")), name="c", priority=5, **MUTEX), "r-2")
        await place.until(lambda row: row.message != "", "r-2")
        assert {(await place.get(one)).phase for one in ("r-1", "r-2")} == {"Pending"}
        (place.root / "go").touch()
        for one in ("r-0", "r-1", "r-2"):
            assert (await place.over(one)).phase == "Succeeded"

    assert place.lines == ["in0", "out0", "high", "low"]


@pytest.mark.parametrize(
    "fault", ["runner.after_keepers:1", "keepers.after_acquire:1", "keepers.after_release:1", "runner.after_save:2"]
)
async def test_no_lock_is_lost_or_held_for_ever_by_a_kill(place: Place, fault: str) -> None:
    leaf = script("leaf", line("x"), **MUTEX)
    await place.submit(workflow(steps("leaf"), leaf, name="a"))
    await place.submit(workflow(steps("leaf"), leaf, name="b"), "r-1")
    assert await _process(place.root, fault) == -signal.SIGKILL
    assert await _process(place.root) == 0

    assert {(await place.get(one)).phase for one in ("r-0", "r-1")} == {"Succeeded"}
    assert place.lines == ["x", "x"]


async def test_what_is_memoized_is_not_run_again_in_another_run(place: Place) -> None:
    memo = {"memoize": {"key": "k", "cache": {"configMap": {"name": "cache"}}}}
    out = {"outputs": {"parameters": [{"name": "v", "valueFrom": {"path": "v"}}]}}
    leaf = script("leaf", f"{line('ran')}; echo 1 > v", **memo, **out)
    async with place.running():
        for number in range(2):
            await place.submit(workflow(steps("leaf"), leaf, name=f"w-{number}"), f"r-{number}")
            assert (await place.over(f"r-{number}")).phase == "Succeeded"

    assert place.lines == ["ran"]
    assert (await place.nodes("r-1"))["leaf"]["memoizationStatus"]["hit"] is True


async def test_a_resource_template_runs_a_child_and_waits_for_it(place: Place) -> None:
    child = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: child-}\n"
        "spec:\n  entrypoint: m\n  templates:\n"
        f"  - {{name: m, script: {{image: any, command: [sh], source: '{line('child')}'}}}}\n"
    )
    resource = {
        "name": "main",
        "resource": {
            "action": "create",
            "manifest": child,
            "successCondition": "status.phase == Succeeded",
            "failureCondition": "status.phase in (Failed, Error)",
        },
    }
    await place.submit(workflow(resource))
    async with place.running():
        row = await place.over()

    (made,) = await place.store.read(lambda c: runs.children(c, "Workflow/r-0"))
    assert (row.phase, made.phase, made.depth, place.lines) == ("Succeeded", "Succeeded", 1, ["child"])


async def test_a_memoized_resubmit_begins_with_what_succeeded(place: Place) -> None:
    main = steps("a", "b")
    once = f'{line("b")}; [ -e "$RETRAIN_PROJECT/fixed" ]'
    await place.submit(workflow(main, script("a", line("a")), script("b", once)))
    async with place.running():
        row = await place.over()
        (place.root / "fixed").touch()
        options = ResubmitOptions(run_id="r-1", memoized=True)
        await place.store.write(lambda c: control.resubmit(c, row, options, SystemClock()))
        place.store.signals.notify("runs")
        assert (await place.over("r-1")).phase == "Succeeded"

    assert place.lines == ["a", "b", "b"]


async def test_runs_go_when_their_time_is_over_with_all_they_left(place: Place) -> None:
    await place.submit(workflow(script("main", "true"), ttlStrategy={"secondsAfterSuccess": 0}))
    await place.submit(workflow(script("main", "true"), name="kept"), "r-1")
    async with place.running():
        await place.over()
        await place.over("r-1")
    assert await place.retention().look() == 1
    assert not (place.root / "data/runs/r-0").exists()
    assert await place.store.read(lambda c: (runs.get(c, "r-0"), runs.load_bare(c, "r-0"))) == (None, {})

    assert await place.retention(Keep(runs=None)).look() == 0
    assert await place.retention(Keep(runs=timedelta(0))).look() == 1


async def test_an_open_run_that_is_deleted_ends_first(place: Place) -> None:
    await place.submit(workflow(script("main", f"{line('on')}; sleep 99")))
    retention = place.retention()
    async with place.running():
        await _until(lambda: place.lines == ["on"])
        await retention.delete(await place.get())
        await place.over()
    assert await retention.look() == 1
    assert await place.store.read(lambda c: runs.get(c, "r-0")) is None


async def test_pod_gc_leaves_the_logs(place: Place) -> None:
    await place.submit(workflow(script("main", "echo said; touch file"), podGC={"strategy": "OnPodCompletion"}))
    async with place.running():
        await place.over()
        home = place.root / "data/runs/r-0/wf"
        await _until(lambda: not (home / "work").exists())
    assert "said" in (home / "main.log").read_text()


async def test_a_workflow_that_this_machine_can_never_run_fails_before_anything_starts(place: Place) -> None:
    greedy = script("b", line("b"))
    greedy["script"]["resources"] = {"limits": {"nvidia.com/gpu": 7}}
    await place.submit(workflow(steps("a", "b"), script("a", line("a")), greedy))
    async with place.running():
        row = await place.over()
    assert row.phase == "Failed"
    assert "nvidia.com/gpu" in row.message
    assert place.lines == []


async def test_a_change_writes_what_it_changed_however_large_the_run_is(place: Place) -> None:
    """Statements and their rows, for one node and one edge of runs of 10 and of 2,000 nodes."""
    written: list[int] = []

    def body(number: int) -> dict[str, Any]:
        return {"id": f"n{number}", "name": f"n{number}", "type": "Pod", "phase": "Running"}

    def count(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not statement.startswith(("SELECT", "BEGIN", "SAVEPOINT", "RELEASE")):
            written.append(len(parameters) if many else 1)

    costs: list[int] = []
    for size in (10, 2000):
        nodes = {f"n{number}": body(number) for number in range(size)}
        edges: Sequence[tuple[str, str]] = [("n0", f"n{number}") for number in range(1, size)]
        await place.store.write(lambda c, s=size, n=nodes, e=edges: runs.save_nodes(c, f"r-{s}", n, e))

        def change(connection: Any, size: int = size) -> None:
            written.clear()
            sql_event.listen(connection, "before_cursor_execute", count)
            runs.save_nodes(connection, f"r-{size}", {"new": {**body(0), "id": "new"}}, [("n0", "new")])
            sql_event.remove(connection, "before_cursor_execute", count)

        await place.store.write(change)
        costs.append(sum(written))
        loaded = await place.store.read(lambda c, s=size: runs.load_nodes(c, f"r-{s}"))
        assert loaded["n0"]["children"] == [f"n{number}" for number in range(1, size)] + ["new"]
    assert costs[0] == costs[1] == 2


async def test_many_runs_at_once_all_get_their_turn(place: Place) -> None:
    one = workflow(steps(*[f"s{number}" for number in range(5)]), *[script(f"s{n}", "true") for n in range(5)])
    for number in range(20):
        await place.submit({**one, "metadata": {"name": f"w-{number}"}}, f"r-{number}")
    began: list[float] = []
    async with place.running(limits=Limits(slots=2, grace_s=0.5)):
        rows = [await place.over(f"r-{number}") for number in range(20)]
    began = [row.started.timestamp() for row in rows if row.started]
    ended = [row.finished.timestamp() for row in rows if row.finished]
    assert {row.phase for row in rows} == {"Succeeded"}
    # None waits until another is over: all have begun before the first has ended.
    assert max(began) <= min(ended)


async def _process(root: Path, fault: str | None = None) -> int:
    argv = [sys.executable, str(PROCESS), str(root), *([fault] if fault else [])]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}

    def work() -> int:
        return subprocess.run(argv, timeout=60, check=False, env=env, capture_output=True).returncode

    return await anyio.to_thread.run_sync(work)


async def _until(fits: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not fits():  # noqa: ASYNC110
            await anyio.sleep(0.02)
