"""What every kind of source promises, over all of them, each with its real outside world.

A kind says in tests/contract/outside/KIND.py what its protocol can promise; what it cannot is told in docs/sources.md.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from eventsources import SourceHost
from eventsources.host.delivery import BATCH
from eventsources.kinds import KINDS
from retrain.bus import MemoryBus
from retrain.errors import ConfigError
from retrain.store import Store
from tests.contract.outside import OURS, World, built, versions, world_of
from tests.contract.source_world import DEADLINE_S, Flaky, Platform, Secrets, document, state, until
from tests.support.size import size


def cases() -> list[Any]:
    """Every kind in every apiVersion that it may stand in."""
    return [
        pytest.param((kind, version), id=f"{kind}-{'ours' if version == OURS else 'argo'}", marks=_marks(kind))
        for kind in built()
        for version in versions(kind)
    ]


def _marks(kind: str) -> list[Any]:
    try:
        world = world_of(kind)
    except ModuleNotFoundError:  # its tests fail, and nobody else's
        return []
    quiet = ["ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"]
    marks = [pytest.mark.filterwarnings(*quiet)] if world.leaves_sockets else []
    return [*marks, pytest.mark.integration] if world.fixture else marks


@pytest.fixture(params=cases())
async def outside(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    kind, version = request.param
    world = world_of(kind)
    server = request.getfixturevalue(world.fixture) if world.fixture else None
    made = world(tmp_path, server, version)
    await made.prepare()
    yield made
    await made.close()
    if made.leaves_sockets:
        with warnings.catch_warnings():  # what the client leaves is collected here, and not in some other test
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture
def flaky(memory_bus: MemoryBus) -> Flaky:
    return Flaky(memory_bus)


@pytest.fixture
def platform(flaky: Flaky, store: Store, outside: World) -> Platform:
    bus: Any = flaky
    return Platform(bus, store, Secrets(outside.secrets()), clock=outside.clock)


async def names(platform: Platform, outside: World, count: int) -> list[str]:
    """The names of what has come, in the order of the log, once there are so many."""
    return [outside.name_in(record.event) for record in await platform.records(count)]


async def everything(platform: Platform, outside: World) -> list[str]:
    return [outside.name_in(record.event) for record in await platform.all()]


def unless(promise: bool, what: str) -> None:
    if not promise:
        pytest.skip(what)


# --- what comes out --------------------------------------------------------------------------------------------------


async def test_what_happens_becomes_an_event_of_upstreams_shape(platform: Platform, outside: World) -> None:
    async with platform.running(outside.document(metadata={"team": "vision"})) as host:
        await state(host, "listening")
        await outside.happen("a.csv")
        (record,) = await platform.records(1)
        await until(lambda: host.states()[0].received == 1)

    event = record.event
    kind: Any = KINDS[outside.kind]
    assert (event.source, event.subject, event.type) == ("es", "thing", kind.type)
    assert event.datacontenttype == "application/json"
    assert event.time is not None
    assert event.data["metadata"] == {"team": "vision"}
    assert outside.name_in(event) == "a.csv"
    assert set(event.data) - {"metadata"} >= outside.payload
    if not outside.ours:
        assert set(event.data) - {"metadata"} == outside.payload


async def test_the_same_thing_seen_twice_is_one_event(platform: Platform, outside: World) -> None:
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
        await outside.happen("a.csv")
        await platform.records(1)
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
        if outside.calls:
            await outside.happen("a.csv")
        await outside.happen("b.csv")
        await platform.records(2)

    assert sorted(await everything(platform, outside)) == ["a.csv", "b.csv"]


async def test_what_happens_while_the_platform_is_away_is_found_at_its_start(
    platform: Platform, outside: World
) -> None:
    unless(outside.remembers, "what nobody listens to is gone")
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
    await outside.happen("meanwhile.csv")
    async with platform.running(outside.document()):
        found = await names(platform, outside, 1)

    assert found == ["meanwhile.csv"]


async def test_what_is_there_at_the_first_start_comes_in_ours_and_not_in_argos(
    platform: Platform, outside: World
) -> None:
    unless(outside.first_is_told, "there is nothing before the start that it could tell of")
    await outside.happen("old.csv")
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
        await outside.happen("new.csv")
        found = await names(platform, outside, 2 if outside.ours else 1)

    assert sorted(found) == (["new.csv", "old.csv"] if outside.ours else ["new.csv"])


async def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes_and_the_rest_flows_on(
    platform: Platform, outside: World
) -> None:
    unless(type(outside).bad is not World.bad, "everything can be read, or is refused to who sends it")
    async with platform.running(outside.document(**outside.bad_entry)) as host:
        await state(host, "listening")
        raw = await outside.bad()
        await outside.happen("after.csv")
        found = await names(platform, outside, 1)
        (letter,) = await platform.letters(1)
        after = host.states()[0]

    assert found == ["after.csv"]
    assert letter.body == raw
    assert (letter.kind, letter.origin) == ("message", "es/thing")
    assert (after.state, after.buried) == ("listening", 1)


# --- the platform, the bus and the server come and go ----------------------------------------------------------------


async def test_while_the_bus_is_away_nothing_is_forgotten(platform: Platform, outside: World, flaky: Flaky) -> None:
    async with platform.running(outside.document()) as host, anyio.create_task_group() as tasks:
        await state(host, "listening")
        flaky.away = True
        tasks.start_soon(outside.happen, "a.csv")
        await until(lambda: flaky.refused > 0)
        if not outside.calls:
            assert "bus" in ((await state(host, "waiting")).waiting_for or "")
        flaky.away = False
        found = await names(platform, outside, 1)
        await state(host, "listening")

    assert found == ["a.csv"]
    assert await everything(platform, outside) == ["a.csv"]


async def test_nothing_is_acknowledged_before_the_bus_has_it(platform: Platform, outside: World, flaky: Flaky) -> None:
    """The platform ends while the bus is away: at the next start the outside tells of it once more."""
    unless(outside.redelivers, "it does not ask whether what it told has arrived")
    async with anyio.create_task_group() as tasks:
        async with platform.running(outside.document()) as host:
            await state(host, "listening")
            flaky.away = True
            tasks.start_soon(outside.happen, "a.csv")
            await until(lambda: flaky.refused > 0)
        assert await platform.all() == []
        flaky.away = False
        async with platform.running(outside.document()):
            found = await names(platform, outside, 1)

    assert found == ["a.csv"]


async def test_a_server_that_dies_and_comes_back_has_lost_nothing_that_it_can_keep(
    platform: Platform, outside: World, flaky: Flaky
) -> None:
    server = outside.server
    if server is None or outside.calls:
        pytest.skip("there is no server that may be killed")
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
        await outside.happen("before.csv")
        await platform.records(1)
        flaky.away = outside.survives
        if outside.survives:
            await outside.happen("kept.csv")
            await until(lambda: flaky.refused > 0)
        await anyio.to_thread.run_sync(server.kill)
        try:
            flaky.away = False
            if not outside.survives:
                await until(lambda: host.states()[0].state != "listening")
        finally:
            await anyio.to_thread.run_sync(server.start)
        if not outside.survives:
            await outside.prepare()  # it has forgotten its topics and queues
        await until(lambda: host.states()[0].state == "listening")
        await outside.happen("after.csv")
        expected = ["before.csv", "kept.csv", "after.csv"] if outside.survives else ["before.csv", "after.csv"]
        found = await names(platform, outside, len(expected))

    assert sorted(found) == sorted(expected)


async def test_while_the_bus_is_away_only_a_batch_is_taken_in(platform: Platform, outside: World, flaky: Flaky) -> None:
    """Back pressure: what is not safe yet stays outside, so memory does not grow with it."""
    unless(not outside.calls, "who calls is answered 503 at once")
    unless(outside.many > BATCH, "its server is too slow for more than a batch, so nothing could be seen")
    wanted = [f"m-{number:04}.csv" for number in range(min(BATCH + BATCH // 2, outside.many))]
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
        flaky.away = True
        await outside.happen_many(wanted)
        await until(lambda: flaky.refused > 1)  # it has paused, and has tried again with the same
        offered = len(flaky.offered)
        flaky.away = False
        found = await names(platform, outside, len(wanted))

    assert 0 < offered <= BATCH
    assert sorted(found) == wanted


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_many_things_come_each_once_and_in_order(platform: Platform, outside: World) -> None:
    few = 300 if outside.calls else 2 * BATCH + 200  # who calls has no batches
    wanted = [f"m-{number:05}.csv" for number in range(size(min(outside.many, few), outside.many))]
    with anyio.fail_after(500):
        async with platform.running(outside.document()) as host, anyio.create_task_group() as tasks:
            await state(host, "listening")
            tasks.start_soon(outside.happen_many, wanted)
            await platform.records(len(wanted), deadline_s=480)
        found = await everything(platform, outside)

    assert (found if outside.ordered else sorted(found)) == wanted


# --- what is wrong outside -------------------------------------------------------------------------------------------


async def test_secrets_that_are_not_there_are_waited_for(platform: Platform, outside: World) -> None:
    values = dict(platform.secrets.values)
    unless(bool(values), "it has no secrets")
    platform.secrets.values.clear()
    async with platform.running(outside.document()) as host:
        waiting = await state(host, "waiting")
        platform.secrets.values.update(values)
        await state(host, "listening")
        await outside.happen("a.csv")
        found = await names(platform, outside, 1)

    assert "secret" in (waiting.waiting_for or "")
    assert found == ["a.csv"]


async def test_wrong_credentials_are_said_and_mended_without_a_restart(platform: Platform, outside: World) -> None:
    wrong = outside.wrong_secrets()
    if wrong is None:
        pytest.skip("it asks for no credentials")
    right = dict(platform.secrets.values)
    platform.secrets.values.update(wrong)
    async with platform.running(outside.document()) as host:
        waiting = await state(host, "waiting")
        await _is_patient(host)
        platform.secrets.values.clear()
        platform.secrets.values.update(right)
        await state(host, "listening")
        await outside.happen("a.csv")
        found = await names(platform, outside, 1)

    assert waiting.waiting_for
    assert waiting.last_error
    assert found == ["a.csv"]


async def test_a_host_that_is_not_there_is_said_and_asked_with_patience(platform: Platform, outside: World) -> None:
    if outside.nowhere is None:
        pytest.skip("there is no host to look for")
    async with platform.running(outside.document(**outside.nowhere)) as host:
        waiting = await state(host, "waiting")
        await _is_patient(host)
        await host.apply([outside.document()])
        await state(host, "listening")

    assert waiting.waiting_for


async def _is_patient(host: SourceHost) -> None:
    """Three failures take their time: a loop without pauses would have them at once. A slow machine only helps."""
    began, before = anyio.current_time(), host.states()[0].errors
    await until(lambda: host.states()[0].errors >= before + 3)
    assert anyio.current_time() - began > 0.3


async def test_no_secret_is_shown_in_any_state_event_or_log(platform: Platform, outside: World) -> None:
    values = [*outside.secrets().values(), *(outside.wrong_secrets() or {}).values()]
    values = [value for value in values if len(value) >= 8]
    unless(bool(values), "it has no secrets")
    with capture_logs() as logs:
        platform.secrets.values.update(outside.wrong_secrets() or {})
        async with platform.running(outside.document()) as host:
            if outside.wrong_secrets() is not None:
                shown = repr(await state(host, "waiting"))
                platform.secrets.values.update(outside.secrets())
            else:
                shown = ""
            shown += repr(await state(host, "listening"))
            await outside.happen("a.csv")
            shown += repr(await platform.records(1))

    for value in values:
        if value not in outside.public:
            assert value not in shown
            assert value not in repr(logs)


# --- changes of the project ------------------------------------------------------------------------------------------


async def test_an_unchanged_source_keeps_running_when_another_changes(platform: Platform, outside: World) -> None:
    beside = document("beside", webhook={"x": {"endpoint": "/x"}})
    async with platform.running(outside.document(), beside) as host:
        await until(lambda: all(one.state == "listening" for one in host.states()))
        before = {one.name: one for one in host.states()}
        await host.apply([outside.document(), document("beside", webhook={"y": {"endpoint": "/y"}})])
        after = {one.name: one for one in host.states()}
        await outside.happen("a.csv")
        await platform.records(1)

    assert after["es/thing"].since == before["es/thing"].since
    assert set(after) == {"es/thing", "beside/y"}


async def test_a_removed_source_takes_in_nothing(platform: Platform, outside: World) -> None:
    async with platform.running(outside.document()) as host:
        await state(host, "listening")
        with anyio.fail_after(5):
            await host.apply([])
        states = host.states()

    assert states == []


async def test_a_document_with_an_error_changes_nothing(platform: Platform, outside: World) -> None:
    async with platform.running(outside.document()) as host:
        with pytest.raises(ConfigError, match="'nsq' is not built"):
            await host.apply([document("new", nsq={"k": {"topic": "x"}})])
        states = host.states()

    assert [one.name for one in states] == ["es/thing"]


def test_every_deadline_here_is_longer_than_a_sources_longest_pause() -> None:
    from eventsources.trying import JITTER, LAST_S

    assert LAST_S * (1 + JITTER) < DEADLINE_S
