"""Sensors on a real store and a bus in memory, with one clock for all that tests move by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from retrain.app.outbox import OutboxPublisher
from retrain.bus import MemoryBus
from retrain.clock import FakeClock
from retrain.events import Event
from retrain.store import Store, cells, decisions, firings
from retrain.store.decisions import DecisionRow
from retrain.store.firings import FiringFilter, FiringRow
from sensors import Sensor, SensorDocument
from sensors.core.outcome import Waiting
from sensors.host.loop import SensorHost
from sensors.host.memory import read_cells
from sensors.host.settings import HostSettings

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMIT_S = 30.0


def at(seconds: float) -> datetime:
    """So many seconds after noon, when every test begins."""
    return NOON + timedelta(seconds=seconds)


def sensor(name: str = "s", *, dependencies: dict[str, dict[str, Any]] | None = None, **more: Any) -> Sensor:
    """A sensor of retrain.dev/v1. `dependencies`: what each has beside its address (src, its own name). `triggers`:
    by name, what each has beside its template; the rest goes into the spec."""
    return Sensor(document(name, dependencies=dependencies, **more))


def document(
    name: str = "s",
    *,
    dependencies: dict[str, dict[str, Any]] | None = None,
    triggers: dict[str, dict[str, Any]] | None = None,
    **spec: Any,
) -> SensorDocument:
    given = dependencies if dependencies is not None else {"a": {}}
    fired = triggers if triggers is not None else {"t": {}}
    return SensorDocument.model_validate(
        {
            "apiVersion": "retrain.dev/v1",
            "kind": "Sensor",
            "metadata": {"name": name},
            "spec": {
                "dependencies": [{"name": n, "eventSourceName": "src", "eventName": n, **d} for n, d in given.items()],
                "triggers": [
                    {
                        "template": {"name": n, "log": {}, "conditions": t.get("conditions", "")},
                        **{key: value for key, value in t.items() if key != "conditions"},
                    }
                    for n, t in fired.items()
                ],
                **spec,
            },
        }
    )


def event(name: str, id_: str, **data: Any) -> Event:
    return Event(id=id_, source="src", type="test", subject=name, data=data)


def told(subject: str, firing: FiringRow, **data: Any) -> Event:
    """What the platform tells of a firing's life."""
    return Event(
        id=f"{firing.id}.{subject}",
        source="retrain",
        type=f"dev.retrain.{subject}",
        subject=subject,
        data={"firing": {"id": firing.id}, "run": None, **data},
        extensions={
            "retraincause": firing.id,
            "retrainsensor": firing.sensor,
            "retraintrigger": firing.trigger,
            "retrainfiring": firing.id,
        },
    )


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds."""
    with anyio.fail_after(LIMIT_S):
        while not await holds():  # noqa: ASYNC110 - the host tells nobody
            await anyio.sleep(0.002)


@dataclass
class World:
    """`settings` are those of the next host."""

    store: Store
    bus: MemoryBus
    clock: FakeClock
    settings: HostSettings = field(
        default_factory=lambda: HostSettings(backoff_s=0.001, max_backoff_s=0.01, clock_s=0.002)
    )

    @asynccontextmanager
    async def running(self, *sensors: Sensor) -> AsyncIterator[SensorHost]:
        """A host of these sensors, and what publishes the events that they tell."""
        host = SensorHost(self.bus, self.store, self.clock, sensors, settings=self.settings)
        outbox = OutboxPublisher(self.store, self.bus, self.clock)  # type: ignore[arg-type]
        async with anyio.create_task_group() as group:
            group.start_soon(outbox.run)
            await group.start(host.run)
            yield host
            group.cancel_scope.cancel()

    async def publish(self, *events: Event) -> None:
        for one in events:
            await self.bus.publish(one)

    async def reach(self, host: SensorHost) -> None:
        """Wait until all that is in the log is written down."""
        last = (await self.bus.bounds()).last

        async def there() -> bool:
            state = host.state()
            return state.position >= last and not state.behind

        await until(there)

    async def fired(self, count: int | None = None) -> list[FiringRow]:
        """All firings by time of their making; `count`: once there are so many."""

        async def rows() -> list[FiringRow]:
            found: list[FiringRow] = []
            cursor = None
            while True:
                page = await self.store.read(
                    lambda c, after=cursor: firings.listing(c, FiringFilter(), limit=1000, cursor=after)
                )
                found += page.items
                if (cursor := page.next) is None:
                    return found[::-1]

        if count is not None:

            async def enough() -> bool:
                return len(await rows()) >= count

            await until(enough)
        return await rows()

    async def decided(self, name: str = "s", outcome: str | None = None) -> list[DecisionRow]:
        rows = await self.store.read(lambda c: decisions.of_sensor(c, name, limit=1000))
        return [row for row in reversed(rows) if outcome in (None, row.outcome)]

    async def waiting(self, host: SensorHost, name: str = "s") -> list[Waiting]:
        found = await self.store.read(lambda c: read_cells(c, cells.of_sensor(c, name)))
        return host.sensor(name).waiting(found.items(), self.clock.now())

    async def counts(self, name: str = "s") -> dict[str, int]:
        return (await self.store.read(cells.counts)).get(name, {})


@asynccontextmanager
async def world(store: Store) -> AsyncIterator[World]:
    """A world at noon."""
    clock = FakeClock(NOON)
    async with MemoryBus(duplicate_window_s=0, clock=clock) as bus:
        yield World(store, bus, clock)
