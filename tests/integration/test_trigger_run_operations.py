"""Triggers that act on runs: `argoWorkflow` beyond submit, and `k8s` on Workflows; with all that they need."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from pipelines.core.plan import Catalog
from pipelines.host.queue import RunRequest, submit
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from retrain.clock import SystemClock
from retrain.store import Store, firings, open_store, runs
from retrain.store.firings import FiringRow
from retrain.store.runs import RunFilter, RunRow
from triggers import Dispatcher, Tools
from triggers.argo_workflow import open_argo_workflow
from triggers.object_request import MERGE
from triggers.objects import open_k8s

pytestmark = pytest.mark.integration

KINDS = {"argoWorkflow": open_argo_workflow, "k8s": open_k8s}
LEAF = {"name": "main", "script": {"image": "x", "command": ["sh"], "source": "exit {{workflow.parameters.code}}"}}
SPEC: dict[str, Any] = {
    "entrypoint": "main",
    "arguments": {"parameters": [{"name": "code", "value": "1"}]},
    "templates": [LEAF],
}
NAMED = {"metadata": {"name": "train"}}
JSON_PATCH = "application/json-patch+json"


def a_workflow(name: str = "train", **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": SPEC}


class Desk:
    def __init__(self, store: Store, path: Path) -> None:
        self.store, self.path, self.count = store, path, 0

    async def submit(self, run_id: str = "r-1", name: str = "train", phase: str | None = None, **labels: str) -> None:
        def work(connection: Connection) -> None:
            now = SystemClock().now()
            submit(connection, RunRequest(run_id, None, a_workflow(name, **labels), {}))
            if phase is not None:
                runs.claim(connection, "runner", now, now, 100)
                runs.advance(connection, "runner", run_id, phase=phase, started=now, finished=now)

        await self.store.write(work)

    async def act(self, kind: str, tools: Tools | None = None, depth: int = 0, **action: Any) -> FiringRow:
        """One firing, to its end."""
        self.count += 1
        body = {"kind": kind, "retryStrategy": {"steps": 1}, **action}
        row = FiringRow(f"f-{self.count:020x}", "s", "t", "", ("e" * 32,), body, datetime.now(UTC), depth=depth)
        dispatcher = Dispatcher(self.store, "me", KINDS, tools=tools or Tools())
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            dispatcher.offer(await self.store.write(lambda c: dispatcher.enlist(c, [row])))
            with anyio.fail_after(20):
                while (found := await self.store.read(lambda c: firings.get(c, row.id))) is not None:
                    if found.state not in firings.OPEN:
                        break
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        assert found is not None
        return found

    async def run(self, which: str = "r-1") -> RunRow:
        row = await self.store.read(lambda c: runs.get(c, which))
        assert row is not None
        return row

    async def listed(self) -> list[RunRow]:
        return (await self.store.read(lambda c: runs.listing(c, RunFilter()))).items

    @asynccontextmanager
    async def running(self, *templates: dict[str, Any]) -> AsyncIterator[None]:
        around = Surroundings(self.path, self.path / "data", passed_on(os.environ), {})
        options = RunnerOptions(limits=Limits(grace_s=0.5))
        runner = Runner(self.store, SystemClock(), around, lambda: Catalog.of(templates), options)
        async with anyio.create_task_group() as group:
            await group.start(runner.run)
            yield
            group.cancel_scope.cancel()

    async def over(self, run_id: str) -> RunRow:
        with anyio.fail_after(30):
            while (row := await self.run(run_id)).phase in runs.OPEN:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        return row


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_store(tmp_path / "store.db") as store:
        yield Desk(store, tmp_path)


# ---- argoWorkflow ----


@pytest.mark.parametrize("operation", ["stop", "terminate", "suspend", "resume"])
async def test_the_newest_workflow_of_a_name_is_asked(desk: Desk, operation: str) -> None:
    await desk.submit("r-1")
    await desk.submit("r-2")

    firing = await desk.act("argoWorkflow", operation=operation, resource=NAMED)

    assert firing.result == {"asked": operation, "runs": [{"id": "r-2", "name": "train"}]}
    assert ((await desk.run("r-1")).control, (await desk.run("r-2")).control) == (None, operation)


async def test_all_workflows_that_fit_a_label_selector_are_asked(desk: Desk) -> None:
    await desk.submit("r-1", "a", team="x")
    await desk.submit("r-2", "b", team="x", phase="Succeeded")
    await desk.submit("r-3", "c", team="x")
    await desk.submit("r-4", "d", team="y")

    await desk.act("argoWorkflow", operation="stop", args=["-l", "team=x"])

    assert {row.id for row in await desk.listed() if row.control == "stop"} == {"r-1", "r-3"}


@pytest.mark.parametrize("operation", ["resubmit", "retry"])
async def test_a_new_value_may_not_lead_a_workflow_of_the_cluster_to_more_rights(desk: Desk, operation: str) -> None:
    body = a_workflow()
    body["spec"] = {**SPEC, "serviceAccountName": "{{workflow.parameters.code}}"}

    def of_the_cluster(connection: Connection) -> None:
        submit(connection, RunRequest("r-1", None, body, {}, engine="argo"))

    await desk.store.write(of_the_cluster)

    firing = await desk.act("argoWorkflow", operation=operation, resource=NAMED, args=["-p", "code=admin"])

    assert firing.state == "dead"
    assert "an event may not choose spec.serviceAccountName = 'admin' (rule serviceAccountName)" in (firing.error or "")
    assert [row.id for row in await desk.listed()] == ["r-1"]


async def test_a_failed_workflow_is_retried_and_ends_well(desk: Desk) -> None:
    await desk.submit()
    async with desk.running():
        assert (await desk.over("r-1")).phase == "Failed"
        firing = await desk.act("argoWorkflow", operation="retry", resource=NAMED, args=["-p", "code=0"])
        desk.store.signals.notify("runs")
        row = await desk.over("r-1")

    assert firing.result == {"asked": "retry", "runs": [{"id": "r-1", "name": "train"}]}
    assert (row.phase, row.retries) == ("Succeeded", 1)


async def test_a_resubmitted_workflow_is_a_run_of_its_firing(desk: Desk) -> None:
    await desk.submit(phase="Failed")

    firing = await desk.act("argoWorkflow", operation="resubmit", resource=NAMED, args=["-p", "code=0", "--priority=3"])

    run = await desk.run(firing.id.replace("f-", "r-"))
    assert firing.result == {"run": run.id, "name": run.name}
    assert (run.firing_id, run.priority, run.phase) == (firing.id, 3, "Pending")
    assert run.manifest["spec"]["arguments"]["parameters"] == [{"name": "code", "value": "0"}]
    assert run.labels["workflows.argoproj.io/resubmitted-from-workflow"] == "train"
    assert run.labels["retrain.dev/firing"] == firing.id


async def test_a_sensor_that_retries_whatever_fails_comes_to_its_depth_limit(desk: Desk) -> None:
    await desk.submit(phase="Failed")

    await desk.act("argoWorkflow", operation="retry", resource=NAMED, depth=4)

    assert (await desk.run()).depth == 4


@pytest.mark.parametrize(
    ("phase", "action", "said"),
    [
        (None, {"operation": "retry"}, "train is Pending; it can be retried once it has failed"),
        ("Succeeded", {"operation": "stop"}, "train is over (Succeeded); there is nothing to stop"),
        ("Succeeded", {"operation": "retry"}, "train succeeded; to run a part of it again"),
        ("Failed", {"operation": "retry", "args": ["-p", "x=1"]}, "the workflow has no parameter 'x'; it has code"),
        (None, {"operation": "stop", "resource": {"metadata": {"name": "x"}}}, "there is no workflow 'x'"),
        (None, {"operation": "stop", "resource": None, "args": ["-l", "a=b"]}, "no workflow that stop can act on"),
        (None, {"operation": "stop", "policy": {"k8s": {"labels": {"a": "b"}}}}, "policy.k8s goes with what makes"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_a_dead_letter_that_says_why(
    desk: Desk, phase: str | None, action: dict[str, Any], said: str
) -> None:
    await desk.submit(phase=phase)

    firing = await desk.act("argoWorkflow", **{"resource": NAMED, **action})

    assert firing.state == "dead"
    assert said in (firing.error or "")


# ---- k8s ----


async def test_a_created_workflow_that_names_its_template_runs(desk: Desk) -> None:
    """As Metaflow's sensors do it."""
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "flow"},
        "spec": SPEC,
    }
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "flow-", "namespace": "ml"},
        "spec": {
            "arguments": {"parameters": [{"name": "code", "value": "0"}]},
            "workflowTemplateRef": {"name": "flow"},
        },
    }
    async with desk.running(template):
        firing = await desk.act("k8s", operation="create", resource=workflow)
        desk.store.signals.notify("runs")
        row = await desk.over(firing.id.replace("f-", "r-"))

    assert (row.phase, row.workflow, row.namespace) == ("Succeeded", "flow", "ml")
    assert firing.result == {"run": row.id, "name": row.name}


async def test_a_workflow_is_suspended_and_labelled_by_a_patch(desk: Desk) -> None:
    await desk.submit(team="x")
    patch = {
        "kind": "Workflow",
        "metadata": {"name": "train", "labels": {"team": None, "new": "1"}},
        "spec": {"suspend": True},
    }

    firing = await desk.act("k8s", operation="patch", patchStrategy=MERGE, resource=patch)

    assert firing.result == {"object": "train", "id": "r-1", "changed": ["suspend", "labels"]}
    row = await desk.run()
    assert (row.control, row.labels) == ("suspend", {"new": "1"})


async def test_a_json_patch_stops_a_workflow(desk: Desk) -> None:
    await desk.submit()
    steps = [{"op": "add", "path": "/spec/shutdown", "value": "Stop"}]

    await desk.act("k8s", operation="patch", patchStrategy=JSON_PATCH, resource={**a_workflow(), "patch": steps})

    assert (await desk.run()).control == "stop"


@pytest.mark.parametrize("operation", ["update", "patch"])
async def test_what_is_updated_or_patched_is_made_where_there_is_none(desk: Desk, operation: str) -> None:
    firing = await desk.act("k8s", operation=operation, resource=a_workflow())

    assert firing.result == {"run": firing.id.replace("f-", "r-"), "name": "train"}


async def test_a_deleted_workflow_ends_at_once_and_stays_on_record(desk: Desk) -> None:
    await desk.submit()
    body = {"kind": "Workflow", **NAMED}

    first = await desk.act("k8s", operation="delete", resource=body)
    gone = await desk.act("k8s", operation="delete", resource={"kind": "Workflow", "metadata": {"name": "x"}})

    assert first.result == {"object": "train", "id": "r-1", "changed": ["terminate"]}
    assert gone.result == {"object": "x", "changed": []}
    assert (await desk.run()).control == "terminate"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            {"resource": {"apiVersion": "v1", "kind": "ConfigMap"}},
            "the local engine has Workflows only, and ConfigMap of v1",
        ),
        ({"resource": {**a_workflow(), "metadata": {}}}, "neither metadata.name nor metadata.generateName"),
        ({"operation": "update", "resource": {**a_workflow(), "spec": {"entrypoint": "x"}}}, "spec.entrypoint"),
        (
            {"operation": "patch", "patchStrategy": "application/strategic-merge-patch+json", "resource": a_workflow()},
            "Kubernetes refuses it for its custom resources",
        ),
        ({"resource": {**a_workflow("y"), "spec": {"entrypoint": "x", "templats": []}}}, "the workflow cannot run"),
        ({"surprise": 1, "resource": a_workflow()}, "k8s.surprise is not supported"),
    ],
)
async def test_what_the_local_engine_has_not_is_refused_by_name(desk: Desk, action: dict[str, Any], said: str) -> None:
    await desk.submit()

    firing = await desk.act("k8s", **{"operation": "create", **action})

    assert firing.state == "dead"
    assert said in (firing.error or "")
