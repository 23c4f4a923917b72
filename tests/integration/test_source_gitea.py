"""The gitea source against a real Gitea: it registers its hook, takes what is pushed, and leaves nothing behind."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio
import pytest

from eventsources import EventSourceDocument
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Platform, Secrets, document, state, until
from tests.servers.forge_servers import Gitea
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SECRET = "between-gitea-and-us"


@pytest.fixture
def repository(gitea_server: Gitea) -> str:
    return gitea_server.repository(f"r-{uuid4().hex[:12]}")


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store, gitea_server: Gitea) -> Platform:
    secrets = {("gitea", "token"): gitea_server.token, ("gitea", "secret"): SECRET}
    return Platform(memory_bus, store, Secrets(secrets))


def source(gitea: Gitea, repository: str, port: int, **more: Any) -> EventSourceDocument:
    owner, _, name = repository.partition("/")
    entry = {
        "webhook": {"endpoint": "/gitea", "port": str(port), "url": f"http://127.0.0.1:{port}"},
        "repositories": [{"owner": owner, "names": [name]}],
        "events": ["push"],
        "giteaBaseURL": gitea.url,
        "apiToken": {"name": "gitea", "key": "token"},
        "webhookSecret": {"name": "gitea", "key": "secret"},
        **more,
    }
    return document(gitea={"thing": entry})


async def call(work: Any, *words: Any) -> Any:
    return await anyio.to_thread.run_sync(work, *words)


async def hooks(gitea: Gitea, repository: str, count: int) -> list[dict[str, Any]]:
    """The repository's hooks, once there are so many."""
    with anyio.fail_after(30):
        while len(found := await call(gitea.hooks, repository)) != count:  # noqa: ASYNC110 - Gitea tells nobody
            await anyio.sleep(0.05)
    return found


async def test_a_push_becomes_one_event_by_a_hook_that_registers_itself(
    platform: Platform, gitea_server: Gitea, repository: str
) -> None:
    async with platform.running(source(gitea_server, repository, free_port(), deleteHookOnFinish=True)) as host:
        await state(host, "listening")
        (hook,) = await hooks(gitea_server, repository, 1)
        commit = await call(gitea_server.commit, repository, "model.yaml", "version: 1")
        (record,) = await platform.records(1)
    await hooks(gitea_server, repository, 0)

    assert hook["active"]
    assert hook["events"] == ["push"]
    assert record.event.data["body"]["after"] == commit
    assert record.event.id == record.event.data["headers"]["X-Gitea-Delivery"][0]
    assert record.event.type == "gitea"
    assert SECRET.encode() not in record.event.to_json()


async def test_a_delivery_that_gitea_repeats_is_one_event(
    platform: Platform, gitea_server: Gitea, repository: str
) -> None:
    """A hook that was answered badly is redelivered by hand in Gitea; two hooks of one repository tell it twice."""
    port = free_port()
    async with platform.running(source(gitea_server, repository, port)) as host:
        await state(host, "listening")
        (hook,) = await hooks(gitea_server, repository, 1)
        config = {"url": hook["config"]["url"], "content_type": "json", "secret": SECRET}
        body = {"type": "gitea", "active": True, "events": ["push"], "config": config}
        await call(gitea_server.call, "POST", f"/repos/{repository}/hooks", body)
        await call(gitea_server.commit, repository, "a.yaml", "a: 1")
        await until(lambda: host.states()[0].received == 2)
        records = await platform.all()

    assert len(records) == 1


async def test_a_hook_that_was_there_is_mended_and_not_doubled(
    platform: Platform, gitea_server: Gitea, repository: str
) -> None:
    port = free_port()
    config = {"url": f"http://127.0.0.1:{port}/gitea", "content_type": "json", "secret": "another"}
    body = {"type": "gitea", "active": False, "events": ["create"], "config": config}
    await call(gitea_server.call, "POST", f"/repos/{repository}/hooks", body)

    async with platform.running(source(gitea_server, repository, port)) as host:
        await state(host, "listening")
        with anyio.fail_after(30):
            while not (await hooks(gitea_server, repository, 1))[0]["active"]:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.05)
        await call(gitea_server.commit, repository, "a.yaml", "a: 1")
        (record,) = await platform.records(1)

    assert record.event.data["body"]["ref"] == "refs/heads/main"  # so it was signed with our secret


async def test_a_token_that_gitea_does_not_take_is_said_and_the_endpoint_is_open(
    platform: Platform, gitea_server: Gitea, repository: str
) -> None:
    platform.secrets.values["gitea", "token"] = "wrong-token-000"
    async with platform.running(source(gitea_server, repository, free_port())) as host:
        await until(lambda: host.states()[0].note is not None)
        said = host.states()[0]
        platform.secrets.values["gitea", "token"] = gitea_server.token
        await hooks(gitea_server, repository, 1)
        await until(lambda: host.states()[0].note is None)

    assert said.state == "listening"
    assert "401" in (said.note or "")
    assert "wrong-token-000" not in str(said)
