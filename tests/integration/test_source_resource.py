"""The resource source against a real Kubernetes API server: what changes, also while nobody looks, and who is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio.to_thread
import pytest

from retrain.bus import MemoryBus, Record
from retrain.store import Store
from tests.contract.source_world import ARGO, OURS, Platform, Secrets, document, state

if TYPE_CHECKING:
    from tests.servers.kube_server import KubeApi

pytestmark = pytest.mark.integration
MERGE = "application/merge-patch+json"


class Maps:
    """ConfigMaps of a namespace."""

    def __init__(self, server: KubeApi) -> None:
        self.server = server
        self.namespace = f"n-{uuid4().hex[:12]}"
        self.path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        server.make_namespace(self.namespace)

    def document(self, version: str = OURS, **more: Any) -> Any:
        what = {"namespace": self.namespace, "version": "v1", "resource": "configmaps", **more}
        return document(version=version, resource={"thing": {**what, "kubeconfig": {"name": "kube", "key": "config"}}})

    async def make(self, name: str, **labels: str) -> None:
        body = {"metadata": {"name": name, "labels": labels}, "data": {"rows": "1"}}
        await anyio.to_thread.run_sync(self.server.ask, "POST", self.path, body)

    async def change(self, name: str, body: Any) -> None:
        await anyio.to_thread.run_sync(self.server.ask, "PATCH", f"{self.path}/{name}", body, MERGE)

    async def delete(self, name: str) -> None:
        await anyio.to_thread.run_sync(self.server.ask, "DELETE", f"{self.path}/{name}")


@pytest.fixture
def maps(kube_api: KubeApi) -> Iterator[Maps]:
    return Maps(kube_api)


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store, maps: Maps) -> Platform:
    return Platform(memory_bus, store, Secrets({("kube", "config"): maps.server.kubeconfig()}))


def told(records: list[Record]) -> list[str]:
    return [f"{record.event.data['type']} {record.event.data['body']['metadata']['name']}" for record in records]


async def test_what_becomes_of_an_object_is_told_in_order(platform: Platform, maps: Maps) -> None:
    async with platform.running(maps.document()) as host:
        await state(host, "listening")
        await maps.make("a")
        await maps.change("a", {"data": {"rows": "2"}})
        await maps.delete("a")
        records = await platform.records(3)

    added, updated, deleted = (record.event.data for record in records)
    assert told(records) == ["ADD a", "UPDATE a", "DELETE a"]
    assert (added["oldBody"], added["body"]["kind"], added["resource"]) == (None, "ConfigMap", "configmaps")
    assert (updated["oldBody"]["data"], updated["body"]["data"]) == ({"rows": "1"}, {"rows": "2"})
    assert deleted["body"]["data"] == {"rows": "2"}


async def test_what_happens_meanwhile_is_told_in_order(platform: Platform, maps: Maps) -> None:
    await maps.make("gone")
    await maps.make("changed")
    async with platform.running(maps.document()) as host:
        await state(host, "listening")
        await platform.records(2)
    await maps.delete("gone")
    await maps.change("changed", {"data": {"rows": "2"}})
    await maps.make("new")
    async with platform.running(maps.document()):
        records = await platform.records(5)

    assert told(records)[2:] == ["DELETE gone", "UPDATE changed", "ADD new"]
    assert records[2].event.data["body"]["data"] == {"rows": "1"}


async def test_what_the_server_has_forgotten_is_found_by_comparing(platform: Platform, maps: Maps) -> None:
    """A server that was started again does not know old versions any more (410)."""
    for name in ("gone", "changed", "same"):
        await maps.make(name)
    await maps.make("again")
    async with platform.running(maps.document()) as host:
        await state(host, "listening")
        await platform.records(4)
    await maps.delete("gone")
    await maps.delete("again")
    await maps.make("again")
    await maps.change("changed", {"data": {"rows": "2"}})
    await anyio.to_thread.run_sync(maps.server.kill)
    await anyio.to_thread.run_sync(maps.server.start)
    await maps.make("new")
    async with platform.running(maps.document()) as host:
        await state(host, "listening")
        records = await platform.records(9)

    assert sorted(told(records)[4:]) == ["ADD again", "ADD new", "DELETE again", "DELETE gone", "UPDATE changed"]
    assert len(await platform.all()) == 9


async def test_an_object_that_loses_a_label_is_gone_and_comes_back(platform: Platform, maps: Maps) -> None:
    chosen = {"labels": [{"key": "ready", "value": "yes"}]}
    async with platform.running(maps.document(filter=chosen)) as host:
        await state(host, "listening")
        await maps.make("a", ready="no")
        for value in ("yes", "no", "yes"):
            await maps.change("a", {"metadata": {"labels": {"ready": value}}})
        records = await platform.records(3)

    assert told(records) == ["ADD a", "DELETE a", "ADD a"]


async def test_only_those_that_are_meant_are_told(platform: Platform, maps: Maps) -> None:
    filter = {"prefix": "train-", "fields": [{"key": "data.rows", "value": "^1$"}]}
    async with platform.running(maps.document(filter=filter)) as host:
        await state(host, "listening")
        await maps.make("serve-1")
        await maps.make("train-1")
        await maps.change("train-1", {"data": {"rows": "2"}})
        await maps.make("train-2")
        records = await platform.records(2)

    assert told(records) == ["ADD train-1", "ADD train-2"]


async def test_what_is_there_before_comes_unless_it_is_not_wanted(platform: Platform, maps: Maps) -> None:
    await maps.make("before")
    async with platform.running(maps.document(filter={"afterStart": True})) as host:
        await state(host, "listening")
        await maps.make("after")
        await maps.change("before", {"data": {"rows": "2"}})
        records = await platform.records(2)

    assert told(records) == ["ADD after", "UPDATE before"]


async def test_a_resource_that_is_not_there_is_waited_for(platform: Platform, maps: Maps) -> None:
    async with platform.running(maps.document(resource="trainings")) as host:
        waiting = await state(host, "waiting")

    assert "is there such a resource" in (waiting.waiting_for or "")


async def test_a_kubeconfig_that_cannot_be_read_is_said_without_its_text(platform: Platform, maps: Maps) -> None:
    platform.secrets.values["kube", "config"] = "users: [{token: very-secret-token"
    async with platform.running(maps.document()) as host:
        waiting = await state(host, "waiting")

    assert "kubeconfig" in (waiting.waiting_for or "")
    assert "very-secret" not in repr(waiting)


def test_argos_document_has_no_kubeconfig() -> None:
    spec = {"version": "v1", "resource": "pods", "eventTypes": ["ADD"]}

    assert document(version=ARGO, resource={"thing": spec}).spec.entries("resource")["thing"].kubeconfig is None
