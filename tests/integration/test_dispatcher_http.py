"""The dispatcher with real receivers: what reaches them, how often, and what is written down."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
import structlog
from aiohttp import web

from retrain.store import Store, deadletters, firings, open_store
from retrain.store.firings import FiringRow
from triggers import Dispatcher, DispatchSettings, HttpSettings, StaticSecrets, Tools, redrive
from triggers.http import open_http
from triggers.log import open_log

pytestmark = pytest.mark.integration

KINDS = {"http": open_http, "log": open_log}
OWNER = "test"
FAST = {"steps": 5, "duration": "1ms", "factor": 1, "jitter": 0}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """A real HTTP server that keeps what it got."""

    answer: Answer | None = None
    keys: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    keep: bool = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers["Idempotency-Key"])
        if self.keep:
            body = await request.read()
            self.requests.append((request.method, str(request.rel_url), dict(request.headers), body))
        return web.Response(text="ok") if self.answer is None else await self.answer(request)


@asynccontextmanager
async def receiving(answer: Answer | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer)
    runner = web.ServerRunner(web.Server(receiver.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def dispatching(
    path: Path, settings: DispatchSettings | None = None, tools: Tools | None = None
) -> AsyncIterator[tuple[Store, Dispatcher]]:
    async with open_store(path / "store.db") as store:
        dispatcher = Dispatcher(store, OWNER, KINDS, tools=tools, settings=settings)
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            yield store, dispatcher
            group.cancel_scope.cancel()


def a_firing(n: int, action: dict[str, Any], *, trigger: str = "call", sensor: str = "s") -> FiringRow:
    return FiringRow(
        id=f"f-{n:020x}",
        sensor=sensor,
        trigger=trigger,
        key="",
        events=(f"{n:032x}",),
        action=action,
        created=datetime.now(UTC),
    )


def post(url: str, **more: Any) -> dict[str, Any]:
    return {"kind": "http", "url": url, "payload": {"n": 1}, "retryStrategy": FAST} | more


async def hand_over(store: Store, dispatcher: Dispatcher, rows: list[FiringRow]) -> None:
    """As the sensor host does it."""
    written = await store.write(lambda c: dispatcher.enlist(c, rows))
    dispatcher.offer(written)


async def ended(store: Store, firing_id: str, *states: str) -> FiringRow:
    """The firing once it is in one of `states` (done or dead)."""
    with anyio.fail_after(20):
        while True:
            row = await store.read(lambda c: firings.get(c, firing_id))
            if row is not None and row.state in (states or ("done", "dead")):
                return row
            await anyio.sleep(0.01)


async def all_ended(store: Store, count: int, *, seconds: float = 60) -> dict[str, int]:
    with anyio.fail_after(seconds):
        while True:
            counts = await store.read(firings.counts)
            if counts.get("done", 0) + counts.get("dead", 0) >= count:
                return counts
            await anyio.sleep(0.02)


async def one(path: Path, action: dict[str, Any], tools: Tools | None = None) -> FiringRow:
    """How one firing with this action ends."""
    async with dispatching(path, tools=tools) as (store, dispatcher):
        await hand_over(store, dispatcher, [a_firing(1, action)])
        return await ended(store, a_firing(1, action).id)


async def test_a_firing_reaches_its_receiver_with_its_id_and_its_answer_is_kept(tmp_path: Path) -> None:
    async with receiving() as receiver:
        action = post(receiver.url, method="PUT", headers={"X-Model": "churn"})

        row = await one(tmp_path, action)

    assert row.state == "done"
    assert row.attempts == 1
    assert row.result == {"status": 200, "body": "ok"}
    method, _, headers, body = receiver.requests[0]
    assert method == "PUT"
    assert headers["Idempotency-Key"] == row.id
    assert headers["X-Model"] == "churn"
    assert headers["Content-Type"] == "application/json"
    assert body == b'{"n":1}'


async def test_a_firing_that_only_waits_in_the_store_is_claimed(tmp_path: Path) -> None:
    async with receiving() as receiver, dispatching(tmp_path) as (store, _):
        row = a_firing(1, post(receiver.url))
        await store.write(lambda c: firings.add(c, [row]))
        store.signals.notify("firings")

        assert (await ended(store, row.id)).state == "done"


async def test_a_firing_that_is_known_is_not_acted_on_again(tmp_path: Path) -> None:
    async with receiving() as receiver, dispatching(tmp_path) as (store, dispatcher):
        row = a_firing(1, post(receiver.url))
        await hand_over(store, dispatcher, [row])
        await ended(store, row.id)

        await hand_over(store, dispatcher, [row, a_firing(2, post(receiver.url))])
        await ended(store, a_firing(2, {}).id)

    assert len(receiver.keys) == 2
    assert len(set(receiver.keys)) == 2


async def test_a_failed_act_is_tried_again_with_the_same_key(tmp_path: Path) -> None:
    async def fail_twice(request: web.Request) -> web.Response:
        return web.Response(status=500 if len(receiver.keys) < 3 else 200, text="hm")

    async with receiving(fail_twice) as receiver:
        row = await one(tmp_path, post(receiver.url))

    assert (row.state, row.attempts, row.error) == ("done", 3, None)
    assert receiver.keys == [row.id] * 3


async def test_attempts_end_in_a_dead_letter_and_redrive_begins_again(tmp_path: Path) -> None:
    healthy = False

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if healthy else 503, text="no model yet")

    async with receiving(answer) as receiver, dispatching(tmp_path) as (store, dispatcher):
        row = a_firing(1, post(receiver.url, retryStrategy={**FAST, "steps": 2}))
        await hand_over(store, dispatcher, [row])
        dead = await ended(store, row.id)
        assert (dead.state, dead.attempts) == ("dead", 2)
        assert dead.error == "answered 503 Service Unavailable: no model yet (attempt 2 of 2)"
        letter = (await store.read(deadletters.listing)).items[0]
        assert (letter.origin, letter.reason) == ("s/call", dead.error)

        healthy = True
        await store.write(lambda c: redrive(c, letter.id, datetime.now(UTC)))
        store.signals.notify("firings")
        await ended(store, row.id, "done")

        assert await store.read(deadletters.count) == 0
    assert receiver.keys == [row.id] * 3


async def test_a_firing_that_dies_twice_leaves_two_letters(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with receiving(answer) as receiver, dispatching(tmp_path) as (store, dispatcher):
        row = a_firing(1, post(receiver.url))
        await hand_over(store, dispatcher, [row])
        await ended(store, row.id)

        await store.write(lambda c: redrive(c, row.id, datetime.now(UTC)))
        store.signals.notify("firings")
        assert (await ended(store, row.id, "dead")).attempts == 1

        assert len((await store.read(deadletters.listing)).items) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_an_answer_that_says_no_is_final(tmp_path: Path, status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text="no such model")

    async with receiving(answer) as receiver:
        row = await one(tmp_path, post(receiver.url))

    assert row.state == "dead"
    assert len(receiver.keys) == 1
    assert "no such model" in (row.error or "")


async def test_a_status_that_the_policy_allows_is_success_and_any_other_is_tried_again(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if len(receiver.keys) == 1 else 409)

    async with receiving(answer) as receiver:
        row = await one(tmp_path, post(receiver.url, policy={"status": {"allow": [409]}}))

    assert row.state == "done"
    assert row.result["status"] == 409
    assert len(receiver.keys) == 2


async def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "1800"})

    async with receiving(answer) as receiver, dispatching(tmp_path) as (store, dispatcher):
        row = a_firing(1, post(receiver.url))
        before = datetime.now(UTC)
        await hand_over(store, dispatcher, [row])
        found = await ended(store, row.id, "pending")

    assert found.next_attempt is not None
    assert found.next_attempt >= before + timedelta(seconds=1800)


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with receiving(answer) as receiver:
        row = await one(tmp_path, post(receiver.url))

    assert row.state == "dead"
    assert "redirects are not followed" in (row.error or "")
    assert len(receiver.keys) == 1


async def test_a_slow_answer_times_out_and_is_tried_again(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if len(receiver.keys) == 1:
            await asyncio.sleep(30)
        return web.Response(text="ok")

    async with receiving(answer) as receiver:
        row = await one(tmp_path, post(receiver.url, timeout="200ms"))

    assert (row.state, row.attempts) == ("done", 2)


async def test_a_refused_connection_is_tried_again(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"

    row = await one(tmp_path, post(url, retryStrategy={**FAST, "steps": 3}))

    assert (row.state, row.attempts) == ("dead", 3)
    assert "no answer" in (row.error or "")


async def test_a_large_answer_is_kept_in_part(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 3_000_000)

    async with receiving(answer) as receiver:
        row = await one(tmp_path, post(receiver.url))

    assert row.state == "done"
    assert row.result["truncated"] is True
    assert len(row.result["body"]) == 4096


async def test_an_endless_answer_holds_nobody_up(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with receiving(answer) as receiver:
        row = await one(tmp_path, post(receiver.url))

    assert row.state == "done"


async def test_addresses_that_hand_out_credentials_are_closed(tmp_path: Path) -> None:
    row = await one(tmp_path, post("http://169.254.169.254/latest/meta-data/"))

    assert row.state == "dead"
    assert "closed to triggers" in (row.error or "")


async def test_a_name_cannot_lead_to_a_closed_address(tmp_path: Path) -> None:
    from ipaddress import ip_network

    async with receiving() as receiver:
        tools = Tools(http=HttpSettings(deny=(ip_network("127.0.0.0/8"), ip_network("::1/128"))))
        row = await one(tmp_path, post(receiver.url.replace("127.0.0.1", "localhost")), tools)

    assert row.state == "dead"
    assert "localhost (" in (row.error or "")
    assert receiver.keys == []


async def test_secrets_reach_the_receiver_and_nothing_else(tmp_path: Path) -> None:
    async def echo(request: web.Request) -> web.Response:
        text = f"{request.headers['X-Token']} {request.headers['Authorization']}"
        return web.Response(status=200 if len(receiver.keys) > 1 else 500, text=text, reason="hunter2-is-wrong")

    secrets = StaticSecrets({"api": {"token": "tok-48151623\n", "user": "ann", "password": "hunter2"}})
    action = {
        "secureHeaders": [{"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}],
        "basicAuth": {"username": {"name": "api", "key": "user"}, "password": {"name": "api", "key": "password"}},
    }
    async with receiving(echo) as receiver:
        with structlog.testing.capture_logs() as logged:
            row = await one(tmp_path, post(receiver.url, **action), Tools(secrets=secrets))

    headers = receiver.requests[0][2]
    assert headers["X-Token"] == "tok-48151623"
    assert headers["Authorization"] == "Basic YW5uOmh1bnRlcjI="
    assert row.state == "done"
    everything = repr((row, logged)) + (tmp_path / "store.db").read_bytes().decode("latin1")
    everything += (
        (tmp_path / "store.db-wal").read_bytes().decode("latin1") if (tmp_path / "store.db-wal").exists() else ""
    )
    for secret in ("tok-48151623", "hunter2", "YW5uOmh1bnRlcjI="):
        assert secret not in everything


async def test_a_missing_secret_is_a_dead_letter_that_names_it(tmp_path: Path) -> None:
    secure = [{"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}]

    row = await one(tmp_path, post("http://127.0.0.1:9/", secureHeaders=secure))

    assert row.state == "dead"
    assert row.error == "no secret 'api' with a key 'token' is known here"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tls": {"insecureSkipVerify": True}}, "http.tls is for https:// only"),
        ({"method": "TRACE"}, "http.method 'TRACE'"),
        ({"url": "file:///etc/passwd"}, "http.url must be"),
        ({"url": "http://[::1"}, "http.url is no URL"),
        ({"headers": {"X": "a\r\nX-Evil: 1"}}, "holds characters"),
        ({"timeout": "soon"}, "http.timeout"),
        ({"policy": {"k8s": {}}}, "policy.k8s is not supported"),
        ({"retryStrategy": {"step": 1}}, "retryStrategy has no field 'step'"),
        ({"kind": "email"}, "trigger kind 'email' is not supported here; there are http, log"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    row = await one(tmp_path, post("http://127.0.0.1:9/") | change)

    assert row.state == "dead"
    assert said in (row.error or "")


async def test_a_slow_receiver_holds_up_only_its_own_trigger(tmp_path: Path) -> None:
    async def stuck(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    settings = DispatchSettings(per_trigger=4, in_all=8, grace_s=0.1)
    async with (
        receiving(stuck) as slow,
        receiving() as quick,
        dispatching(tmp_path, settings) as (store, dispatcher),
    ):
        rows = [a_firing(n, post(slow.url), trigger="slow") for n in range(20)]
        await hand_over(store, dispatcher, [*rows, a_firing(99, post(quick.url), trigger="quick")])

        assert (await ended(store, a_firing(99, {}).id)).state == "done"
        assert len(slow.keys) <= 4


async def test_connections_are_reused_and_given_back(tmp_path: Path) -> None:
    async with receiving() as receiver, dispatching(tmp_path) as (store, dispatcher):
        receiver.keep = False
        await hand_over(store, dispatcher, [a_firing(n, post(receiver.url)) for n in range(200)])
        await all_ended(store, 200)
        before = psutil.Process().num_fds()

        for start in range(200, 2000, 600):
            rows = [a_firing(n, post(receiver.url)) for n in range(start, start + 600)]
            await hand_over(store, dispatcher, rows)
            await all_ended(store, start + 600)

        assert psutil.Process().num_fds() <= before + 4


@pytest.mark.slow
async def test_a_burst_larger_than_memory_loses_and_doubles_nothing(tmp_path: Path) -> None:
    count = 10_000
    async with receiving() as receiver, dispatching(tmp_path) as (store, dispatcher):
        receiver.keep = False
        for start in range(0, count, 1000):
            rows = [a_firing(n, post(receiver.url), trigger=f"t{n % 3}") for n in range(start, start + 1000)]
            await hand_over(store, dispatcher, rows)
            assert dispatcher.held <= 4096 + 1000 + 256  # one batch of the host, one claim

        counts = await all_ended(store, count, seconds=100)

    assert counts == {"done": count}
    assert Counter(Counter(receiver.keys).values()) == {1: count}


async def test_what_waits_at_shutdown_is_given_back_and_what_acts_may_end(tmp_path: Path) -> None:
    arrived = asyncio.Event()
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        arrived.set()
        await go_on.wait()
        return web.Response(text="ok")

    async with receiving(answer) as receiver, open_store(tmp_path / "store.db") as store:
        dispatcher = Dispatcher(store, OWNER, KINDS, settings=DispatchSettings(per_trigger=1))
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            await hand_over(store, dispatcher, [a_firing(n, post(receiver.url)) for n in range(3)])
            await arrived.wait()
            group.cancel_scope.cancel()
            go_on.set()

        states = [await store.read(lambda c, n=n: firings.get(c, a_firing(n, {}).id)) for n in range(3)]

    assert [(row.state, row.owner) for row in states if row] == [("done", None), ("pending", None), ("pending", None)]
