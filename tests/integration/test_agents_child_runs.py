"""Runs that `resource` templates start, and objects that steps hand on: whole workflows, with real processes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import yaml

from pipelines.agents.objects_memory import MemoryObjects
from pipelines.agents.resource import ResourceAgent
from pipelines.artifacts.opening import open_artifacts
from pipelines.core.engine import Decision, Run
from pipelines.core.happenings import Stop, Task
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.host.child_runs import StoreChildRuns
from pipelines.host.memory_host import MemoryHost, open_memory_host
from pipelines.local.executor import Limits
from pipelines.local.leaf import StepRun, Surroundings, passed_on
from retrain.clock import SystemClock
from retrain.store import Store, runs
from retrain.store.runs import RunRow

CHILD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: child-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: "python:3.12", command: [sh, -c], args: ["%s"]}
"""
PARENT = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: parent}
spec:
  entrypoint: main
  templates:
  - name: main
    steps: [[{name: make, template: make}]%s]
"""


def parent(child: str, *steps: str, templates: str = "", **resource: Any) -> dict[str, Any]:
    """A workflow that makes the child, then does the steps."""
    names = "".join(f", [{{name: {step}, template: {step}}}]" for step in steps)
    manifest: dict[str, Any] = yaml.safe_load(PARENT % names)
    make = {
        "name": "make",
        "resource": {"action": "create", "manifest": child, **resource},
        "outputs": {
            "parameters": [{"name": "name", "valueFrom": {"jsonPath": "{.metadata.name}"}, "globalName": "child"}]
        },
    }
    manifest["spec"]["templates"] += [make, *(yaml.safe_load(templates) or [])]
    return manifest


NAME = {"name": "name", "valueFrom": {"jsonPath": "{.metadata.name}"}}
WAIT = """
- name: wait
  resource:
    action: get
    successCondition: status.phase == Succeeded
    failureCondition: status.phase in (Failed, Error)
    manifest: |
      apiVersion: argoproj.io/v1alpha1
      kind: Workflow
      metadata: {name: "{{workflow.outputs.parameters.child}}"}
"""
"""A step that waits for the child."""


@asynccontextmanager
async def hosting(path: Path, *documents: dict[str, Any]) -> AsyncIterator[MemoryHost]:
    around = Surroundings(path, path / "data", passed_on(os.environ), {})
    async with open_memory_host(around, SystemClock(), Limits(4, 1.0), Catalog.of(documents), documents) as host:
        yield host


async def play(path: Path, manifest: dict[str, Any], *documents: dict[str, Any]) -> Run:
    async with hosting(path, *documents) as host:
        with anyio.fail_after(40):
            return await host.run(manifest, "parent", "r-parent", lambda _decision: None)


def message_of(run: Run, name: str) -> str:
    return next(node.message for node in run.nodes.values() if node.display_name == name)


async def test_a_child_runs_and_is_waited_for(tmp_path):
    run = await play(tmp_path, parent(CHILD % "echo made > ../mark", "wait", templates=WAIT))

    assert run.phase is Phase.Succeeded, run.message


async def test_a_child_that_fails_fails_who_waits_for_it(tmp_path):
    run = await play(tmp_path, parent(CHILD % "exit 1", "wait", templates=WAIT))

    assert run.phase is Phase.Failed
    assert message_of(run, "wait") == (
        "main: Error (exit code 64): failure condition '{status.phase in [Error Failed]}' evaluated true"
    )


async def test_one_step_can_make_a_child_and_wait_for_it(tmp_path):
    run = await play(tmp_path, parent(CHILD % "true", successCondition="status.phase == Succeeded"))

    assert run.phase is Phase.Succeeded


async def test_a_child_that_cannot_run_fails_the_step(tmp_path):
    child = (CHILD % "true").replace("entrypoint: main", "entrypoint: nowhere")
    run = await play(tmp_path, parent(child))

    assert run.phase is Phase.Failed
    assert "nowhere" in message_of(run, "make")


async def test_who_deletes_a_child_ends_it(tmp_path):
    templates = WAIT.replace("action: get", "action: delete")
    run = await play(tmp_path, parent(CHILD % "sleep 60", "wait", templates=templates))

    assert run.phase is Phase.Succeeded


async def test_a_stopped_parent_stops_the_child_that_it_owns(tmp_path):
    made = anyio.Event()

    def watch(decision: Decision) -> None:
        if any(node.display_name == "make" and node.phase is Phase.Succeeded for node in decision.run.nodes.values()):
            made.set()

    child = CHILD.replace("generateName: child-", "name: kid") % "sleep 60"
    manifest = parent(child, "wait", templates=WAIT, setOwnerReference=True)
    async with hosting(tmp_path) as host:
        with anyio.fail_after(40):
            async with anyio.create_task_group() as group:
                group.start_soon(host.run, manifest, "parent", "r-parent", watch)
                await made.wait()
                host.ask("parent", Stop())
            while (kid := await host.get("kid")) and kid["status"]["phase"] == "Running":
                await host.wait_change("kid", 1.0)

    assert kid is not None
    assert kid["status"]["phase"] == "Failed"


async def test_a_workflow_that_makes_itself_comes_to_an_end(tmp_path):
    child = yaml.safe_load(CHILD % "true")
    template = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "self"},
        "spec": {**child["spec"], "templates": [{"name": "main", "resource": {
            "action": "create", "successCondition": "status.phase == Succeeded",
            "failureCondition": "status.phase in (Failed, Error)",
            "manifest": yaml.safe_dump({**child, "spec": {"workflowTemplateRef": {"name": "self"}}}),
        }}]},
    }  # fmt: skip
    first = yaml.safe_dump({**child, "spec": {"workflowTemplateRef": {"name": "self"}}})
    run = await play(
        tmp_path,
        parent(first, successCondition="status.phase == Succeeded", failureCondition="status.phase in (Failed, Error)"),
        template,
    )

    assert run.phase is Phase.Failed


async def test_what_a_step_writes_into_a_config_map_later_steps_read(tmp_path):
    manifest = parent(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {lr: '0.3', slots: '1'}",
        "use",
        templates="""
- name: use
  synchronization: {semaphores: [{configMapKeyRef: {name: cm, key: slots}}]}
  container:
    image: "python:3.12"
    command: [sh, -c]
    args: ['test "$LR" = 0.3']
    env: [{name: LR, valueFrom: {configMapKeyRef: {name: cm, key: lr}}}]
""",
    )
    run = await play(tmp_path, manifest)

    assert run.phase is Phase.Succeeded, [node.message for node in run.nodes.values()]


async def test_on_the_store_a_child_is_a_run_of_its_own_and_made_once(store: Store, tmp_path: Path):
    async def forget(_row: RunRow) -> bool:
        return True

    children, objects = StoreChildRuns(store, SystemClock(), forget), MemoryObjects()
    agent = ResourceAgent(objects, children, open_artifacts(tmp_path, {}), SystemClock())
    run = StepRun("r-1", "wf", "r-1", tmp_path)
    template = {
        "resource": {"action": "create", "manifest": CHILD % "true", "setOwnerReference": True},
        "outputs": {"parameters": [NAME]},
    }
    results = [await agent.do(Task("wf-1", "wf", "wf-1", template, kind="resource"), run) for _ in range(2)]
    fixed = {
        "resource": {"action": "create", "manifest": (CHILD % "true").replace("generateName: child-", "name: kid")}
    }
    await agent.do(Task("wf-1", "wf", "wf-1", fixed, kind="resource"), run)
    other = await agent.do(Task("wf-2", "wf", "wf-2", fixed, kind="resource"), run)
    page = await store.read(lambda c: runs.listing(c, runs.RunFilter()))

    assert [one.phase for one in results] == [Phase.Succeeded] * 2, results[0].message
    assert results[0].parameters == results[1].parameters
    assert len(page.items) == 2
    child = next(row for row in page.items if row.name == results[0].parameters["name"])
    assert child.labels["retrain.dev/parent"] == "r-1"
    assert child.manifest["metadata"]["ownerReferences"][0]["uid"] == "r-1"
    assert 'workflows.argoproj.io "kid" already exists' in other.message
