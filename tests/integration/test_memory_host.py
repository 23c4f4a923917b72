"""`retrain run` without a store: locks, memos, objects and child runs of one process; and with a data directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.core.engine import Decision
from pipelines.core.happenings import Resume
from pipelines.core.plan import Catalog
from pipelines.host.memory_host import open_memory_host
from pipelines.local.executor import Limits
from pipelines.local.foreground import LocalRun, run_kept, run_local
from pipelines.local.leaf import Surroundings, passed_on
from retrain.clock import SystemClock
from retrain.errors import ConfigError
from retrain.store import open_store, runs

LIMITS = Limits(grace_s=0.5)
MAPS = ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"k": "old"}},)


def line(text: str) -> str:
    return f'echo {text} >> "$RETRAIN_PROJECT/lines"'


def script(name: str, source: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "script": {"image": "any", "command": ["sh"], "source": source}, **more}


def workflow(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "wf"},
        "spec": {"entrypoint": templates[0]["name"], "templates": list(templates), **spec},
    }


def steps(*names: str) -> dict[str, Any]:
    return {"name": "main", "steps": [[{"name": one, "template": one}] for one in names]}


def around(root: Path) -> Surroundings:
    return Surroundings(root, root / "data", passed_on(os.environ), {})


def lines(root: Path) -> list[str]:
    path = root / "lines"
    return path.read_text().split() if path.exists() else []


def ignore(_decision: Decision) -> None:
    """Nobody watches."""


async def run(root: Path, manifest: dict[str, Any], **words: Any) -> str:
    found = await run_local(LocalRun(manifest, "wf", **words), around(root), SystemClock(), LIMITS, ignore)
    return f"{found.phase} {found.message}".strip()


async def test_a_mutex_keeps_steps_of_one_run_apart(tmp_path: Path) -> None:
    leaf = script("leaf", f"{line('in')}; sleep 0.05; {line('out')}", synchronization={"mutexes": [{"name": "m"}]})
    main = {"name": "main", "dag": {"tasks": [{"name": f"t{n}", "template": "leaf"} for n in range(4)]}}

    assert await run(tmp_path, workflow(main, leaf)) == "Succeeded"
    assert lines(tmp_path) == ["in", "out"] * 4


async def test_what_a_step_writes_into_a_config_map_the_next_one_sees(tmp_path: Path) -> None:
    patch = {"action": "patch", "mergeStrategy": "merge"}
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {k: new}\n"
    write = {"name": "write", "resource": {**patch, "manifest": body}}
    env = [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "shared", "key": "k"}}}]
    read = script("read", line('"$K"'))
    read["script"]["env"] = env

    assert (
        await run(
            tmp_path, workflow(steps("read", "write", "again"), read, write, {**read, "name": "again"}), documents=MAPS
        )
        == "Succeeded"
    )
    assert lines(tmp_path) == ["old", "new"]


CHILD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: child-}
spec:
  entrypoint: m
  templates:
  - {name: m, script: {image: any, command: [sh], source: 'SOURCE'}}
"""


@pytest.mark.parametrize(("source", "phase"), [(line("child"), "Succeeded"), ("exit 1", "Failed")])
async def test_a_child_run_is_waited_for_in_the_same_process(tmp_path: Path, source: str, phase: str) -> None:
    resource = {
        "action": "create",
        "manifest": CHILD.replace("SOURCE", source),
        "successCondition": "status.phase == Succeeded",
        "failureCondition": "status.phase in (Failed, Error)",
    }

    assert (await run(tmp_path, workflow({"name": "main", "resource": resource}))).startswith(phase)


async def test_a_workflow_that_makes_itself_comes_to_an_end(tmp_path: Path) -> None:
    child = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: again-}\n"
        "spec: {workflowTemplateRef: {name: again}}\n"
    )
    done = {"successCondition": "status.phase == Succeeded", "failureCondition": "status.phase in (Failed, Error)"}
    template = workflow({"name": "main", "resource": {"action": "create", "manifest": child, **done}})
    template |= {"kind": "WorkflowTemplate", "metadata": {"name": "again"}}
    manifest = {**workflow({"name": "x"}), "spec": {"workflowTemplateRef": {"name": "again"}}}

    assert (await run(tmp_path, manifest, catalog=Catalog.of([template]))).split()[0] in {"Failed", "Error"}


async def test_a_suspended_run_waits_in_hand_until_it_is_resumed(tmp_path: Path) -> None:
    manifest = workflow(steps("wait", "a"), {"name": "wait", "suspend": {}}, script("a", line("a")))
    async with open_memory_host(around(tmp_path), SystemClock(), LIMITS, Catalog()) as host:

        def resume(decision: Decision) -> None:
            if any(node.type == "Suspend" and not node.phase.fulfilled for node in decision.run.nodes.values()):
                host.ask("wf", Resume(by="me"))

        with anyio.fail_after(30):
            found = await host.run(manifest, "wf", "r-0", resume)

    assert (str(found.phase), lines(tmp_path)) == ("Succeeded", ["a"])


async def test_with_a_data_directory_memos_and_runs_outlive_the_call(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    leaf = script("leaf", line("ran"), memoize={"key": "k", "cache": {"configMap": {"name": "c"}}})
    seen: list[Decision] = []
    for number in range(2):
        what = LocalRun(workflow(steps("leaf"), leaf), f"wf-{number}", run_id=f"r-{number}")
        found = await run_kept(what, around(tmp_path), SystemClock(), LIMITS, seen.append)
        assert found["status"]["phase"] == "Succeeded"
        assert len(found["status"]["nodes"]) == 3
    async with open_store(tmp_path / "data/store.db") as store:
        listed = await store.read(lambda c: runs.listing(c, runs.RunFilter()))

    assert lines(tmp_path) == ["ran"]
    assert {row.name for row in listed.items} == {"wf-0", "wf-1"}
    assert seen[-1].run.ended


async def test_a_kept_run_that_is_left_is_over(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    what = LocalRun(workflow(script("main", f"{line('on')}; sleep 99")), "wf", run_id="r-0")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(run_kept, what, around(tmp_path), SystemClock(), LIMITS, ignore)
            while not lines(tmp_path):  # noqa: ASYNC110
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    async with open_store(tmp_path / "data/store.db") as store:
        row = await store.read(lambda c: runs.get(c, "r-0"))
    assert row is not None
    assert (row.phase, row.message) == ("Failed", "interrupted")


async def test_what_cannot_run_here_is_refused_before_anything_starts(tmp_path: Path) -> None:
    greedy = script("b", line("b"))
    greedy["script"]["resources"] = {"requests": {"nvidia.com/gpu": 9}}
    with pytest.raises(ConfigError, match=r"nvidia\.com/gpu"):
        await run(tmp_path, workflow(steps("a", "b"), script("a", line("a")), greedy))
    assert lines(tmp_path) == []
