"""Hooks that are registered with GitHub, GitLab and Bitbucket: against servers that answer as their documentation says.

None of the three can be had here. What is asked of them, and how their answers are read, is held by these tests; a real
Gitea is in test_source_gitea.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from eventsources import EventSourceDocument
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Platform, Secrets, document, state, until
from tests.servers.launch import free_port

KEY = {"name": "s", "key": "token"}
SECRET = {"name": "s", "key": "secret"}


class Forge:
    """A forge's API: collections of hooks by path. `asked` is every request: method, path, credentials, body."""

    def __init__(self) -> None:
        self.port = free_port()
        self.hooks: dict[str, dict[str, dict[str, Any]]] = {}
        self.asked: list[tuple[str, str, str, Any]] = []
        self.refuses = 0
        self._next = 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0]
        given = request.headers.get("Authorization") or request.headers.get("PRIVATE-TOKEN") or ""
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, path, given, body))
        if self.refuses:
            return web.json_response({"message": "no such right"}, status=self.refuses)
        if path.endswith("/access_tokens"):
            return web.json_response({"token": "installation-token"}, status=201)
        place, _, last = path.rpartition("/")
        if last == "hooks":
            return self._collection(request, path, body)
        return self._one(request, place, last, body)

    def _collection(self, request: web.Request, path: str, body: Any) -> web.Response:
        found = self.hooks.setdefault(path, {})
        if request.method == "GET":
            listed = list(found.values())
            return web.json_response({"values": listed} if "/repositories/" in path else listed)
        made = str(self._next)
        self._next += 1
        found[made] = {"id": int(made), "uuid": made, **body}
        return web.json_response(found[made], status=201)

    def _one(self, request: web.Request, place: str, hook: str, body: Any) -> web.Response:
        found = self.hooks[place]
        if hook not in found:
            return web.json_response({"message": "Not Found"}, status=404)
        if request.method == "DELETE":
            del found[hook]
            return web.Response(status=204)
        found[hook] |= body
        return web.json_response(found[hook])

    def only(self) -> dict[str, Any]:
        (hook,) = [hook for hooks in self.hooks.values() for hook in hooks.values()]
        return hook

    def count(self) -> int:
        return sum(map(len, self.hooks.values()))


@pytest.fixture
async def forge() -> AsyncIterator[Forge]:
    made = Forge()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store, Secrets({("s", "token"): "the-token", ("s", "secret"): "the-secret"}))


def hook() -> dict[str, Any]:
    return {"endpoint": "/in", "port": str(free_port()), "url": "https://hooks.example.org/base/"}


def github(forge: Forge, **more: Any) -> EventSourceDocument:
    entry = {"webhook": hook(), "events": ["push"], "webhookSecret": SECRET, "githubBaseURL": forge.url, **more}
    return document(github={"thing": {"repositories": [{"owner": "acme", "names": ["a b"]}], **entry}})


async def test_githubs_hook_is_made_mended_and_removed(platform: Platform, forge: Forge) -> None:
    async with platform.running(github(forge, apiToken=KEY, deleteHookOnFinish=True, insecure=True)) as host:
        await state(host, "listening")
        await until(lambda: forge.count() == 1)
        made = dict(forge.only())
    gone = forge.count()

    config = {
        "url": "https://hooks.example.org/base/in",
        "content_type": "json",
        "insecure_ssl": "1",
        "secret": "the-secret",
    }
    assert made == {"id": 1, "uuid": "1", "name": "web", "active": True, "events": ["push"], "config": config}
    assert gone == 0
    assert {path for _, path, _, _ in forge.asked} == {"/repos/acme/a%20b/hooks", "/repos/acme/a%20b/hooks/1"}
    assert {given for _, _, given, _ in forge.asked} == {"Bearer the-token"}


async def test_a_hook_of_github_that_is_there_gets_our_settings_and_secret(platform: Platform, forge: Forge) -> None:
    config = {"url": "https://hooks.example.org/base/in"}
    stale = {"id": 7, "events": ["issues"], "active": False, "config": config}
    forge.hooks["/orgs/acme/hooks"] = {"7": stale, "8": {"id": 8, "config": {"url": "https://other.example.org"}}}

    organization = github(forge, apiToken=KEY, repositories=[], organizations=["acme"])
    async with platform.running(organization) as host:
        await state(host, "listening")
        await until(lambda: stale["events"] == ["push"])

    assert (stale["active"], stale["config"]["secret"], forge.count()) == (True, "the-secret", 2)  # type: ignore[index]


async def test_a_github_app_gets_a_token_with_its_key(platform: Platform, forge: Forge) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    platform.secrets.values["s", "pem"] = pem.decode()
    app = {"appID": 1, "installationID": 2, "privateKey": {"name": "s", "key": "pem"}}

    async with platform.running(github(forge, githubApp=app)) as host:
        await state(host, "listening")
        await until(lambda: forge.count() == 1)

    method, path, given, _ = forge.asked[0]
    assert (method, path) == ("POST", "/app/installations/2/access_tokens")
    assert given.count(".") == 2
    assert {given for _, _, given, _ in forge.asked[1:]} == {"Bearer installation-token"}


async def test_gitlabs_hook_is_made_with_its_events_and_token(platform: Platform, forge: Forge) -> None:
    entry = {
        "webhook": hook(),
        "projects": ["acme/models"],
        "events": ["PushEvents", "MergeRequestsEvents"],
        "accessToken": KEY,
        "secretToken": SECRET,
        "gitlabBaseURL": forge.url,
        "deleteHookOnFinish": True,
    }
    async with platform.running(document(gitlab={"thing": entry})) as host:
        await state(host, "listening")
        await until(lambda: forge.count() == 1)
        made = dict(forge.only())

    wanted = {name for name, value in made.items() if name.endswith("_events") and value}
    assert wanted == {"push_events", "merge_requests_events"}
    assert (made["token"], made["url"]) == ("the-secret", "https://hooks.example.org/base/in")
    assert {path for _, path, _, _ in forge.asked} == {
        "/api/v4/projects/acme%2Fmodels/hooks",
        "/api/v4/projects/acme%2Fmodels/hooks/1",
    }
    assert {given for _, _, given, _ in forge.asked} == {"the-token"}
    assert forge.count() == 0


async def test_bitbuckets_hook_is_made_with_its_secret(platform: Platform, forge: Forge) -> None:
    entry = {
        "webhook": hook(),
        "repositories": [{"owner": "acme", "repositorySlug": "models"}],
        "events": ["repo:push"],
        "auth": {"basic": {"username": KEY, "password": SECRET}},
        "webhookSecret": SECRET,
        "bitbucketBaseURL": forge.url,
    }
    async with platform.running(document(bitbucket={"thing": entry})) as host:
        await state(host, "listening")
        await until(lambda: forge.count() == 1)

    made = forge.only()
    assert (made["secret"], made["events"], made["active"]) == ("the-secret", ["repo:push"], True)
    assert {path for _, path, _, _ in forge.asked} == {"/repositories/acme/models/hooks"}
    assert {given for _, _, given, _ in forge.asked} == {"Basic dGhlLXRva2VuOnRoZS1zZWNyZXQ="}


@pytest.mark.parametrize("status", [401, 403, 404, 422, 429, 500, 302])
async def test_what_the_forge_refuses_is_said_and_tried_again(platform: Platform, forge: Forge, status: int) -> None:
    forge.refuses = status
    async with platform.running(github(forge, apiToken=KEY)) as host:
        await until(lambda: host.states()[0].note is not None)
        said = host.states()[0]
        asked = len(forge.asked)
        forge.refuses = 0
        await until(lambda: forge.count() == 1 and host.states()[0].note is None)

    assert said.state == "listening"
    assert str(status) in (said.note or "")
    assert "the-token" not in str(said)
    assert asked <= 2
