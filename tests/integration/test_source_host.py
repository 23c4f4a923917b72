"""The host of the sources: crashes stay where they are, ports come and go, what was acknowledged survives `kill -9`."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from eventsources import KINDS, SourceSettings
from eventsources.port import SourceContext, SourceState
from retrain.bus import MemoryBus, NatsBus
from retrain.store import Store
from tests.contract.source_world import Hook, World, document, state, until


@pytest.fixture
async def world(memory_bus: MemoryBus, store: Store) -> World:
    return World(memory_bus, store, settings=SourceSettings(restart_min_s=0.01, restart_max_s=0.05))


class Crashing:
    """A kind that crashes when it starts, the first three times."""

    starts = 0

    def __init__(self, name: str, spec: Any, context: SourceContext) -> None:
        self._status = context.status

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: Any) -> None:
        type(self).starts += 1
        if self.starts <= 3:
            raise RuntimeError("boom")
        self._status.listening()
        await anyio.sleep_forever()


async def test_a_crash_is_restarted_and_touches_no_other_source(world: World) -> None:
    world.kinds = {**KINDS, "file": Crashing}
    hook = Hook()
    crashing = document("bad", file={"f": {"watchPathConfig": {"directory": "/x"}}})
    async with world.running(hook.document(), crashing) as host:
        await until(lambda: all(one.state == "listening" for one in host.states()))
        await hook.happen("a")
        states = {one.name: one for one in host.states()}

    assert (states["bad/f"].errors, states["es/thing"].errors) == (3, 0)
    assert states["es/thing"].received == 1


async def test_a_port_that_is_taken_is_waited_for(world: World) -> None:
    first, second = Hook(), Hook()
    second.port = first.port
    beside = document("beside", webhook={"thing": {"port": str(first.port), "endpoint": "/in"}})
    async with world.running(first.document(), beside) as host:
        await until(lambda: {one.state for one in host.states()} == {"listening", "waiting"})
        waiting = next(one for one in host.states() if one.state == "waiting")
        kept = document("beside", webhook={"thing": {"port": str(first.port), "endpoint": "/in"}})
        await host.apply([kept])
        await state(host, "listening")
        answered = await first.post(json={})

    assert "is taken by" in (waiting.waiting_for or "")
    assert answered.status_code == 202


async def test_endpoints_share_a_port_and_it_closes_with_the_last(world: World) -> None:
    hook = Hook()
    port = str(hook.port)
    both = document(webhook={"a": {"port": port, "endpoint": "/a"}, "b": {"port": port, "endpoint": "/b"}})
    async with world.running(both) as host:
        answers = [(await hook.post(path, json={})).status_code for path in ("/a", "/b", "/c")]
        await host.apply([document(webhook={"a": {"port": port, "endpoint": "/a"}})])
        fewer = [(await hook.post(path, json={})).status_code for path in ("/a", "/b")]
        await host.apply([])
        with pytest.raises(OSError, match=r".*"):
            await anyio.connect_tcp("127.0.0.1", hook.port)

    assert (answers, fewer) == ([202, 202, 404], [202, 404])


async def test_a_changed_endpoint_is_served_at_once(world: World) -> None:
    hook = Hook()
    async with world.running(hook.document()) as host:
        await host.apply([hook.document(endpoint="/other")])
        answers = [(await hook.post(path, json={})).status_code for path in ("/in", "/other")]

    assert answers == [404, 202]


async def test_endpoints_without_a_port_are_the_platforms(world: World) -> None:
    async with world.running(document(webhook={"a": {"endpoint": "labels"}})) as host:
        assert host.webhooks.handles("/labels")
        await host.apply([])
        assert not host.webhooks.handles("/labels")


@pytest.mark.parametrize("depth", [200, 300])
async def test_deep_json_is_taken_or_refused_but_breaks_nothing(world: World, depth: int) -> None:
    hook = Hook()
    async with world.running(hook.document()):
        answer = await hook.post(content=b"[" * depth + b"]" * depth)
        await hook.happen("after")

    assert answer.status_code == (202 if depth == 200 else 422)


@pytest.mark.integration
async def test_what_jetstream_cannot_take_is_refused_with_the_reason(nats_bus: NatsBus, store: Store) -> None:
    hook = Hook()
    async with World(nats_bus, store).running(hook.document(maxPayloadSize=20_000_000)):
        answer = await hook.post(content=b'"' + b"x" * 9_000_000 + b'"')
        await hook.happen("small")

    assert answer.status_code == 422
    assert "bytes" in answer.json()["error"]
    assert len(await nats_bus.read(0)) == 1
