"""The sensor host over a real store: order, duplicates, restarts, starts, reloads, trouble."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from retrain.bus import MemoryBus
from retrain.clock import FakeClock
from retrain.errors import BusError, ConfigError, Transient
from retrain.events import Event
from retrain.store import Store, cells, cursors, deadletters, decisions, events, firings, open_store
from retrain.store.firings import FiringFilter, FiringRow, FiringState
from sensors import Sensor, SensorDocument
from sensors.host.loop import SensorHost
from sensors.host.memory import read_cells
from sensors.host.settings import HostSettings

pytestmark = pytest.mark.integration

FAST = HostSettings(backoff_s=0.001, max_backoff_s=0.01)


def sensor(
    name: str = "s",
    *,
    names: Iterable[str] = ("a",),
    conditions: str = "",
    template: dict[str, Any] | None = None,
    **spec: Any,
) -> Sensor:
    document = {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": name},
        "spec": {
            "dependencies": [{"name": n, "eventSourceName": "src", "eventName": n} for n in names],
            "triggers": [{"template": {"name": "t", "conditions": conditions, **(template or {"log": {}})}}],
            **spec,
        },
    }
    return Sensor(SensorDocument.model_validate(document))


def event(name: str, id_: str, **data: Any) -> Event:
    return Event(id=id_, source="src", type="test", subject=name, data=data)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "retrain.db") as store:
        yield store


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    async with MemoryBus(duplicate_window_s=0) as bus:  # so that the log may hold an event twice
        yield bus


@asynccontextmanager
async def running(host: SensorHost) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        await group.start(host.run)
        yield
        group.cancel_scope.cancel()


def make(bus: Any, store: Store, *sensors: Sensor, **more: Any) -> SensorHost:
    return SensorHost(bus, store, FakeClock(), sensors, settings=FAST, **more)


async def reach(host: SensorHost, position: int) -> None:
    """Wait until the host has written down everything up to there."""
    with anyio.fail_after(30):
        while host.state().position < position or host.state().behind:  # noqa: ASYNC110 - the host tells nobody
            await anyio.sleep(0.002)


async def fired(store: Store) -> list[FiringRow]:
    page = await store.read(lambda c: firings.listing(c, FiringFilter(), limit=1000))
    return sorted(page.items, key=lambda row: row.id)


async def outcomes(store: Store, name: str = "s") -> list[tuple[str, str | None]]:
    rows = await store.read(lambda c: decisions.of_sensor(c, name, limit=1000))
    return [(row.outcome, row.dependency) for row in reversed(rows)]


async def test_events_become_firings_with_their_decisions_and_the_cursor(bus: MemoryBus, store: Store) -> None:
    host = make(bus, store, sensor(names=("a", "b")))
    async with running(host):
        await bus.publish(event("a", "1", n=1))
        await bus.publish(event("x", "2"))
        await bus.publish(event("b", "3"))
        await reach(host, 3)
    (row,) = await fired(store)
    assert row.events == (event("a", "1").key, event("b", "3").key)
    assert (row.sensor, row.trigger, row.action, row.state) == ("s", "t", {"kind": "log"}, FiringState.PENDING)
    assert await outcomes(store) == [("passed", "a"), ("passed", "b")]
    assert await store.read(lambda c: cursors.load(c, "sensors")) == 3
    assert await store.read(events.count) == 3


async def test_the_newest_event_of_a_dependency_counts_in_the_order_of_the_log(bus: MemoryBus, store: Store) -> None:
    parameters = [{"src": {"dependencyName": "a", "dataKey": "n", "useRawData": True}, "dest": "n"}]
    http = {"http": {"url": "http://h/", "payload": parameters}}
    host = make(bus, store, sensor(names=("a", "b"), template=http))
    async with running(host):
        await bus.publish_many([event("a", str(n), n=n) for n in range(10)])
        await bus.publish(event("b", "b"))
        await reach(host, 11)
    (row,) = await fired(store)
    assert row.action["payload"] == {"n": 9}


async def test_an_event_that_the_log_shows_twice_fires_once(bus: MemoryBus, store: Store) -> None:
    host = make(bus, store, sensor())
    async with running(host):
        await bus.publish(event("a", "1"))
        await reach(host, 1)
        await bus.publish(event("a", "1"))
        await bus.publish_many([event("a", "2"), event("a", "2")])
        await reach(host, 4)
    assert len(await fired(store)) == 2
    assert await outcomes(store) == [("passed", "a"), ("duplicate", None), ("passed", "a"), ("duplicate", None)]


async def test_a_restart_goes_on_where_it_was_with_what_was_waiting(bus: MemoryBus, store: Store) -> None:
    first = make(bus, store, sensor(names=("a", "b")))
    async with running(first):
        await bus.publish(event("a", "1"))
        await reach(first, 1)
    await bus.publish(event("b", "2"))  # while nobody runs
    second = make(bus, store, sensor(names=("a", "b")))
    async with running(second):
        await reach(second, 2)
    (row,) = await fired(store)
    assert row.events == (event("a", "1").key, event("b", "2").key)


async def test_an_end_before_the_commit_replays_the_batch_and_nothing_twice(bus: MemoryBus, store: Store) -> None:
    tried: list[bool] = []

    class Failing:
        """The transaction fails when everything has been written, again and again."""

        def enlist(self, connection: Connection, rows: Any) -> list[FiringRow]:
            firings.add(connection, rows)
            tried.append(True)
            raise Transient("the disk is full")

        def offer(self, rows: Any) -> None:
            raise AssertionError

        def cancel(self, connection: Connection, ids: Any) -> None:
            raise AssertionError

    failing = make(bus, store, sensor(), sink=Failing())
    await store.write(lambda c: cursors.save(c, "sensors", 0))
    async with running(failing):
        await bus.publish(event("a", "1"))
        with anyio.fail_after(30):
            while not tried:  # noqa: ASYNC110 - set on the store's thread
                await anyio.sleep(0.002)
    assert await fired(store) == []
    assert await store.read(events.count) == 0
    host = make(bus, store, sensor())
    async with running(host):
        await reach(host, 1)
    assert len(await fired(store)) == 1
    assert await outcomes(store) == [("passed", "a")]


async def test_a_new_sensor_begins_now_and_one_that_asks_for_it_at_the_beginning(bus: MemoryBus, store: Store) -> None:
    await bus.publish_many([event("a", str(n)) for n in range(1200)])
    host = make(bus, store, sensor("now"), sensor("past", start="earliest"))
    async with running(host):
        await bus.publish(event("a", "new"))
        await reach(host, 1201)
        state = host.state()
        assert (state.ready, state.behind) == (True, ())
    counts = await store.read(lambda c: {n: len(decisions.of_sensor(c, n, limit=5000)) for n in ("now", "past")})
    assert counts["now"] == 1
    rows = await store.read(lambda c: firings.counts(c))
    assert rows == {"pending": 1202}
    # And a restart does not read the past again.
    again = make(bus, store, sensor("now"), sensor("past", start="earliest"))
    async with running(again):
        assert again.state().behind == ()


async def test_reading_the_past_is_taken_up_again_after_a_restart(bus: MemoryBus, store: Store) -> None:
    await bus.publish_many([event("a", str(n)) for n in range(100)])
    small = HostSettings(batch=10, backoff_s=0.001)
    host = SensorHost(bus, store, FakeClock(), [sensor(start="earliest")], settings=small)
    with anyio.fail_after(30):
        async with running(host):
            while not await fired(store):  # noqa: ASYNC110 - the host tells nobody
                await anyio.sleep(0.001)
    again = SensorHost(bus, store, FakeClock(), [sensor(start="earliest")], settings=small)
    async with running(again):
        await reach(again, 100)
    assert len(await fired(store)) == 100
    assert len(await outcomes(store)) == 100


async def test_two_that_read_the_past_from_different_places_each_see_all_of_it_once(
    bus: MemoryBus, store: Store
) -> None:
    await bus.publish_many([event("a", str(n)) for n in range(300)])
    small = HostSettings(batch=7, backoff_s=0.001)
    one, two = sensor("one", start="earliest"), sensor("two", start="earliest")
    host = SensorHost(bus, store, FakeClock(), [one], settings=small)
    async with running(host):
        with anyio.fail_after(30):
            while not await fired(store):  # noqa: ASYNC110 - the host tells nobody
                await anyio.sleep(0.001)
        await host.apply([one, two])
        await bus.publish(event("a", "new"))
        await reach(host, 301)
    for name in ("one", "two"):
        assert await outcomes(store, name) == [("passed", "a")] * 301
    assert await store.read(firings.counts) == {"pending": 602}


async def test_a_changed_sensor_keeps_what_still_has_a_meaning(bus: MemoryBus, store: Store) -> None:
    host = make(bus, store, sensor(names=("a", "b", "c")))
    async with running(host):
        await bus.publish_many([event("a", "1"), event("b", "2")])
        await reach(host, 2)
        await host.apply([sensor(names=("a", "c"))])
        found = await store.read(lambda c: read_cells(c, cells.of_sensor(c, "s")))
        waiting = host.sensor("s").waiting(found.items(), FakeClock().now())
        assert [(w.have, w.need) for w in waiting] == [(("a",), ("c",))]
        await bus.publish(event("c", "3"))
        await reach(host, 3)
    (row,) = await fired(store)
    assert row.events == (event("a", "1").key, event("c", "3").key)


async def test_a_sensor_that_is_removed_and_comes_back_misses_what_came_meanwhile(bus: MemoryBus, store: Store) -> None:
    host = make(bus, store, sensor("s"), sensor("other"))
    async with running(host):
        await host.apply([sensor("other")])
        await bus.publish(event("a", "1"))
        await reach(host, 1)
        await host.apply([sensor("s"), sensor("other")])
        await bus.publish(event("a", "2"))
        await reach(host, 2)
    assert await outcomes(store, "s") == [("passed", "a")]
    assert await outcomes(store, "other") == [("passed", "a"), ("passed", "a")]


async def test_two_sensors_of_one_name_are_refused(bus: MemoryBus, store: Store) -> None:
    with pytest.raises(ConfigError, match="two sensors are named 's'"):
        make(bus, store, sensor(), sensor())


async def test_a_loop_of_events_is_cut_and_kept_as_a_dead_letter(bus: MemoryBus, store: Store) -> None:
    host = make(bus, store, sensor())
    async with running(host):
        for depth in (16, 17):
            await bus.publish(
                Event(id=str(depth), source="src", type="t", subject="a", extensions={"retraindepth": depth})
            )
        await reach(host, 2)
    (row,) = await fired(store)
    assert row.depth == 16
    assert await outcomes(store) == [("passed", "a"), ("error", None)]
    (letter,) = (await store.read(lambda c: deadletters.listing(c))).items
    assert letter.kind == "event"
    assert "depth 17" in letter.reason


async def test_a_firing_without_an_action_is_dead_with_its_reason(bus: MemoryBus, store: Store) -> None:
    parameters = [{"src": {"dependencyName": "a", "dataKey": "missing"}, "dest": "x"}]
    host = make(bus, store, sensor(template={"http": {"url": "http://h/", "payload": parameters}}))
    async with running(host):
        await bus.publish(event("a", "1"))
        await reach(host, 1)
    (row,) = await fired(store)
    assert row.state == FiringState.DEAD
    assert "'missing'" in (row.error or "")
    (letter,) = (await store.read(lambda c: deadletters.listing(c))).items
    assert (letter.kind, letter.origin) == ("firing", "s/t")


async def test_a_sensor_that_breaks_does_not_stop_the_others(
    bus: MemoryBus, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, good = sensor("broken"), sensor("good")

    def step(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "step", step)
    host = make(bus, store, broken, good)
    async with running(host):
        await bus.publish(event("a", "1"))
        await reach(host, 1)
    assert await outcomes(store, "broken") == [("error", None)]
    assert await outcomes(store, "good") == [("passed", "a")]


async def test_two_hundred_sensors_each_get_their_own_events(bus: MemoryBus, store: Store) -> None:
    host = make(bus, store, *(sensor(f"s{n}", names=(f"e{n}",)) for n in range(200)))
    async with running(host):
        await bus.publish_many([event(f"e{n % 200}", str(n)) for n in range(1000)])
        await reach(host, 1000)
    counts = await store.read(lambda c: {len(decisions.of_sensor(c, f"s{n}", limit=50)) for n in range(200)})
    assert counts == {5}
    assert (await store.read(lambda c: firings.counts(c))) == {"pending": 1000}


class Flaky:
    """A store or bus whose calls fail as long as `broken` says why."""

    def __init__(self, inner: Any, *names: str) -> None:
        self._inner = inner
        self._names = names
        self.broken: Exception | None = None
        self.refused = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*args: Any, **more: Any) -> Any:
            if self.broken is not None:
                self.refused.set()
                raise self.broken
            return found(*args, **more)

        return call


async def test_while_the_store_is_full_nothing_is_taken_and_nothing_lost(bus: MemoryBus, store: Store) -> None:
    flaky = Flaky(store, "write")
    host = make(bus, flaky, sensor())
    async with running(host):
        flaky.broken = Transient("the disk that holds the store is full")
        await bus.publish_many([event("a", str(n)) for n in range(10)])
        with anyio.fail_after(10):
            await flaky.refused.wait()
        await anyio.sleep(0.01)
        assert host.state().waiting_for == "the store: the disk that holds the store is full"
        assert not host.state().ready
        flaky.broken = None
        await reach(host, 10)
        assert host.state().ready
    assert len(await fired(store)) == 10


async def test_a_bus_that_goes_away_is_waited_for(bus: MemoryBus, store: Store) -> None:
    class Away:
        """A bus whose tail breaks off once."""

        def __init__(self) -> None:
            self.tails = 0
            self.bounds: Callable[[], Any] = bus.bounds
            self.read: Callable[..., Any] = bus.read

        def tail(self, after: int, *, limit: int = 500) -> Any:
            self.tails += 1
            if self.tails < 3:
                raise BusError("the bus is away")
            return bus.tail(after, limit=limit)

    host = make(Away(), store, sensor())
    async with running(host):
        await bus.publish(event("a", "1"))
        await reach(host, 1)
    assert len(await fired(store)) == 1


async def test_two_hosts_on_one_store_do_not_fire_twice(bus: MemoryBus, store: Store) -> None:
    one, two = make(bus, store, sensor()), make(bus, store, sensor())
    async with running(one), running(two):
        for n in range(50):
            await bus.publish(event("a", str(n)))
        await reach(one, 50)
        await reach(two, 50)
    assert len(await fired(store)) == 50
    assert len(await outcomes(store)) == 50


async def test_another_log_is_noticed(bus: MemoryBus, store: Store) -> None:
    await store.write(lambda c: cursors.save(c, "sensors", 7))
    host = make(bus, store, sensor())
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="this is another log"), flatten_subgroups=True):
        async with running(host):
            pass
