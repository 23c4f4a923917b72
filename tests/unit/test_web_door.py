"""Who may come in: the door alone, with rooms behind it that say their name."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.serving import App, Receive, Scope, Send, answer
from retrain.web.door import Door

LOCAL = {"host": "127.0.0.1:7300"}


def room(name: str) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, {"room": name})

    return app


def door(**more: Any) -> Door:
    hooks = {"/hook": room("hook")}
    words: dict[str, Any] = {"token": None, "loopback": True, **more}
    return Door(api=room("api"), intake=room("intake"), argo=room("argo"), hooks=hooks.get, **words)


async def ask(where: Door, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await where({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
    return said[0]["status"], said[1]["body"]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/healthz", b"api"),
        ("POST", "/hook", b"hook"),
        ("POST", "/api/v1/events", b"intake"),
        ("GET", "/api/v1/events", b"api"),
    ],
)
async def test_each_path_has_its_room(method: str, path: str, name: bytes) -> None:
    status, body = await ask(door(), method, path, LOCAL)

    assert status == 200
    assert name in body


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:7300", "[::1]:7300", "[::1]"])
async def test_this_machine_may_be_named_in_every_way(host: str) -> None:
    assert (await ask(door(), "GET", "/api/v1/runs", {"host": host}))[0] == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:7300", "127.0.0.1.evil.example", "localhost.evil:1", "[::2]:1"]
)
async def test_a_name_that_only_points_here_is_refused(host: str) -> None:
    assert (await ask(door(), "GET", "/api/v1/runs", {"host": host}))[0] == 403
    assert (await ask(door(), "POST", "/api/v1/events", {"host": host}))[0] == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "file://127.0.0.1:7300"])
async def test_a_page_of_another_site_cannot_change_anything(origin: str) -> None:
    assert (await ask(door(), "POST", "/api/v1/runs/x/stop", {**LOCAL, "origin": origin}))[0] == 403


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic right", "bearer right", "Bearer right "])
async def test_with_a_token_only_the_token_opens(given: str) -> None:
    locked = door(token="right", loopback=False)
    assert (await ask(locked, "GET", "/api/v1/runs", {"authorization": given}))[0] == 401
    assert (await ask(locked, "GET", "/api/v1/runs", {"authorization": "Bearer right", "host": "name"}))[0] == 200
    assert (await ask(locked, "GET", "/readyz", {}))[0] == 200
