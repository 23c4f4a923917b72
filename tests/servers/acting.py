"""One firing of a kind, carried out as the dispatcher would, and many through the dispatcher itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from retrain.store import Store, firings, open_store
from retrain.store.firings import FiringRow
from triggers import KINDS, Dispatcher, Firing, StaticSecrets, Tools, Trigger
from triggers.settings import NetworkSettings

FAST = {"steps": 3, "duration": "1ms", "factor": 1, "jitter": 0}


def tools(secrets: Mapping[str, Mapping[str, str]] | None = None, **network: Any) -> Tools:
    """Tools with these secrets and network settings."""
    return Tools(secrets=StaticSecrets(secrets or {}), network=NetworkSettings(**network))


def a_firing(action: Mapping[str, Any], n: int = 1) -> Firing:
    return Firing(f"f-{n:020x}", "s", "t", "", dict(action), events=(f"{n:032x}",))


@asynccontextmanager
async def opened(kind: str, given: Tools | None = None) -> AsyncIterator[Trigger]:
    async with KINDS[kind](given or Tools()) as trigger:
        assert isinstance(trigger, Trigger)
        yield trigger


async def act(action: Mapping[str, Any], given: Tools | None = None, n: int = 1) -> Any:
    """The result of one firing with this action."""
    async with opened(str(action["kind"]), given) as trigger:
        return await trigger.fire(a_firing(action, n), 1)


def a_row(n: int, action: Mapping[str, Any], trigger: str = "t") -> FiringRow:
    return FiringRow(
        id=f"f-{n:020x}",
        sensor="s",
        trigger=trigger,
        key="",
        events=(f"{n:032x}",),
        action=dict(action),
        created=datetime.now(UTC),
    )


@asynccontextmanager
async def dispatching(path: Path, given: Tools | None = None) -> AsyncIterator[tuple[Store, Dispatcher]]:
    async with open_store(path / "store.db") as store:
        dispatcher = Dispatcher(store, "test", KINDS, tools=given)
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            yield store, dispatcher
            group.cancel_scope.cancel()


async def hand_over(store: Store, dispatcher: Dispatcher, rows: list[FiringRow]) -> None:
    """As the sensor host does it."""
    written = await store.write(lambda c: dispatcher.enlist(c, rows))
    dispatcher.offer(written)


async def all_ended(store: Store, count: int, seconds: float = 60) -> dict[str, int]:
    """How many firings ended how, once that many have."""
    with anyio.fail_after(seconds):
        while True:
            counts = await store.read(firings.counts)
            if counts.get("done", 0) + counts.get("dead", 0) >= count:
                return counts
            await anyio.sleep(0.02)


async def ended(store: Store, n: int, seconds: float = 20) -> FiringRow:
    """The firing once it is done or dead."""
    with anyio.fail_after(seconds):
        while True:
            row = await store.read(lambda c: firings.get(c, f"f-{n:020x}"))
            if row is not None and row.state in ("done", "dead"):
                return row
            await anyio.sleep(0.01)
