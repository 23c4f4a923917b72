"""The adapter to a Kubernetes API, against a real API server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from anyio import fail_after

from retrain.errors import ConfigError, NotFound
from retrain.kube import (
    AdmissionRefused,
    AlreadyExists,
    Cluster,
    Conflict,
    Denied,
    Invalid,
    KindMissing,
    NamespaceMissing,
    QuotaExceeded,
    Unreachable,
    cluster,
    path_of,
)
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[str]:
    name = f"kube-{uuid.uuid4().hex[:8]}"
    kube_api.make_namespace(name)
    yield name
    kube_api.ask("DELETE", f"/api/v1/namespaces/{name}")


@asynccontextmanager
async def opened(kube_api: KubeApi, **more: Any) -> AsyncGenerator[Cluster]:
    with fail_after(60):
        async with cluster(kube_api.kubeconfig(**more)) as server:
            yield server


def settings(name: str = "s", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_an_object_is_made_changed_in_each_way_and_deleted(kube_api: KubeApi, space: str) -> None:
    async with opened(kube_api) as server:
        maps = await server.resource("v1", "ConfigMap")
        made = await server.create(maps.at(space), settings(a="1"))
        path = maps.at(space, "s")

        await server.patch(path, {"data": {"b": "2"}})
        await server.patch(path, [{"op": "replace", "path": "/data/a", "value": "3"}], "json")
        await server.patch(path, {"data": {"c": "4"}}, "strategic")
        applied = await server.patch(path, settings(d="5"), "apply")
        kept = await server.replace(path, {**applied, "data": {"e": "6"}})
        dry = await server.patch(path, {"data": {"f": "7"}}, dry_run=True)
        await server.delete(path, uid=made["metadata"]["uid"])

        assert applied["data"] == {"a": "3", "b": "2", "c": "4", "d": "5"}
        assert {one["manager"] for one in applied["metadata"]["managedFields"]} == {"retrain"}
        assert kept["data"] == {"e": "6"}
        assert dry["data"] == {"e": "6", "f": "7"}
        with pytest.raises(NotFound, match='configmaps "s" not found'):
            await server.get(path)


async def test_what_the_server_refuses_is_told_apart(kube_api: KubeApi, space: str) -> None:
    async with opened(kube_api) as server:
        path = path_of("", "v1", "configmaps", space)
        made = await server.create(path, settings())
        old = {**settings(), "metadata": {"name": "s", "resourceVersion": "1"}}

        with pytest.raises(AlreadyExists):
            await server.create(path, settings())
        with pytest.raises(Conflict):
            await server.replace(f"{path}/s", old)
        with pytest.raises(Conflict):
            await server.delete(f"{path}/s", uid=str(uuid.uuid4()))
        with pytest.raises(Invalid) as invalid:
            await server.create(path, settings("Not A Name"))
        assert invalid.value.fields == ("metadata.name",)
        with pytest.raises(Invalid, match=r"wrong type|cannot unmarshal"):
            await server.create(path, {**settings("t"), "data": 3})
        with pytest.raises(NamespaceMissing):
            await server.create(path_of("", "v1", "configmaps", "nowhere"), settings())
        with pytest.raises(KindMissing):
            await server.get(path_of("example.org", "v1", "things", space))
        with pytest.raises(KindMissing, match="its CRD installed"):
            await server.resource("v1", "Thing")
        with pytest.raises(KindMissing):
            await server.resource("example.org/v1", "Thing")
        assert (await server.get(f"{path}/s"))["metadata"]["uid"] == made["metadata"]["uid"]


async def test_fields_that_another_manages_are_taken_over_by_force_alone(kube_api: KubeApi, space: str) -> None:
    async with opened(kube_api) as server:
        path = path_of("", "v1", "configmaps", space, "s")
        kube_api.ask("PATCH", f"{path}?fieldManager=someone", settings(a="theirs"), kind="application/apply-patch+yaml")

        with pytest.raises(Conflict, match="someone"):
            await server.patch(path, settings(a="ours"), "apply")
        assert (await server.patch(path, settings(a="ours"), "apply", force=True))["data"] == {"a": "ours"}


async def test_a_policy_of_the_cluster_is_no_question_of_rights(kube_api: KubeApi, space: str) -> None:
    """Without nodes there is no quota controller: the quota's status is written here."""
    kube_api.ask(
        "PATCH",
        f"/api/v1/namespaces/{space}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        kind="application/merge-patch+json",
    )
    none: dict[str, Any] = {"hard": {"configmaps": "0"}}
    quota = {"metadata": {"name": "none"}, "spec": none}
    kube_api.ask("POST", f"/api/v1/namespaces/{space}/resourcequotas", quota)
    status = {**quota, "status": {**none, "used": {"configmaps": "0"}}}
    kube_api.ask("PUT", f"/api/v1/namespaces/{space}/resourcequotas/none/status", status)
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}

    async with opened(kube_api) as server:
        with pytest.raises(AdmissionRefused, match="PodSecurity"):
            await server.create(path_of("", "v1", "pods", space), pod)
        with pytest.raises(QuotaExceeded, match="exceeded quota: none"):
            await server.create(path_of("", "v1", "configmaps", space), settings())


async def test_who_may_not_is_told_the_verb_and_the_resource(kube_api: KubeApi, space: str) -> None:
    account = f"/api/v1/namespaces/{space}/serviceaccounts"
    kube_api.ask("POST", account, {"metadata": {"name": "nobody"}})
    token = kube_api.ask("POST", f"{account}/nobody/token", {"spec": {}})["status"]["token"]

    async with opened(kube_api, token=token) as server:
        with pytest.raises(Denied) as denied:
            await server.create(path_of("batch", "v1", "jobs", space), {"metadata": {"name": "j"}})
    async with opened(kube_api, token="unknown") as server:
        with pytest.raises(Denied, match="answers 401") as unknown:
            await server.get("/api/v1/namespaces/default")

    assert (denied.value.verb, denied.value.resource) == ("create", "jobs")
    assert f"system:serviceaccount:{space}:nobody" in str(denied.value)
    assert "unknown" not in str(unknown.value)


async def test_pages_and_a_watch_miss_nothing_between_them(kube_api: KubeApi, space: str) -> None:
    async with opened(kube_api) as server:
        path = path_of("", "v1", "configmaps", space)
        for number in range(3):
            await server.create(path, settings(f"s{number}"))
        names: set[str] = set()
        version = ""
        async for objects, version in server.pages(path, {}):  # noqa: B007 - that of the last page counts
            names |= {one["metadata"]["name"] for one in objects}
        await server.create(path, settings("later"))

        async with aclosing(server.watch(path, {}, version)) as batches:
            events = [event async for batch in _until(batches, "later") for event in batch]

        assert names == {"s0", "s1", "s2"}
        assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("ADDED", "later")]


async def _until(batches: AsyncGenerator[list[dict[str, Any]]], name: str) -> AsyncGenerator[list[dict[str, Any]]]:
    async for batch in batches:
        yield batch
        if any(one["object"]["metadata"]["name"] == name for one in batch):
            return


async def test_a_server_that_is_away_and_a_kubeconfig_that_cannot_be_read(kube_api: KubeApi) -> None:
    async with opened(kube_api, server=f"https://127.0.0.1:{free_port()}") as server:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await server.get("/api")
    with pytest.raises(ConfigError, match="no kubeconfig that can be read"):
        async with cluster("users: [{token: very-secret"):
            pass


async def test_a_certificate_is_checked_by_the_name_that_the_kubeconfig_gives(kube_api: KubeApi) -> None:
    elsewhere = kube_api.kubeconfig(server=f"https://localhost:{kube_api.port}")
    named = elsewhere.replace("    server:", "    tls-server-name: 127.0.0.1\n    server:")

    async with cluster(named) as server:
        assert (await server.get("/api/v1/namespaces/default"))["kind"] == "Namespace"
    async with cluster(elsewhere) as server:
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await server.get("/api/v1/namespaces/default")
