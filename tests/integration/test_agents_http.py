"""`http` templates against a real server."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from pipelines.agents.http import HttpAgent, HttpSettings
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local.leaf import StepRun

RUN = StepRun("r-1", "wf", "r-1", Path("/nowhere"))
SECRETS = {("Secret", "api"): {"token": "s3cret"}}


@dataclass
class Server:
    """A server that keeps what it was asked."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        match request.path:
            case "/status":
                return web.Response(status=int(request.query["code"]), text="no")
            case "/away":
                raise web.HTTPFound(request.query["to"])
            case "/around":
                raise web.HTTPFound("/around")
            case "/kept":
                raise web.HTTPTemporaryRedirect("/echo")
            case "/slow":
                await anyio.sleep_forever()
            case "/big":
                return web.Response(body=b"x" * 100_000)
            case "/binary":
                return web.Response(body=b"\xff\x00a")
        return web.Response(text=f"echo {await request.text()}", headers={"x-mark": "one"})


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def ask(settings: HttpSettings | None = None, **http: Any) -> TaskResult:
    agent = HttpAgent(SECRETS, settings or HttpSettings())
    try:
        with anyio.fail_after(10):
            return await agent.do(Task("wf-1", "wf", "wf-1", {"http": http}), RUN)
    finally:
        await agent.aclose()


async def test_the_body_of_the_answer_is_the_result():
    async with serving() as server:
        result = await ask(url=f"{server.url}/echo", method="POST", body="hello")

    assert (result.phase, result.result, result.message, result.exit_code) == (Phase.Succeeded, "echo hello", "", None)
    assert server.asked[0][3] == b"hello"


async def test_the_same_node_always_has_the_same_idempotency_key():
    async with serving() as server:
        await ask(url=server.url)
        await ask(url=server.url)

    assert [asked[2]["Idempotency-Key"] for asked in server.asked] == ["r-1/wf-1", "r-1/wf-1"]


async def test_headers_come_as_written_or_out_of_a_secret():
    async with serving() as server:
        await ask(
            url=server.url,
            headers=[
                {"name": "X-One", "value": "1"},
                {"name": "Host", "value": "example.test"},
                {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
            ],
        )

    sent = server.asked[0][2]
    assert (sent["X-One"], sent["Host"], sent["Authorization"]) == ("1", "example.test", "s3cret")


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"name": "nope", "key": "a"}, 'secrets "nope" not found'),
        ({"name": "api", "key": "a"}, "secret 'api' does not have the key 'a'"),
    ],
)
async def test_a_secret_that_is_not_there_fails_the_node(ref, message):
    result = await ask(url="http://127.0.0.1:9/", headers=[{"name": "A", "valueFrom": {"secretKeyRef": ref}}])

    assert (result.phase, result.message) == (Phase.Failed, message)


async def test_bytes_of_body_from_are_sent_as_they_are():
    async with serving() as server:
        await ask(url=server.url, method="PUT", bodyFrom={"bytes": b64encode(b"\x00\xff").decode()})

    assert server.asked[0][3] == b"\x00\xff"


async def test_an_answer_that_is_no_success_fails_with_its_code_and_keeps_its_body():
    async with serving() as server:
        result = await ask(url=f"{server.url}/status?code=404")

    assert (result.phase, result.message) == (Phase.Failed, "received non-2xx response code: 404")
    assert result.result == "no"


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("response.statusCode == 404", ""),
        ('response.body contains "no"', ""),
        ('response.headers["Content-Type"][0] startsWith "text/plain"', ""),
        ('request.method == "GET" && request.headers["X-A"][0] == "b"', ""),
        ("response.statusCode == 200", "successCondition 'response.statusCode == 200' evaluated false"),
    ],
)
async def test_a_success_condition_decides_in_place_of_the_code(condition, message):
    async with serving() as server:
        headers = [{"name": "X-A", "value": "b"}]
        url = f"{server.url}/status?code=404"
        result = await ask(url=url, method="GET", headers=headers, successCondition=condition)

    assert (result.phase, result.message) == (Phase.Failed if message else Phase.Succeeded, message)


@pytest.mark.parametrize("condition", ["response.nope.x", "1 +", '"text"', "response.body + 1"])
async def test_a_condition_that_cannot_be_judged_fails_the_node(condition):
    async with serving() as server:
        result = await ask(url=server.url, successCondition=condition)

    assert result.phase is Phase.Failed
    assert result.message


async def test_a_redirect_is_followed_and_secrets_stay_with_the_first_server():
    async with serving() as one, serving() as other:
        headers = [
            {"name": "X-Key", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
            {"name": "X-Plain", "value": "1"},
        ]
        result = await ask(url=f"{one.url}/away?to={other.url}/echo", method="POST", body="b", headers=headers)

    assert result.result == "echo "
    method, _, sent, body = other.asked[0]
    assert (method, body, sent.get("X-Key"), sent["X-Plain"]) == ("GET", b"", None, "1")


async def test_a_redirect_that_keeps_the_method_keeps_the_body():
    async with serving() as server:
        result = await ask(url=f"{server.url}/kept", method="POST", body="b")

    assert result.result == "echo b"


async def test_redirects_come_to_an_end():
    async with serving() as server:
        result = await ask(url=f"{server.url}/around")

    assert (result.phase, result.message) == (Phase.Failed, "stopped after 10 redirects")
    assert len(server.asked) == 11


async def test_a_server_that_does_not_answer_is_given_up():
    async with serving() as server:
        result = await ask(url=f"{server.url}/slow", timeoutSeconds=0.2)

    assert (result.phase, result.message) == (Phase.Failed, f'Get "{server.url}/slow": no answer within the timeout')


async def test_an_answer_has_a_size():
    async with serving() as server:
        result = await ask(HttpSettings(body_limit=1000), url=f"{server.url}/big")

    assert (result.phase, result.message) == (Phase.Failed, "the answer is larger than 1000 bytes")


async def test_an_answer_that_is_no_text_is_kept_readable():
    async with serving() as server:
        result = await ask(url=f"{server.url}/binary")

    assert result.result == "\ufffd\x00a"


@pytest.mark.parametrize(
    "url", ["", "nope", "ftp://x/", "http://", "file:///etc/passwd", "http://127.0.0.1:9/", "http://no.such.invalid/"]
)
async def test_what_cannot_be_asked_fails_the_node(url):
    result = await ask(url=url)

    assert result.phase is Phase.Failed
    assert result.message


async def test_a_password_in_a_url_is_shown_to_nobody():
    result = await ask(url="http://user:hunter2@127.0.0.1:9/")

    assert result.phase is Phase.Failed
    assert "hunter2" not in result.message


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/"])
async def test_where_clouds_keep_credentials_is_closed(url):
    result = await ask(url=url)

    assert result.phase is Phase.Failed
    assert "closed to http templates" in result.message


async def test_private_addresses_can_be_closed_for_names_too():
    async with serving() as server:
        port = server.url.rpartition(":")[2]
        results = [
            await ask(HttpSettings(private=False), url=url)
            for url in (server.url, f"http://localhost:{port}/", f"http://[::1]:{port}/")
        ]

    assert all("closed to http templates" in result.message for result in results)
    assert server.asked == []


async def test_a_header_cannot_smuggle_another():
    async with serving() as server:
        result = await ask(url=server.url, headers=[{"name": "A", "value": "b\r\nX: y"}])

    assert (result.phase, server.asked) == (Phase.Failed, [])
