"""A kind's real server, the proxy in front of it, and how much goes through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from retrain.bus import EmbeddedServer, NatsBus
from tests.contract.outside import OURS, World, world_of
from tests.faults.fault_world import Outcome, Plan, address_of, storm
from tests.faults.table import ROW
from tests.servers.launch import free_port
from tests.servers.proxy import Proxy, proxy
from tests.support.size import size

PLAN = size(Plan(500, 2), Plan(5000, 10))
"""docs/delivery.md has the table of the whole."""

FEWER = {"sqs": 5}
"""Kinds that so many times fewer messages are sent of: moto looks at every message of a queue for each request."""

Blow = Callable[[str], Awaitable[Outcome]]


@pytest.fixture
async def blow(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    nats: EmbeddedServer,
    nats_bus: NatsBus,
    record_property: Callable[[str, object], None],
) -> AsyncIterator[Blow]:
    """Lets everything go wrong while messages of a kind flow; the outcome is a row of the table."""
    async with AsyncExitStack() as stack:

        async def outcome(kind: str) -> Outcome:
            outside, between = await _spoiled(request, tmp_path, stack, kind)
            async with storm(tmp_path, nats, nats_bus, outside, between) as blowing:
                found = await blowing.blow(replace(PLAN, messages=PLAN.messages // FEWER.get(kind, 1)))
            record_property(ROW, found.row())
            return found

        yield outcome


async def _spoiled(
    request: pytest.FixtureRequest, folder: Path, stack: AsyncExitStack, kind: str
) -> tuple[World, Proxy]:
    """A kind's outside, and the proxy by which the platform comes to it."""
    world = world_of(kind)
    if kind == "kafka":
        from tests.servers import kafka_server  # its client takes long to import

        port = free_port()
        server, inner = stack.enter_context(kafka_server.behind(folder / "kafka", port))
        between = await stack.enter_async_context(proxy(inner, port))
        made = world(folder, server, OURS)
    else:
        made = world(folder, request.getfixturevalue(world.fixture), OURS)
        between = await stack.enter_async_context(proxy(address_of(made)))
    await made.prepare()
    stack.push_async_callback(made.close)
    return made, between
