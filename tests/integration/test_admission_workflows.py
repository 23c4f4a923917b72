"""The validating webhook asked about workflows, where its rules name them: of all four kinds, by a real API server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import yaml

from tests.integration.admission_world import Asked, World, asked, reviewed, until
from tests.integration.operator_world import APPLY
from tests.servers.kube_server import KubeApi
from tests.servers.launch import wait_until

pytestmark = pytest.mark.integration

WRONG = Path(__file__).parents[1] / "data" / "wrong_workflows"
ARGO = "argoproj.io/v1alpha1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = {
    "Workflow": "Namespaced",
    "WorkflowTemplate": "Namespaced",
    "ClusterWorkflowTemplate": "Cluster",
    "CronWorkflow": "Namespaced",
}
MAIN = {"name": "main", "container": {"image": "busybox:1.37", "command": ["true"]}}
ABSENT: dict[str, Any] = {"workflowTemplateRef": {"name": "comes-later"}}


def definition(kind: str) -> dict[str, Any]:
    """As Argo's own minimal ones: no field is checked, and the status is no subresource."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.argoproj.io"},
        "spec": {
            "group": "argoproj.io",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": KINDS[kind],
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(scope="module")
def argo_kinds(kube_api: KubeApi) -> Iterator[KubeApi]:
    """The server with Argo's kinds. Those that it did not have are taken away again."""
    made = [body for kind in KINDS if not kube_api.answers(place(body := definition(kind)))]
    for body in made:
        kube_api.ask("PATCH", f"{place(body)}?fieldManager=kubectl&force=true", body, kind=APPLY)
    for kind in KINDS:
        wait_until(lambda kind=kind: kube_api.answers(f"/apis/{ARGO}/{kind.lower()}s?limit=1"), f"{kind} is served")
    yield kube_api
    for body in made:
        kube_api.ask("DELETE", place(body))


def place(body: dict[str, Any]) -> str:
    return f"{DEFINITIONS}/{body['metadata']['name']}"


@asynccontextmanager
async def workflows_reviewed(api: KubeApi, data: Path) -> AsyncGenerator[World]:
    """As docs/operator.md says: their kinds are added to the rules that are shipped."""
    async with reviewed(api, data) as world:
        shipped = world.get()["webhooks"][0]["rules"]
        added = {**shipped[0], "apiGroups": ["argoproj.io"], "resources": [f"{kind.lower()}s" for kind in KINDS]}
        world.change("rules", [*shipped, added])
        wrong = of_kind("ClusterWorkflowTemplate", entrypoint="nobody")
        await until(lambda: not put(world, wrong).made, "the API server asks about workflows")
        yield world


def of_kind(kind: str, **spec: Any) -> dict[str, Any]:
    """An object of that kind, whose workflow says this."""
    if kind == "CronWorkflow":
        spec = {"schedules": ["0 3 * * *"], "workflowSpec": spec}
    return {"apiVersion": ARGO, "kind": kind, "metadata": {"name": "w"}, "spec": spec}


def put(world: World, body: dict[str, Any]) -> Asked:
    """Create it, as a dry run: it is reviewed, and nothing is left."""
    within = "" if KINDS[body["kind"]] == "Cluster" else f"/namespaces/{world.namespace}"
    path = f"/apis/{ARGO}{within}/{body['kind'].lower()}s?dryRun=All"
    return asked(world.api, "POST", path, body, "application/json")


async def asked_of(world: World, body: dict[str, Any]) -> Asked:
    return await anyio.to_thread.run_sync(put, world, body)


async def test_each_kind_is_refused_with_the_path_of_what_is_wrong(argo_kinds: KubeApi, tmp_path: Path) -> None:
    async with workflows_reviewed(argo_kinds, tmp_path) as world:
        for kind in KINDS:
            good = await asked_of(world, of_kind(kind, entrypoint="main", templates=[MAIN]))
            bad = await asked_of(world, of_kind(kind, entrypoint="nobody", templates=[MAIN]))

            path = "spec.workflowSpec.entrypoint" if kind == "CronWorkflow" else "spec.entrypoint"
            assert good.made, good.message
            assert bad.body["code"] == 422
            assert f"denied the request: {path}: template name 'nobody' undefined" in bad.message


async def test_a_template_that_is_named_may_come_later_and_bring_the_rest(argo_kinds: KubeApi, tmp_path: Path) -> None:
    """The entrypoint, its arguments and the exit handler are those of the template."""
    arguments = {"parameters": [{"name": "day"}]}

    async with workflows_reviewed(argo_kinds, tmp_path) as world:
        for spec in (ABSENT, {**ABSENT, "entrypoint": "train", "onExit": "tell", "arguments": arguments}):
            for kind in ("Workflow", "CronWorkflow"):
                answer = await asked_of(world, of_kind(kind, **spec))
                assert answer.made, answer.message


async def test_what_a_controller_writes_on_a_workflow_is_let_through(argo_kinds: KubeApi, tmp_path: Path) -> None:
    """Its status is no subresource: each step that ends is a change of the object. This one was there before."""
    workflows = f"/apis/{ARGO}/namespaces/{{}}/workflows"
    async with reviewed(argo_kinds, tmp_path) as world:
        path = workflows.format(world.namespace)
        argo_kinds.ask("POST", path, of_kind("Workflow", entrypoint="nobody", templates=[MAIN]))
        world.change("rules", [{**world.get()["webhooks"][0]["rules"][0], "resources": ["workflows"]}])
        await until(lambda: not put(world, of_kind("Workflow")).made, "the API server asks about workflows")
        change = {"metadata": {"labels": {"workflows.argoproj.io/phase": "Error"}}, "status": {"phase": "Error"}}
        words = (argo_kinds, "PATCH", f"{path}/w", change, "application/merge-patch+json")
        answer = await anyio.to_thread.run_sync(asked, *words)
        argo_kinds.ask("DELETE", f"{path}/w")

    assert answer.made, answer.message
    assert answer.body["status"] == {"phase": "Error"}


async def test_what_lint_finds_wrong_in_a_file_the_server_refuses(argo_kinds: KubeApi, tmp_path: Path) -> None:
    files = [file for file in sorted(WRONG.glob("*.yaml")) if not file.name.startswith(("run-", "binding-"))]

    async with workflows_reviewed(argo_kinds, tmp_path) as world:
        answers = {file.stem: await asked_of(world, _only(file)) for file in files}

    taken = {name: answer.warnings for name, answer in answers.items() if answer.made}
    assert len(files) > 20
    # What the cluster can do, and the local engine alone cannot.
    assert list(taken) == ["container-with-a-probe", "plugin"]
    assert all("is not done by the local engine" in warnings[0] for warnings in taken.values())


def _only(file: Path) -> dict[str, Any]:
    bodies = [body for body in yaml.safe_load_all(file.read_text()) if body["kind"] in KINDS]
    assert len(bodies) == 1, file.name
    return bodies[0]
