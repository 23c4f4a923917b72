"""`filter.expression` and `limits` of a source that runs: not wanted, not to be asked, too much."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Drop, Hook, Platform, state, until


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store)


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    (tmp_path / "drop").mkdir()
    return Drop(tmp_path / "drop")


async def test_what_a_filter_does_not_want_is_no_event(platform: Platform, drop: Drop) -> None:
    async with platform.running(drop.document(filter={"expression": "path matches 'csv$'"})) as host:
        await state(host, "listening")
        await drop.happen("a.txt")
        await drop.happen("b.csv")
        (record,) = await platform.records(1)
        await until(lambda: host.states()[0].filtered == 1)

    assert record.event.data["path"] == "b.csv"


async def test_what_a_filter_cannot_be_asked_about_is_a_dead_letter(platform: Platform, drop: Drop) -> None:
    async with platform.running(drop.document(filter={"expression": "name > 1"})) as host:
        await state(host, "listening")
        await drop.happen("a.txt")
        (letter,) = await platform.letters(1)
        await until(lambda: host.states()[0].buried == 1)

    assert (letter.kind, letter.origin) == ("event", "es/thing")
    assert "filter.expression cannot be evaluated" in letter.reason
    assert b"a.txt" in letter.body
    assert await platform.all() == []


async def test_a_webhook_is_answered_well_whether_its_event_is_wanted_or_not(platform: Platform) -> None:
    hook = Hook()
    async with platform.running(hook.document(filter={"expression": "body.rows > 10"})) as host:
        answers = [(await hook.post(json={"rows": rows})).status_code for rows in (5, 15, "many")]
        (record,) = await platform.records(1)
        (letter,) = await platform.letters(1)
        shown = host.states()[0]

    assert answers == [202, 202, 202]
    assert record.event.data["body"] == {"rows": 15}
    assert b"many" in letter.body
    assert (shown.filtered, shown.buried) == (1, 1)


async def test_what_is_too_big_is_a_dead_letter_or_refused_to_who_sends_it(platform: Platform, drop: Drop) -> None:
    hook = Hook()
    limits = {"limits": {"maxBytes": 1000}}
    async with platform.running(drop.document(**limits)) as host:
        await state(host, "listening")
        await drop.happen("x" * 250)
        await drop.happen("y" * 5)
        await platform.records(1)
    small = drop.document(limits={"maxBytes": 10})
    async with platform.running(small) as host:
        await state(host, "listening")
        await drop.happen("z")
        (letter,) = await platform.letters(1)
    async with platform.running(hook.document(**limits)):
        answers = [(await hook.post(json="x" * size)).status_code for size in (10, 2000)]

    assert "limits.maxBytes is 10" in letter.reason
    assert answers[0] == 202
    assert answers[1] in {413, 422}


async def test_a_webhook_that_is_called_too_often_asks_for_patience(platform: Platform) -> None:
    hook = Hook()
    async with platform.running(hook.document(limits={"ratePerSecond": 2})) as host:
        answers = [await hook.post(json={}) for _ in range(8)]
        refused = next(one for one in answers if not one.is_success)
        with anyio.fail_after(20):
            while not (await hook.post(json={})).is_success:  # noqa: ASYNC110 - as a sender does
                await anyio.sleep(0.1)
        shown = host.states()[0]

    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert "ratePerSecond" in (shown.last_error or "ratePerSecond")
