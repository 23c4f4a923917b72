"""Who may come in: the door alone, with rooms behind it that say their name."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import anyio.lowlevel
import pytest

from retrain.identity import nobody_known
from retrain.serving import App, Receive, Scope, Send, answer
from retrain.web.access import PRINCIPAL, Access, Known, principal
from retrain.web.door import Door
from retrain.web.watched import watched

LOCAL = {"host": "127.0.0.1:7300"}


def room(name: str) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, {"room": name})

    return app


def door(**more: Any) -> Door:
    hooks = {"/hook": room("hook")}
    access = Access(more.pop("token", None), more.pop("users", ()))
    words: dict[str, Any] = {"access": access, "loopback": True, **more}
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


# --- people with tokens of their own -------------------------------------------------------------------------------

PEOPLE = [
    Known(name, sha256(f"token of {name}".encode()).hexdigest(), frozenset(roles))
    for name, roles in {"vic": ["viewer"], "eve": ["operator"], "ada": ["approver"], "root": ["admin"]}.items()
]


@pytest.mark.parametrize(
    ("name", "method", "path", "status"),
    [
        ("vic", "GET", "/api/v1/runs", 200),
        ("vic", "POST", "/api/v1/promotions/p-1/approve", 200),  # whose word counts the promotion says
        ("vic", "POST", "/api/v1/promotions/p-1/waive", 200),  # the same
        ("vic", "POST", "/api/v1/promotions/p-1/retry", 403),
        ("vic", "POST", "/api/v1/promotions/model/propose", 403),
        ("vic", "POST", "/api/v1/promotions/model/hold", 403),
        ("vic", "POST", "/api/v1/promotions/model/approve/rollback", 403),
        ("vic", "POST", "/api/v1/events", 403),
        ("vic", "POST", "/api/v1/firings/f-1/approve", 403),
        ("ada", "POST", "/api/v1/firings/f-1/approve", 200),
        ("ada", "POST", "/api/v1/promotions/model/rollback", 403),
        ("eve", "POST", "/api/v1/promotions/model/rollback", 200),
        ("eve", "POST", "/api/v1/events", 200),
        ("root", "POST", "/api/v1/firings/f-1/reject", 200),
        ("nobody", "GET", "/api/v1/runs", 401),
    ],
)
async def test_people_may_what_their_roles_say(name: str, method: str, path: str, status: int) -> None:
    locked = door(users=PEOPLE, loopback=False)

    assert (await ask(locked, method, path, {"authorization": f"Bearer token of {name}"}))[0] == status


async def test_the_one_token_stays_good_for_everything_beside_people() -> None:
    locked = door(users=PEOPLE, token="right", loopback=False)

    assert (await ask(locked, "POST", "/api/v1/events", {"authorization": "Bearer right"}))[0] == 200
    assert (await ask(locked, "POST", "/api/v1/events", {}))[0] == 401


async def test_a_persons_own_token_has_the_last_word_on_who_it_is() -> None:
    access = Access("right", PEOPLE)
    headers = {name: [(b"authorization", f"Bearer {name}".encode())] for name in ("token of ada", "right")}
    scopes: list[dict[str, Any]] = [{"headers": one, "client": ("10.0.0.7", 1)} for one in headers.values()]

    ada, shared = [principal({PRINCIPAL: await access.who(scope)}, "mallory") for scope in scopes]

    assert (ada.name, ada.verified, ada.origin) == ("ada", True, "10.0.0.7")
    assert (shared.name, shared.verified) == ("mallory", False)
    assert principal({}, "mallory").roles == frozenset()


async def test_a_feed_ends_when_its_listener_may_not_listen_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.web.watched.EVERY_S", 0.0)
    may = [nobody_known(), None]
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def who() -> Any:
        return may.pop(0)

    async def feed(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"line\n", "more_body": True})
            await anyio.lowlevel.checkpoint()

    await watched(feed, {}, lambda: None, send, who)  # type: ignore[arg-type]

    assert [one.get("body") for one in said] == [None, b"line\n", b""]
