"""The adapter to a Kubernetes API while the API server, its etcd and the network fail: nothing final is said."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import anyio
import anyio.to_thread
import pytest

from retrain.errors import Transient
from retrain.kube import AlreadyExists, Busy, Cluster, Denied, Expired, KindMissing, Unreachable, cluster, path_of
from tests.servers.kube_lab import Lab
from tests.servers.kube_proxy import KubeProxy, proxied, spoil

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ASKING = 4
"""Callers at once, so that the moments of a start are met."""


@pytest.fixture
def space(kube_lab: Lab) -> str:
    """A namespace. Nobody in the lab would delete what is in it, so it stays."""
    name = f"faults-{uuid.uuid4().hex[:8]}"
    kube_lab.api.make_namespace(name)
    return name


@pytest.fixture
def proxy(kube_lab: Lab) -> Iterator[KubeProxy]:
    with proxied(kube_lab.api) as made:
        yield made


def at(space: str) -> str:
    return path_of("argoproj.io", "v1alpha1", "workflows", space)


def workflow(name: str) -> dict[str, Any]:
    template = {"name": "main", "suspend": {"duration": "1"}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": [template]},
    }


async def create_in_the_end(server: Cluster, path: str, name: str, met: Counter[str]) -> None:
    """As a careful caller does it: again after each error that says so."""
    while True:
        try:
            await server.create(path, workflow(name))
            return
        except AlreadyExists:
            met["AlreadyExists"] += 1
            return
        except Transient as error:
            met[type(error).__name__] += 1
            await anyio.sleep(0.01)


async def discover(server: Cluster, met: Counter[str]) -> None:
    try:
        await server.get("/apis/argoproj.io/v1alpha1")
    except Transient as error:
        met[type(error).__name__] += 1


@pytest.mark.slow
async def test_whatever_a_restarting_server_says_to_who_may_ask_is_never_final(kube_lab: Lab, space: str) -> None:
    """For a moment it forbids everybody but administrators everything, and knows no custom resource."""
    met: Counter[str] = Counter()
    over = anyio.Event()
    wanted: set[str] = set()

    async def ask(server: Cluster, who: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            wanted.add(name := f"w-{who}-{number}")
            await create_in_the_end(server, at(space), name, met)
            await discover(server, met)

    with anyio.fail_after(120):
        async with cluster(kube_lab.account(space)) as server, anyio.create_task_group() as callers:
            for who in range(ASKING):
                callers.start_soon(ask, server, who)
            for _ in range(3):
                await anyio.to_thread.run_sync(kube_lab.kill_api)
                await anyio.to_thread.run_sync(kube_lab.api.start)
                await anyio.sleep(1)
            await anyio.to_thread.run_sync(kube_lab.restart_etcd)
            over.set()

    assert met["Unreachable"] > 0
    assert {one["metadata"]["name"] for one in kube_lab.workflows(space)} == wanted


async def test_who_may_not_ask_is_told_so_by_a_server_that_is_ready(kube_lab: Lab, space: str) -> None:
    async with cluster(kube_lab.account(space)) as server:
        with pytest.raises(Denied, match="cannot list resource"):
            await server.get(path_of("", "v1", "secrets", space), {"limit": "1"})
        with pytest.raises(KindMissing):
            await server.get("/apis/nobody.example/v1")


async def test_a_create_whose_answer_is_lost_has_happened_once(kube_lab: Lab, space: str, proxy: KubeProxy) -> None:
    met: Counter[str] = Counter()
    proxy.spoils = (spoil("lose", "create", share=0.5),)
    names = {f"w-{number}" for number in range(30)}

    async with cluster(proxy.kubeconfig) as server:
        for name in sorted(names):
            await create_in_the_end(server, at(space), name, met)

    assert proxy.done["lose"] > 0
    assert met["AlreadyExists"] > 0
    assert {one["metadata"]["name"] for one in kube_lab.workflows(space)} == names


async def test_what_a_busy_server_answers_is_told_apart(space: str, proxy: KubeProxy) -> None:
    async with cluster(proxy.kubeconfig) as server:
        proxy.spoils = (spoil("answer", "create", status=429, after_s=7),)
        with pytest.raises(Busy) as busy:
            await server.create(at(space), workflow("w"))
        proxy.spoils = (spoil("answer", "create", status=500),)
        with pytest.raises(Busy, match="500"):
            await server.create(at(space), workflow("w"))
        proxy.spoils = (spoil("refuse", "create"),)
        with pytest.raises(Unreachable):
            await server.create(at(space), workflow("w"))

    assert busy.value.after_s == 7


async def test_a_watch_says_that_it_was_cut_or_that_its_version_is_too_old(space: str, proxy: KubeProxy) -> None:
    async def watch(server: Cluster) -> None:
        async with aclosing(server.watch(at(space), {}, "0")) as events:
            async for _ in events:
                await anyio.to_thread.run_sync(proxy.cut_watches)

    async with cluster(proxy.kubeconfig) as server:
        with pytest.raises(Unreachable):
            await watch(server)
        proxy.spoils = (spoil("expire", "watch"),)
        with pytest.raises(Expired):
            await watch(server)
