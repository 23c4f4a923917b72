"""Feeds of changes over real sockets: each listener hears the last change, one that reads nothing slows nobody, and of
those who have gone nothing is left."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.events import Event
from retrain.serving import Server, bind
from retrain.store import events
from retrain.web.page.live import TOLD_PER_S, turn_s
from tests.integration.page_house import House, house

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
PATIENCE_S = 60.0


@dataclass(slots=True)
class Listener:
    """What one has heard."""

    moments: list[str] = field(default_factory=list[str])
    topics: list[str] = field(default_factory=list[str])

    async def run(self, port: int, path: str = "/ui/live") -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
            while raw := await reader.readline():
                line = raw.decode().strip("\r\n")
                if line.startswith("id: "):
                    self.moments.append(line[4:])
                elif line.startswith("event: "):
                    self.topics.append(line[7:])
        finally:
            writer.close()


@asynccontextmanager
async def served(place: Path) -> AsyncGenerator[tuple[House, int]]:
    async with house(place) as home, anyio.create_task_group() as group:
        server = Server(home.door, bind("127.0.0.1", 0), drain_s=1)
        await group.start(server.run)
        yield home, urlsplit(server.url).port or 0
        home.services.closing.set()
        group.cancel_scope.cancel()


async def happen(home: House, number: int) -> None:
    seen = events.SeenEvent(Event(id=str(number), source="s", type="t"), number, NOW)
    await home.store.write(lambda c: events.add(c, [seen]))


async def until(there: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not there():  # noqa: ASYNC110 - of what has come to a socket nothing tells
            await anyio.sleep(0.05)


async def newest(port: int) -> str:
    """The name of this moment, as somebody hears it who comes now."""
    one = Listener()
    async with anyio.create_task_group() as group:
        group.start_soon(one.run, port, "/ui/live?after=nothing")
        await until(lambda: len(one.topics) >= 6)
        group.cancel_scope.cancel()
    return one.moments[-1]


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
async def test_each_listener_hears_the_last_change_beside_one_who_reads_nothing(tmp_path: Path, count: int) -> None:
    async with served(tmp_path) as (home, port):
        listeners = [Listener() for _ in range(count)]
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.sendall(b"GET /ui/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        async with anyio.create_task_group() as group:
            for one in listeners:
                group.start_soon(one.run, port)
            await until(lambda: all(one.moments for one in listeners))
            for number in range(1, 11):
                await happen(home, number)
                await anyio.sleep(0.05)
            await anyio.sleep(1)
            last = await newest(port)

            await until(lambda: all(one.moments[-1] == last for one in listeners))
            group.cancel_scope.cancel()
        deaf.close()
    assert all("changed-events" in one.topics for one in listeners)


async def test_who_comes_again_hears_what_was_missed_and_nothing_else(tmp_path: Path) -> None:
    async with served(tmp_path) as (home, port):
        await happen(home, 1)
        before = await newest(port)
        await happen(home, 2)

        again = Listener()
        async with anyio.create_task_group() as group:
            group.start_soon(again.run, port, f"/ui/live?after={before}")
            await until(lambda: again.topics)
            group.cancel_scope.cancel()

    assert again.topics == ["changed-events"]


async def test_of_listeners_who_have_gone_nothing_is_left(tmp_path: Path) -> None:
    async with served(tmp_path) as (home, port):
        await newest(port)
        await until(lambda: _streams() == 0)
        before = len(asyncio.all_tasks())
        listeners = [Listener() for _ in range(20)]
        async with anyio.create_task_group() as group:
            for one in listeners:
                group.start_soon(one.run, port)
                group.start_soon(Listener().run, port, "/api/v1/events/tail")
            await until(lambda: all(one.moments for one in listeners))
            assert len(asyncio.all_tasks()) > before + 40
            group.cancel_scope.cancel()

        await until(lambda: len(asyncio.all_tasks()) <= before)
        gc.collect()
        assert _streams() == 0
        await happen(home, 1)
        assert await newest(port)


def _streams() -> int:
    return sum("live" in repr(task) or "tail" in repr(task) for task in asyncio.all_tasks())


@given(
    listeners=st.integers(1, 5000),
    since=st.floats(0, 1e9) | st.just(float("inf")),
    chance=st.floats(0, 1),
)
def test_a_turn_comes_within_the_spread_and_not_twice_in_it(listeners: int, since: float, chance: float) -> None:
    spread = listeners / TOLD_PER_S

    wait = turn_s(spread, since, chance)

    assert 0 <= wait <= spread
    assert since + wait >= spread or since >= spread
