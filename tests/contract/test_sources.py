"""What every kind of source promises, over all of them, with a real outside world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from eventsources import KINDS
from retrain.bus import MemoryBus
from retrain.errors import BusError, ConfigError
from retrain.store import Store
from tests.contract.source_world import ARGO, OURS, Drop, Hook, Objects, World, document, state, until

Outside = Hook | Drop | Objects
KIND_MARKS = {"minio": pytest.mark.integration}
FETCHED = [pytest.param("file"), pytest.param("minio", marks=pytest.mark.integration)]


@pytest.fixture(params=[pytest.param(kind, marks=KIND_MARKS.get(kind, ())) for kind in sorted(KINDS)])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[OURS, ARGO])
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def outside(kind: str, version: str, tmp_path: Path, request: pytest.FixtureRequest) -> Outside:
    if kind == "webhook":
        return Hook(version=version)
    if kind == "file":
        (tmp_path / "drop").mkdir()
        return Drop(tmp_path / "drop", version)
    return Objects(request.getfixturevalue("minio_server"), version)


@pytest.fixture
async def world(memory_bus: MemoryBus, store: Store, outside: Outside) -> World:
    world = World(memory_bus, store)
    if isinstance(outside, Objects):
        world.secrets = outside.secrets()
    return world


class Flaky:
    """A bus that is away when it is told so."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bus, name)

    async def publish(self, event: Any) -> Any:
        self._check()
        return await self.bus.publish(event)

    async def publish_many(self, events: Any) -> Any:
        self._check()
        return await self.bus.publish_many(events)

    def _check(self) -> None:
        if self.away:
            self.refused += 1
            raise BusError("away")


async def test_what_happens_becomes_an_event(world: World, outside: Outside) -> None:
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        await outside.happen("a.csv")
        (record,) = await world.records(1)
        await until(lambda: host.states()[0].received == 1)

    event = record.event
    assert (event.source, event.subject, event.type) == ("es", "thing", outside.kind)
    assert event.datacontenttype == "application/json"
    assert event.time is not None
    assert (
        set(event.data)
        >= {"webhook": {"header", "body"}, "file": {"name", "op"}, "minio": {"notification"}}[outside.kind]
    )


async def test_the_same_thing_seen_twice_is_one_event(world: World, outside: Outside) -> None:
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        await outside.happen("a.csv")
        await world.records(1)
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        if isinstance(outside, Hook):
            await outside.happen("a.csv")
        await outside.happen("b.csv")
        await world.records(2)

    assert len(await world.all()) == 2


@pytest.mark.parametrize("kind", FETCHED, indirect=True)
async def test_what_happens_while_the_platform_is_away_is_found_at_its_start(world: World, outside: Outside) -> None:
    async with world.running(outside.document()) as host:
        await state(host, "listening")
    await outside.happen("meanwhile.csv")
    async with world.running(outside.document()):
        (record,) = await world.records(1)

    assert "meanwhile.csv" in str(record.event.data)


@pytest.mark.parametrize("kind", FETCHED, indirect=True)
async def test_what_is_there_at_the_first_start_comes_in_ours_and_not_in_argos(world: World, outside: Outside) -> None:
    await outside.happen("old.csv")
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        await outside.happen("new.csv")
        await world.records(2 if outside.version == OURS else 1)

    found = [name for name in ("old.csv", "new.csv") if name in str(await world.all())]
    assert found == (["old.csv", "new.csv"] if outside.version == OURS else ["new.csv"])


@pytest.mark.parametrize("kind", FETCHED, indirect=True)
async def test_while_the_bus_is_away_nothing_is_forgotten(world: World, outside: Outside) -> None:
    bus = Flaky(world.bus)  # type: ignore[arg-type]
    world.bus = bus  # type: ignore[assignment]
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        bus.away = True
        await outside.happen("a.csv")
        waiting = await state(host, "waiting")
        bus.away = False
        await world.records(1)
        await state(host, "listening")

    assert "bus" in (waiting.waiting_for or "")
    assert bus.refused >= 1


@pytest.mark.parametrize("kind", ["webhook"], indirect=True)
async def test_while_the_bus_is_away_nothing_is_acknowledged(world: World, outside: Hook) -> None:
    bus = Flaky(world.bus)  # type: ignore[arg-type]
    world.bus = bus  # type: ignore[assignment]
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        bus.away = True
        answer = await outside.post(json={})
        bus.away = False
        again = await outside.post(json={})

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert again.is_success
    assert len(await world.all()) == 1


async def test_an_unchanged_source_keeps_running_when_another_changes(world: World, outside: Outside) -> None:
    beside = document("beside", webhook={"x": {"endpoint": "/x"}})
    async with world.running(outside.document(), beside) as host:
        await until(lambda: all(one.state == "listening" for one in host.states()))
        before = {one.name: one for one in host.states()}
        await host.apply([outside.document(), document("beside", webhook={"y": {"endpoint": "/y"}})])
        after = {one.name: one for one in host.states()}
        await outside.happen("a.csv")
        await world.records(1)

    assert after["es/thing"].since == before["es/thing"].since
    assert set(after) == {"es/thing", "beside/y"}


async def test_a_removed_source_takes_in_nothing(world: World, outside: Outside) -> None:
    async with world.running(outside.document()) as host:
        await state(host, "listening")
        with anyio.fail_after(5):
            await host.apply([])
        states = host.states()

    assert states == []


async def test_a_document_with_an_error_changes_nothing(world: World, outside: Outside) -> None:
    async with world.running(outside.document()) as host:
        with pytest.raises(ConfigError, match="'kafka' is not built yet"):
            await host.apply([document("new", kafka={"k": {"url": "x"}})])
        states = host.states()

    assert [one.name for one in states] == ["es/thing"]
