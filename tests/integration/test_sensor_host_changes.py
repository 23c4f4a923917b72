"""The sensor host when sensors change while they hold state: changed, removed, back again, suspended, started late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from retrain.store import Store, cells, cursors, sensors
from retrain.store.firings import FiringState
from retrain.store.sensors import SensorRow
from tests.integration.sensor_world import NOON, World, at, event, sensor, world

pytestmark = pytest.mark.integration

PAIR: dict[str, dict[str, Any]] = {"a": {"key": "day"}, "b": {"key": "day"}}


@pytest.fixture
async def here(store: Store) -> AsyncIterator[World]:
    async with world(store) as made:
        yield made


async def test_an_unchanged_sensor_is_not_touched_when_another_changes(here: World) -> None:
    kept, old = sensor("kept", dependencies=PAIR), sensor("old")
    async with here.running(kept, old) as host:
        await here.publish(event("a", "1", day="mon"))
        await here.reach(host)
        before = await here.store.read(sensors.load)
        here.clock.advance(60)
        await host.apply([sensor("kept", dependencies=PAIR), sensor("old", triggers={"u": {}})])
        after = await here.store.read(sensors.load)
        assert host.sensor("kept") is kept
        assert host.sensor("old") is not old
        assert before["kept"] == after["kept"]
        assert before["old"] != after["old"]
        await here.publish(event("b", "2", day="mon"))
        await here.reach(host)
    assert [row.sensor for row in await here.fired() if row.sensor == "kept"] == ["kept"]


async def test_a_changed_key_judges_again_what_waits(here: World) -> None:
    async with here.running(sensor(dependencies=PAIR)) as host:
        await here.publish(event("a", "1", day="mon", site="x"))
        here.clock.advance(1)
        await here.publish(event("a", "2", day="tue", site="x"), event("b", "3", day="wed", site="y"))
        await here.reach(host)
        assert {one.key for one in await here.waiting(host)} == {"mon", "tue", "wed"}
        await host.apply([sensor(dependencies={"a": {"key": "site"}, "b": {"key": "site"}})])
        assert {one.key for one in await here.waiting(host)} == {"x", "y"}
        assert host.counts()["s"] == {"join": 2}
        await here.publish(event("b", "4", day="thu", site="x"))
        await here.reach(host)
    (row,) = await here.fired()
    assert row.events == (event("a", "2").key, event("b", "4").key)


async def test_a_filter_that_is_new_forgets_what_does_not_pass_it_and_says_so(here: World) -> None:
    only_big = {"filters": {"data": [{"path": "n", "type": "number", "comparator": ">", "value": ["5"]}]}}
    async with here.running(sensor(dependencies=PAIR)) as host:
        await here.publish(event("a", "1", day="mon", n=1), event("a", "2", day="tue", n=9))
        await here.reach(host)
        await host.apply([sensor(dependencies={"a": {"key": "day", **only_big}, "b": {"key": "day"}})])
        assert [one.key for one in await here.waiting(host)] == ["tue"]
    (row,) = await here.decided(outcome="forgotten")
    assert row.event_key == event("a", "1").key
    assert await here.counts() == {"join": 1}


async def test_a_trigger_that_is_removed_gets_its_cells_back_when_it_returns(here: World) -> None:
    both = {"t": {}, "u": {}}
    async with here.running(sensor(dependencies=PAIR, triggers=both)) as host:
        await here.publish(event("a", "1", day="mon"))
        await here.reach(host)
        await host.apply([sensor(dependencies=PAIR, triggers={"t": {}})])
        assert host.counts()["s"] == {"join": 1}
        assert [(one.part, one.cells) for one in await here.store.read(cells.retired)] == [("u", 1)]
        await host.apply([sensor(dependencies=PAIR, triggers=both)])
        assert await here.store.read(cells.retired) == []
        await here.publish(event("b", "2", day="mon"))
        await here.reach(host)
    assert sorted(row.trigger for row in await here.fired()) == ["t", "u"]


async def test_a_removed_sensor_gets_its_cells_back_also_by_a_restart(here: World) -> None:
    other = sensor("other", dependencies={"z": {}})
    async with here.running(sensor(dependencies=PAIR), other) as host:
        await here.publish(event("a", "1", day="mon"))
        await here.reach(host)
    async with here.running(other) as host:
        rows = await here.store.read(sensors.removed)
        assert [row.name for row in rows] == ["s"]
        assert host.counts() == {}
        await here.publish(event("b", "2", day="mon"))  # nobody takes it
        await here.reach(host)
    async with here.running(sensor(dependencies=PAIR), other) as host:
        assert await here.store.read(sensors.removed) == []
        assert host.counts()["s"] == {"join": 1}
        await here.publish(event("b", "3", day="mon"))
        await here.reach(host)
    (row,) = await here.fired()
    assert row.events == (event("a", "1").key, event("b", "3").key)


async def test_a_suspended_sensor_keeps_its_place_and_reads_on_from_there(here: World) -> None:
    window = {"t": {"window": {"quiet": "10s"}}}
    async with here.running(sensor(triggers=window)) as host:
        await here.publish(event("a", "1"))
        await here.reach(host)
        await host.apply([sensor(triggers=window, mode="suspended")])
        assert host.state().still == ("s",)
        here.clock.advance(5)
        await here.publish(event("a", "2"))
        here.clock.advance(100)
        await here.publish(event("a", "3"), event("x", "4"))
        await here.reach(host)
        assert await here.fired() == []
    async with here.running(sensor(triggers=window, mode="suspended")):
        pass
    async with here.running(sensor(triggers=window)) as host:
        await here.reach(host)
        (row,) = await here.fired(1)
        assert (len(row.events), row.created) == (2, at(15))
        here.clock.advance(10)
        _, second = await here.fired(2)
    assert second.events == (event("a", "3").key,)


async def test_a_shadow_decides_and_nothing_is_acted_on(here: World) -> None:
    async with here.running(sensor(mode="shadow", triggers={"t": {"concurrency": {"limit": 1}}})) as host:
        await here.publish(event("a", "1"), event("a", "2"))
        await here.reach(host)
    assert [row.state for row in await here.fired()] == [FiringState.SHADOW] * 2


async def test_a_sensor_that_starts_at_a_time_takes_what_came_from_then_on(here: World) -> None:
    async with here.running(sensor("other", dependencies={"z": {}})):
        for n in range(20):
            await here.publish(event("a", str(n)))
            here.clock.advance(60)
    start = at(60 * 15).isoformat()
    async with here.running(sensor("other", dependencies={"z": {}}), sensor(start=start)) as host:
        await here.reach(host)
        assert len(await here.fired()) == 5


async def test_a_sensor_that_starts_in_the_future_waits_for_that_time(here: World) -> None:
    async with here.running(sensor(start=at(3600).isoformat())) as host:
        await here.publish(event("a", "1"))
        here.clock.advance(3600)
        await here.publish(event("a", "2"))
        await here.reach(host)
    (row,) = await here.fired()
    assert row.events == (event("a", "2").key,)


async def test_silence_of_the_past_is_found_when_a_sensor_reads_it(here: World) -> None:
    async with here.running(sensor("other", dependencies={"z": {}})) as host:
        await here.publish(event("a", "1"))
        here.clock.advance(7200)
        await here.publish(event("a", "2"))
        await here.reach(host)
        late = sensor(start="earliest", dependencies={"a": {"absent": {"for": "1h"}}})
        await host.apply([sensor("other", dependencies={"z": {}}), late])
        rows = await here.fired(1)
        await here.reach(host)
        assert host.state().behind == ()
    (record,) = await here.bus.read(2)
    assert record.event.data["since"].startswith("2026-11-21T12:00:00")
    assert rows[0].events == (record.event.key,)


async def test_what_a_retrain_before_cells_kept_is_taken_up(here: World) -> None:
    async with here.running(sensor("other", dependencies={"z": {}})) as host:
        await here.publish(event("a", "1"))
        await here.reach(host)
    old = SensorRow("s", "an older digest", 0, NOON, state={"waiting": {"t": {"a": event("a", "1").key}}})
    await here.store.write(lambda c: sensors.save(c, [old]))

    async with here.running(sensor(dependencies={"a": {}, "b": {}})) as host:
        assert [(one.have, one.need) for one in await here.waiting(host)] == [(("a",), ("b",))]
        await here.publish(event("b", "2"))
        await here.reach(host)
    (row,) = await here.fired()
    assert row.events == (event("a", "1").key, event("b", "2").key)
    assert (await here.store.read(sensors.load))["s"].state is None


async def test_cells_that_nobody_runs_do_not_keep_the_timers_busy(here: World) -> None:
    async with here.running(sensor(triggers={"t": {"window": {"quiet": "10s"}}})) as host:
        await here.publish(event("a", "1"))
        await here.reach(host)
        stray = text("UPDATE sensor_cells SET sensor = 'nobody'")
        await here.store.write(lambda c: c.execute(stray))
        here.clock.advance(60)
        place = await here.store.read(lambda c: cursors.place(c, "sensors"))
        assert place is not None
        await here.publish(event("a", "2"))
        await here.reach(host)
        here.clock.advance(60)
        await here.fired(1)
        after = await here.store.read(lambda c: cursors.place(c, "sensors"))
        assert after is not None
        assert after.version - place.version < 10
