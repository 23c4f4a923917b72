"""The door over real sockets: who may hold it, what it survives, and that nobody who was let in is cut off."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from structlog.testing import capture_logs

from eventsources import SourceHost
from retrain import connections
from retrain.bus import MemoryBus
from retrain.events import Event
from retrain.store import Store
from tests.contract.source_world import Flaky, Platform, Secrets, document, state, until
from tests.servers.certificates import Authority
from tests.servers.launch import free_port

TOKEN = "a-token-that-nobody-may-see"


@pytest.fixture
def flaky(memory_bus: MemoryBus) -> Flaky:
    return Flaky(memory_bus)


@pytest.fixture
def platform(flaky: Flaky, store: Store) -> Platform:
    bus: Any = flaky
    return Platform(bus, store, Secrets({("door", "token"): TOKEN}))


@pytest.fixture
def port() -> int:
    return free_port()


def webhook(port: int, **more: Any) -> dict[str, Any]:
    return {"thing": {"port": str(port), "endpoint": "/in", **more}}


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        yield one


def request(body: bytes, *headers: str, path: str = "/in") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: h",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(one: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    parts: list[bytes] = []
    while part := one.recv(65536):
        parts.append(part)
    return b"".join(parts)


async def aside(work: Any, *words: Any) -> Any:
    return await anyio.to_thread.run_sync(work, *words)


# --- routes ----------------------------------------------------------------------------------------------------------


async def test_endpoints_of_several_sources_share_a_port_by_method_and_path(platform: Platform, port: int) -> None:
    first = document("one", webhook={"a": {"port": str(port), "endpoint": "/a"}})
    methods = {name: {"port": str(port), "endpoint": "/b", "method": name.upper()} for name in ("get", "post", "put")}
    second = document("two", webhook=methods)

    async with platform.running(first, second) as host:
        await until(lambda: {one.state for one in host.states()} == {"listening"})
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for method, path in (("POST", "/a"), ("GET", "/b"), ("POST", "/b"), ("PUT", "/b")):
                assert (await client.request(method, path, json={})).status_code == 202
            refused = await client.delete("/b")
        records = await platform.records(4)

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST, PUT")
    assert [(r.event.source, r.event.subject) for r in records] == [
        ("one", "a"),
        ("two", "get"),
        ("two", "post"),
        ("two", "put"),
    ]


async def test_a_delivery_that_is_repeated_is_one_event(platform: Platform, port: int) -> None:
    async with platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answers = [await client.post("/in", json={}, headers={"X-GitHub-Delivery": "d-1"}) for _ in range(3)]

    assert [one.status_code for one in answers] == [202] * 3
    assert len(await platform.all()) == 1


async def test_503_with_a_time_to_come_back_while_the_bus_is_away(platform: Platform, flaky: Flaky, port: int) -> None:
    async with platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            flaky.away = True
            away = await client.post("/in", json={})
            flaky.away = False
            back = await client.post("/in", json={})

    assert (away.status_code, away.headers["retry-after"], back.status_code) == (503, "1", 202)


# --- what is hostile -------------------------------------------------------------------------------------------------


async def test_headers_that_never_end_are_refused(platform: Platform, port: int) -> None:
    def flood(line: bytes) -> bytes:
        with connected(port) as one:
            one.sendall(b"POST /in HTTP/1.1\r\n")
            try:
                for _ in range(10_000):
                    one.sendall(line)
            except OSError:
                pass
            try:
                return answer(one)
            except OSError:
                return b""

    async with platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        for line in (b"a: b\r\n", b"a: " + b"x" * 1000 + b"\r\n", b"x" * 1000):
            said = await aside(flood, line)
            assert said == b"" or b" 431 " in said.splitlines()[0]  # the answer may be lost to who still sends
        assert await posts(port)


async def test_one_header_too_many_is_said(platform: Platform, port: int) -> None:
    def send() -> bytes:
        with connected(port) as one:
            one.sendall(request(b"{}", *(f"X-{number}: 1" for number in range(connections.FIELDS))))
            return answer(one)

    async with platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        said = await aside(send)

    assert said.startswith(b"HTTP/1.1 431 ")


@pytest.mark.slow
async def test_a_client_that_drips_its_headers_is_sent_away(platform: Platform, port: int) -> None:
    def drip(begin: bytes) -> bytes:
        with connected(port) as one:
            one.sendall(begin)
            return answer(one)

    async with platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        with anyio.fail_after(3 * connections.HEAD_S + 10):
            for begin in (b"", b"\r\n\r\n", b"POST /in HT"):
                said = await aside(drip, begin)
                assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
        assert await posts(port)


@pytest.mark.parametrize(
    "head",
    [
        "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: -2\r\n\r\n{}",
        "POST /in\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_a_request_that_may_be_read_in_two_ways_is_not_read(platform: Platform, port: int, head: str) -> None:
    def send() -> bytes:
        with connected(port) as one:
            one.sendall(head.encode("latin-1"))
            one.shutdown(socket.SHUT_WR)
            return answer(one)

    async with platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        said = await aside(send)

    assert said == b"" or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
    assert await platform.all() == []


async def test_chunked_and_compressed_bodies_are_taken_up_to_the_limit(platform: Platform, port: int) -> None:
    async def chunks(total: int) -> Any:
        yield b'"'
        for _ in range(total // 1000):
            yield b"x" * 1000
        yield b'"'

    json = {"Content-Type": "application/json"}
    async with platform.running(document(webhook=webhook(port, maxPayloadSize=100_000))) as host:
        await state(host, "listening")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            fits = await client.post("/in", content=chunks(90_000), headers=json)
            too_long = await client.post("/in", content=chunks(200_000), headers=json)
            packed = {**json, "Content-Encoding": "gzip"}
            good = await client.post("/in", content=gzip.compress(b'{"a": 1}'), headers=packed)
            bomb = await client.post("/in", content=gzip.compress(b"0" * 50_000_000), headers=packed)
            odd = await client.post("/in", content=b"{}", headers={**json, "Content-Encoding": "br"})

    assert [one.status_code for one in (fits, too_long, good, bomb, odd)] == [202, 413, 202, 413, 415]


# --- the log ---------------------------------------------------------------------------------------------------------


async def test_the_access_log_tells_who_was_refused_and_no_secret(platform: Platform, port: int) -> None:
    guarded = webhook(port, authSecret={"name": "door", "key": "token"})
    with capture_logs() as logs:
        async with platform.running(document(webhook=guarded)) as host:
            await state(host, "listening")
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                for given in (TOKEN, "guess-1", "guess-2", "guess-3"):
                    path = f"/in?token={given}"
                    await client.post(path, json={"password": given}, headers={"Authorization": f"Bearer {given}"})

    lines = [line for line in logs if line["event"].startswith("webhook.re")]
    assert [(line["event"], line["status"], line["endpoint"]) for line in lines] == [
        ("webhook.request", 202, "es/thing"),
        ("webhook.refused", 401, "es/thing"),  # the others came in the same second
    ]
    assert TOKEN not in str(logs)
    assert "guess" not in str(logs)


# --- the end ---------------------------------------------------------------------------------------------------------


class Slow(Flaky):
    """A bus that takes its time: until it is told to go on."""

    def __init__(self, bus: MemoryBus) -> None:
        super().__init__(bus)
        self.came = anyio.Event()
        self.go_on = anyio.Event()

    async def publish(self, event: Event) -> Any:
        self.came.set()
        await self.go_on.wait()
        return await self.bus.publish(event)


async def test_a_request_that_was_let_in_is_answered_though_the_platform_stops(
    memory_bus: MemoryBus, store: Store, port: int
) -> None:
    bus: Any = Slow(memory_bus)
    platform = Platform(bus, store, Secrets({}))
    statuses: list[int] = []

    async def post() -> None:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            statuses.append((await client.post("/in", json={"last": True})).status_code)

    async def go_on_once_it_stops(host: SourceHost) -> None:
        with anyio.CancelScope(shield=True), anyio.fail_after(10):
            await until(lambda: not accepts(port))
            bus.go_on.set()

    async with anyio.create_task_group() as tasks, platform.running(document(webhook=webhook(port))) as host:
        await state(host, "listening")
        tasks.start_soon(post)
        with anyio.fail_after(10):
            await bus.came.wait()
        tasks.start_soon(go_on_once_it_stops, host)

    assert statuses == [202]
    assert [record.event.data["body"] for record in await memory_bus.read(0, limit=10)] == [{"last": True}]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


async def posts(port: int) -> bool:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return (await client.post("/in", json={})).status_code == 202


# --- TLS -------------------------------------------------------------------------------------------------------------


def secured(port: int, **more: Any) -> dict[str, Any]:
    cert, key = {"name": "tls", "key": "cert"}, {"name": "tls", "key": "key"}
    return webhook(port, serverCertSecret=cert, serverKeySecret=key, **more)


def trusting(authority: Authority, folder: Path, client: Any = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.cert)
    if client is not None:
        context.load_cert_chain(*client.write(folder, "client"))
    return context


async def test_a_port_speaks_tls_and_nothing_else(platform: Platform, port: int, tmp_path: Path) -> None:
    authority = Authority()
    pair = authority.sign("127.0.0.1")
    platform.secrets.values |= {("tls", "cert"): pair.cert, ("tls", "key"): pair.key}

    async with platform.running(document(webhook=secured(port))) as host:
        await state(host, "listening")
        async with httpx2.AsyncClient(verify=trusting(authority, tmp_path)) as client:
            taken = await client.post(f"https://127.0.0.1:{port}/in", json={})
        async with httpx2.AsyncClient() as client:
            with pytest.raises(httpx2.TransportError):
                await client.post(f"http://127.0.0.1:{port}/in", json={})

    assert taken.status_code == 202


async def test_clients_show_certificates_where_an_authority_is_named(
    platform: Platform, port: int, tmp_path: Path
) -> None:
    authority, stranger = Authority(), Authority()
    pair = authority.sign("127.0.0.1")
    platform.secrets.values |= {("tls", "cert"): pair.cert, ("tls", "key"): pair.key, ("tls", "ca"): authority.cert}
    url = f"https://127.0.0.1:{port}/in"

    async with platform.running(document(webhook=secured(port, clientCaSecret={"name": "tls", "key": "ca"}))) as host:
        await state(host, "listening")
        async with httpx2.AsyncClient(verify=trusting(authority, tmp_path, authority.sign("client"))) as client:
            known = await client.post(url, json={})
        for shown in (None, stranger.sign("client")):
            async with httpx2.AsyncClient(verify=trusting(authority, tmp_path, shown)) as client:
                with pytest.raises(httpx2.TransportError):
                    await client.post(url, json={})

    assert known.status_code == 202
    assert len(await platform.all()) == 1


async def test_a_certificate_that_is_none_is_waited_for_and_its_key_not_told(platform: Platform, port: int) -> None:
    platform.secrets.values |= {("tls", "cert"): "no certificate", ("tls", "key"): "a-key-that-nobody-may-see"}
    authority = Authority()
    pair = authority.sign("127.0.0.1")

    with capture_logs() as logs:
        async with platform.running(document(webhook=secured(port))) as host:
            waiting = await state(host, "waiting")
            platform.secrets.values |= {("tls", "cert"): pair.cert, ("tls", "key"): pair.key}
            await state(host, "listening")

    assert "serverCertSecret" in (waiting.waiting_for or "")
    assert "nobody-may-see" not in str(waiting) + str(logs)


async def test_one_port_has_one_certificate(platform: Platform, port: int) -> None:
    pair = Authority().sign("127.0.0.1")
    platform.secrets.values |= {("tls", "cert"): pair.cert, ("tls", "key"): pair.key}
    plain = {"plain": {"port": str(port), "endpoint": "/plain"}}

    async with platform.running(document(webhook={**secured(port), **plain})) as host:
        await until(lambda: {one.state for one in host.states()} == {"listening", "waiting"})
        waiting = next(one for one in host.states() if one.state == "waiting")

    assert f"port {port} is served with another certificate" in (waiting.waiting_for or "")
