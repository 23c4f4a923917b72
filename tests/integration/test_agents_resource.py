"""`resource` templates on objects that are held locally: the same in memory and on the store."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import delete

from pipelines.agents.objects import Body, Objects, Ref
from pipelines.agents.objects_memory import MemoryObjects
from pipelines.agents.objects_store import open_objects
from pipelines.agents.resource import ResourceAgent
from pipelines.artifacts.opening import open_artifacts
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Inputs, Phase
from pipelines.host.child_runs import StoreChildRuns
from pipelines.local.leaf import StepRun
from retrain.clock import SystemClock
from retrain.store import Store, open_store, runs, tables
from retrain.store.runs import RunRow

PROJECT: tuple[Body, ...] = (
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "given"}, "data": {"a": "1"}},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "passed-over"}},
)
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: made, labels: {app: x}}
data: {lr: "0.1"}
"""


class Host:
    """Objects, and an agent that works on them."""

    def __init__(self, objects: Objects, store: Store, data: Path) -> None:
        async def forget(_row: object) -> bool:
            return True

        self.objects = objects
        children = StoreChildRuns(store, SystemClock(), forget)
        self.agent = ResourceAgent(objects, children, open_artifacts(data, objects.references), SystemClock())

    async def do(
        self,
        action: str,
        manifest: str = "",
        *,
        node: str = "wf-1",
        outputs: list[Mapping[str, Any]] | None = None,
        inputs: Inputs | None = None,
        labels: Mapping[str, str] | None = None,
        **resource: Any,
    ) -> TaskResult:
        template = {
            "resource": {"action": action, "manifest": manifest, **resource},
            "outputs": {"parameters": outputs or []},
        }
        run = StepRun("r-1", "wf", "uid-1", Path("/nowhere"), labels=labels or {})
        with anyio.fail_after(20):
            return await self.agent.do(Task(node, "wf", "wf-1", template, inputs or Inputs(), kind="resource"), run)

    def data(self, name: str, kind: str = "ConfigMap") -> Mapping[str, str] | None:
        return self.objects.references.get((kind, name))


@asynccontextmanager
async def memory(path: Path) -> AsyncIterator[Host]:
    async with open_store(path / "retrain.db") as store:
        yield Host(MemoryObjects(PROJECT), store, path)


@asynccontextmanager
async def on_store(path: Path) -> AsyncIterator[Host]:
    async with open_store(path / "retrain.db") as store, open_objects(store, SystemClock(), PROJECT) as objects:
        yield Host(objects, store, path)


every_host = pytest.mark.parametrize(
    "open_host", [pytest.param(memory, id="memory"), pytest.param(on_store, id="store")]
)


def reads(name: str, **source: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": source}


@every_host
async def test_what_a_step_creates_later_steps_see(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        result = await host.do("create", CONFIG)

        assert (result.phase, result.exit_code) == (Phase.Succeeded, 0)
        assert host.data("made") == {"lr": "0.1"}
        assert host.data("given") == {"a": "1"}
        assert host.data("nope") is None


@every_host
async def test_who_is_asked_twice_finds_his_own_and_another_finds_it_taken(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        uid = [reads("uid", jsonPath="{.metadata.uid}")]
        first = await host.do("create", CONFIG, outputs=uid)
        again = await host.do("create", CONFIG, outputs=uid)
        other = await host.do("create", CONFIG, node="wf-2")
        retried = await host.do("create", CONFIG, labels={"retrain.dev/retries": "1"})

        assert first.parameters == again.parameters
        assert first.phase is again.phase is Phase.Succeeded
        for one in (other, retried):
            assert (one.phase, one.exit_code) == (Phase.Failed, 64)
            assert one.message == (
                "main: Error (exit code 64): no more retries Error from server (AlreadyExists): error when creating "
                'the manifest: configmaps "made" already exists'
            )


@every_host
async def test_a_generated_name_is_the_nodes_own(open_host, tmp_path):
    manifest = CONFIG.replace("name: made", "generateName: made-")
    async with open_host(tmp_path) as host:
        name = [reads("n", jsonPath="{.metadata.name}")]
        one = (await host.do("create", manifest, outputs=name)).parameters["n"]
        same = (await host.do("create", manifest, outputs=name)).parameters["n"]
        other = (await host.do("create", manifest, outputs=name, node="wf-2")).parameters["n"]
        retried = (await host.do("create", manifest, outputs=name, labels={"retrain.dev/retries": "1"})).parameters["n"]

    assert one == same
    assert one.startswith("made-")
    assert len({one, other, retried}) == 3


@every_host
async def test_outputs_are_read_off_the_object(open_host, tmp_path):
    outputs = [
        reads("name", jsonPath="{.metadata.name}"),
        reads("jq", jqFilter=".data.lr"),
        reads("lines", jqFilter='.data | keys[], "b" # and a comment'),
        reads("object", jqFilter="{a: .data}"),
        reads("nothing", jsonPath="{.no.such}"),
        reads("default", jqFilter=".data.lr | error", default="d"),
        {"name": "fixed", "value": "v"},
    ]
    async with open_host(tmp_path) as host:
        result = await host.do("create", CONFIG, outputs=outputs)

    assert result.parameters == {
        "name": "made", "jq": "0.1", "lines": "lr\nb", "object": '{"a":{"lr":"0.1"}}', "nothing": "", "default": "d",
        "fixed": "v",
    }  # fmt: skip


@every_host
@pytest.mark.parametrize("source", [{"jqFilter": "1)] | ("}, {"jqFilter": "input"}, {"jsonPath": "{.a"}])
async def test_a_filter_that_is_none_fails_the_node(open_host, tmp_path, source):
    async with open_host(tmp_path) as host:
        result = await host.do("create", CONFIG, outputs=[reads("x", **source)])

    assert result.phase is Phase.Failed
    assert "outputs.parameters.x" in result.message


@every_host
async def test_get_tells_what_is_there_and_fails_where_nothing_is(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        value = [reads("a", jsonPath="{.data.a}")]
        there = await host.do("get", CONFIG.replace("made", "given"), outputs=value)
        named = await host.do("get", flags=["configmap", "given"], outputs=value)
        missing = await host.do("get", CONFIG)
        ignored = await host.do(
            "get", CONFIG, flags=["--ignore-not-found"], outputs=[reads("a", jsonPath="{.x}", default="d")]
        )

    assert there.parameters == named.parameters == {"a": "1"}
    assert missing.message == (
        'main: Error (exit code 64): no more retries Error from server (NotFound): configmaps "made" not found'
    )
    assert (ignored.phase, ignored.parameters) == (Phase.Succeeded, {"a": "d"})


@every_host
async def test_apply_creates_then_changes_and_takes_away_what_it_said_before(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("apply", CONFIG.replace('lr: "0.1"', 'lr: "0.1", old: "1"'))
        await host.do("patch", flags=["cm/made"], manifest='data: {other: "2"}')
        await host.do("apply", CONFIG.replace("0.1", "0.2"))

        assert host.data("made") == {"lr": "0.2", "other": "2"}


@every_host
async def test_a_document_of_the_project_can_be_changed_and_comes_back_when_the_change_is_deleted(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("patch", flags=["configmap", "given"], manifest='data: {a: "2"}')
        changed = dict(host.data("given") or {})
        deleted = await host.do("delete", flags=["configmap", "given"])
        back = dict(host.data("given") or {})
        refused = await host.do("delete", flags=["configmap", "given"])

    assert (changed, back, deleted.phase) == ({"a": "2"}, {"a": "1"}, Phase.Succeeded)
    assert "is a document of the project" in refused.message


@every_host
@pytest.mark.parametrize(
    ("strategy", "patch", "data"),
    [
        ("merge", 'data: {lr: null, b: "2"}', {"b": "2"}),
        ("strategic", 'data: {b: "2"}', {"lr": "0.1", "b": "2"}),
        ("json", '[{"op": "replace", "path": "/data/lr", "value": "7"}]', {"lr": "7"}),
    ],
)
async def test_patches_of_every_strategy(open_host, tmp_path, strategy, patch, data):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG)
        result = await host.do("patch", patch, flags=["configmap", "made"], mergeStrategy=strategy)

        assert result.phase is Phase.Succeeded, result.message
        assert host.data("made") == data


@every_host
async def test_replace_puts_another_in_its_place_and_needs_one(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        missing = await host.do("replace", CONFIG)
        await host.do("create", CONFIG)
        uid = [reads("uid", jsonPath="{.metadata.uid}")]
        before = await host.do("get", CONFIG, outputs=uid)
        after = await host.do("replace", CONFIG.replace("lr", "x"), outputs=uid)

        assert "not found" in missing.message
        assert host.data("made") == {"x": "0.1"}
        assert before.parameters == after.parameters


@every_host
async def test_delete_is_done_also_where_nothing_is(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG)
        results = [await host.do("delete", CONFIG), await host.do("delete", CONFIG)]

        assert [one.phase for one in results] == [Phase.Succeeded, Phase.Succeeded]
        assert host.data("made") is None


@every_host
async def test_a_condition_is_waited_for(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG)
        results: list[TaskResult] = []

        async def wait() -> None:
            condition = {"successCondition": "data.done == yes", "failureCondition": "data.done == no"}
            results.append(await host.do("get", CONFIG, outputs=[reads("d", jsonPath="{.data.done}")], **condition))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await host.do("patch", flags=["cm", "made"], manifest='data: {done: "maybe"}')
            await host.do("patch", flags=["cm", "made"], manifest='data: {done: "yes"}')

    assert (results[0].phase, results[0].parameters) == (Phase.Succeeded, {"d": "yes"})


@every_host
async def test_a_failure_condition_and_a_deletion_end_the_wait(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG)
        failed = await host.do("get", CONFIG, failureCondition="data.lr in (0.1, 0.2)")
        results: list[TaskResult] = []

        async def wait() -> None:
            results.append(await host.do("get", CONFIG, successCondition="data.done"))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await host.do("delete", CONFIG)

    assert failed.message == "main: Error (exit code 64): failure condition '{data.lr in [0.1 0.2]}' evaluated true"
    assert "The resource has been deleted while its status was still being checked" in results[0].message


@every_host
@pytest.mark.parametrize(
    ("action", "manifest", "resource", "message"),
    [
        ("create", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}", {}, "Job of batch/v1 needs a cluster"),
        ("create", "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate", {}, "is a document of the project"),
        ("patch", "metadata: {}", {"flags": ["pod", "x"]}, "pod needs a cluster"),
        ("create", CONFIG, {"flags": ["--server-side"]}, "flag --server-side is not done locally"),
        ("create", CONFIG, {"flags": ["-n", "other"]}, "locally a project is one namespace"),
        ("create", CONFIG.replace("name: made", "name: made, namespace: other"), {}, "a project is one namespace"),
        ("create", CONFIG.replace("name: made", "name: ../x"), {}, "is no name"),
        ("create", CONFIG + "---" + CONFIG, {}, "has 2 documents"),
        ("create", "a: [", {}, "the manifest, line"),
        ("create", "a: &a [x]\nb: {a: 1, a: 2}", {}, "line 2"),
        ("create", "", {}, "Must provide at least one of flags or manifest."),
        ("frobnicate", CONFIG, {}, "it must be one of get, create"),
        ("patch", CONFIG, {"mergeStrategy": "odd"}, "mergeStrategy is 'odd'"),
        ("get", CONFIG, {"successCondition": "a b"}, "success condition 'a b' failed to parse"),
        ("get", CONFIG, {"failureCondition": "=="}, "fail condition '==' failed to parse"),
        ("create", CONFIG.replace('"0.1"', "0.1"), {}, "data.lr is no text"),
        ("create", CONFIG, {"flags": ["configmap", "made"]}, "create takes it from the manifest"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_by_name(open_host, tmp_path, action, manifest, resource, message):
    async with open_host(tmp_path) as host:
        result = await host.do(action, manifest, **resource)

    assert result.phase is Phase.Failed
    assert message in result.message


@every_host
async def test_flags_about_how_to_speak_to_a_cluster_change_nothing(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        result = await host.do("create", CONFIG, flags=["--validate=false", "-n", "default"])

    assert result.phase is Phase.Succeeded


@every_host
async def test_an_immutable_config_map_stays_as_it_is(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG + "immutable: true\n")
        result = await host.do("patch", flags=["cm", "made"], manifest='data: {lr: "2"}')

        assert "is immutable" in result.message
        assert host.data("made") == {"lr": "0.1"}


@every_host
async def test_a_secret_is_kept_coded_and_seen_plain(open_host, tmp_path):
    manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {token: abc}"
    async with open_host(tmp_path) as host:
        result = await host.do("create", manifest, outputs=[reads("t", jsonPath="{.data.token}")])

        assert result.parameters == {"t": b64encode(b"abc").decode()}
        assert host.data("s", "Secret") == {"token": "abc"}
        assert "abc" not in repr(host.objects.references)


@every_host
async def test_a_claim_is_bound_at_once(open_host, tmp_path):
    manifest = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {accessModes: [ReadWriteOnce]}"
    async with open_host(tmp_path) as host:
        result = await host.do("create", manifest, successCondition="status.phase == Bound")

        assert result.phase is Phase.Succeeded
        assert host.data("c", "PersistentVolumeClaim") == {}


@every_host
async def test_an_owned_object_says_whose_it_is(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG, setOwnerReference=True)
        held = await host.objects.get(Ref("ConfigMap", "made"))

    assert held is not None
    reference = held.body["metadata"]["ownerReferences"][0]
    assert (reference["kind"], reference["name"], reference["uid"]) == ("Workflow", "wf", "uid-1")


@every_host
async def test_a_manifest_may_be_an_artifact(open_host, tmp_path):
    artifact = {"name": "m", "path": "/m.yaml", "raw": {"data": CONFIG}}
    async with open_host(tmp_path) as host:
        source = {"artifact": {"name": "m"}}
        result = await host.do("create", inputs=Inputs(artifacts=(artifact,)), manifestFrom=source)

        assert result.phase is Phase.Succeeded, result.message
        assert host.data("made") == {"lr": "0.1"}


@every_host
async def test_changes_of_many_at_once_all_count(open_host, tmp_path):
    async with open_host(tmp_path) as host:
        await host.do("create", CONFIG)

        async def patch(n: int) -> None:
            result = await host.do("patch", flags=["cm", "made"], manifest=f'data: {{k{n}: "{n}"}}')
            assert result.phase is Phase.Succeeded, result.message

        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(patch, n)

        assert len(host.data("made") or {}) == 21


async def test_objects_outlive_the_process(tmp_path):
    async with on_store(tmp_path) as host:
        await host.do("create", CONFIG)
    async with on_store(tmp_path) as host:
        assert host.data("made") == {"lr": "0.1"}
        assert (await host.do("create", CONFIG)).phase is Phase.Succeeded, "it is still its own"


async def test_objects_of_another_process_are_seen(tmp_path):
    async with on_store(tmp_path) as one, on_store(tmp_path) as other:
        await one.do("create", CONFIG)
        with anyio.fail_after(10):
            while other.data("made") is None:
                await other.objects.wait_change(Ref("ConfigMap", "made"), 0.1)

        assert (await other.do("patch", flags=["cm", "made"], manifest='data: {lr: "2"}')).phase is Phase.Succeeded
        result = await one.do("get", CONFIG, outputs=[reads("lr", jsonPath="{.data.lr}")])
        assert result.parameters == {"lr": "2"}


async def test_what_a_run_owns_goes_when_the_run_is_deleted(store: Store, tmp_path: Path):
    async with open_objects(store, SystemClock(), PROJECT) as objects:
        host = Host(objects, store, tmp_path)
        await host.do("create", CONFIG, setOwnerReference=True)
        await host.do("create", CONFIG.replace("made", "kept"))
        run = RunRow("r-1", "wf", "w", {"spec": {}}, {}, SystemClock().now())
        await store.write(lambda c: runs.submit(c, [run]))
        await objects.clean()
        while_it_is_there = host.data("made")
        await store.write(lambda c: c.execute(delete(tables.runs)))
        await objects.clean()

        assert while_it_is_there == host.data("kept") == {"lr": "0.1"}
        assert host.data("made") is None


async def test_new_documents_of_the_project_are_seen_at_once():
    objects = MemoryObjects(PROJECT)
    objects.set_documents([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"b": "2"}}])

    assert dict(objects.references) == {("ConfigMap", "new"): {"b": "2"}}
