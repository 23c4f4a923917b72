"""Connections that firings share."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from retrain.errors import Transient
from triggers import NetworkSettings, RetryAfter
from triggers.connections import Connections


@dataclass(eq=False)
class Line:
    lost: bool = False
    closed: bool = False

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = True


async def test_many_at_once_open_one_and_a_lost_one_is_replaced() -> None:
    connections: Connections[Line] = Connections(NetworkSettings())
    dialled: list[Line] = []

    async def dial() -> Line:
        await anyio.lowlevel.checkpoint()
        dialled.append(Line())
        return dialled[-1]

    async def use() -> None:
        async with connections.use("a", dial) as line:
            assert line is dialled[-1]
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(use)
    assert len(dialled) == 1

    dialled[0].lost = True
    await use()
    assert len(dialled) == 2
    assert dialled[0].closed

    await connections.aclose()
    assert dialled[1].closed


async def test_a_server_that_cannot_be_reached_is_left_alone_for_a_while() -> None:
    connections: Connections[Line] = Connections(NetworkSettings())
    tries = 0

    async def dial() -> Line:
        nonlocal tries
        tries += 1
        raise Transient("nobody there")

    with pytest.raises(Transient, match="nobody there"):
        async with connections.use("a", dial):
            pass
    for _ in range(100):
        with pytest.raises(RetryAfter, match="nobody there") as caught:
            async with connections.use("a", dial):
                pass

    assert tries == 1
    assert 0 < caught.value.after_s <= 0.5


async def test_a_server_that_says_nothing_is_given_up() -> None:
    connections: Connections[Line] = Connections(NetworkSettings(dial_s=0.01))

    with pytest.raises(Transient, match=r"no connection within 0\.01 s"):
        async with connections.use("a", anyio.sleep_forever):  # type: ignore[arg-type]
            pass


async def test_more_servers_than_are_kept_close_the_one_that_was_idle_for_longest() -> None:
    connections: Connections[Line] = Connections(NetworkSettings(connections=2))
    lines = {name: Line() for name in "abc"}

    async def use(name: str) -> None:
        async def dial() -> Line:
            return lines[name]

        async with connections.use(name, dial):
            pass

    for name in "abac":
        await use(name)

    assert [name for name, line in lines.items() if line.closed] == ["b"]


async def test_one_that_is_in_use_is_not_closed() -> None:
    connections: Connections[Line] = Connections(NetworkSettings(connections=1, idle_s=0.0))
    first = Line()

    async def dial_first() -> Line:
        return first

    async def dial_other() -> Line:
        return Line()

    async with connections.use("a", dial_first):
        async with connections.use("b", dial_other):
            pass
        assert not first.closed


async def test_all_are_closed_also_when_the_platform_is_being_stopped() -> None:
    connections: Connections[Line] = Connections(NetworkSettings())
    lines = [Line(), Line()]
    for line in lines:

        async def dial(line: Line = line) -> Line:
            return line

        async with connections.use(id(line), dial):
            pass

    with anyio.CancelScope() as scope:
        scope.cancel()
        await connections.aclose()

    assert all(line.closed for line in lines)
