"""What every bus promises, over every adapter."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from retrain.bus import Bounds, Bus, BusSettings, MemoryBus, NatsBus, Record, embedded, open_nats
from retrain.bus.subjects import MAX_TOKEN, subject_of, token
from retrain.errors import BusError, Permanent
from retrain.events import Event

DEADLINE_S = 30


@asynccontextmanager
async def nats_bus(directory: Path, settings: BusSettings | None = None) -> AsyncGenerator[NatsBus]:
    async with embedded(directory, settings) as server, open_nats(server.url, server.settings) as bus:
        yield bus


def synced_bus(directory: Path) -> AbstractAsyncContextManager[NatsBus]:
    """It flushes to the disk before it acknowledges, and so takes events in groups."""
    return nats_bus(directory, BusSettings(sync="always"))


KINDS = {"memory": lambda directory: MemoryBus(), "nats": nats_bus, "synced": synced_bus}


@pytest.fixture(params=["memory", *(pytest.param(kind, marks=pytest.mark.integration) for kind in ("nats", "synced"))])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    opened: AbstractAsyncContextManager[Bus] = KINDS[request.param](tmp_path / "bus")
    async with opened as bus:
        yield bus


def event(name: str | int, **more: object) -> Event:
    return Event(id=str(name), source="test", type="test.event", **more)  # type: ignore[arg-type]


def ids(records: list[Record]) -> list[str]:
    return [record.event.id for record in records]


async def everything(bus: Bus, *, limit: int = 500) -> list[Record]:
    found: list[Record] = []
    while page := await bus.read(found[-1].position if found else 0, limit=limit):
        found += page
    return found


async def take(batches: AsyncIterator[list[Record]], count: int) -> list[Record]:
    found: list[Record] = []
    with anyio.fail_after(DEADLINE_S):
        while len(found) < count:
            batch = await anext(batches)
            assert batch, "a batch is never empty"
            found += batch
    return found


async def test_a_new_bus_is_empty(bus: Bus) -> None:
    assert await bus.bounds() == Bounds(first=1, last=0)
    assert await bus.read(0) == []


async def test_events_are_read_in_the_order_they_were_published_in(bus: Bus) -> None:
    published = [await bus.publish(event(number)) for number in range(20)]
    assert [answer.position for answer in published] == list(range(1, 21))
    records = await bus.read(0)
    assert ids(records) == [str(number) for number in range(20)]
    assert [record.position for record in records] == list(range(1, 21))
    assert await bus.bounds() == Bounds(first=1, last=20)


async def test_how_much_the_log_holds_is_told(bus: Bus) -> None:
    empty = await bus.usage()
    await bus.publish_many([event(n) for n in range(1, 4)])
    found = await bus.usage()

    assert (empty.events, found.events) == (0, 3)
    assert found.bytes > empty.bytes
    assert found.server


async def test_the_time_of_arrival_is_recorded_in_utc(bus: Bus) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    await bus.publish(event("a"))
    received = (await bus.read(0))[0].received
    assert before < received < datetime.now(UTC) + timedelta(seconds=1)
    assert received.utcoffset() == timedelta(0)


async def test_the_same_event_again_gives_the_first_position_and_adds_nothing(bus: Bus) -> None:
    await bus.publish(event("other"))
    first = await bus.publish(event("a", data=1))
    await bus.publish(event("b"))
    again = await bus.publish(event("a", data=2))
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.position == first.position
    assert ids(await bus.read(0)) == ["other", "a", "b"]


async def test_publish_many_answers_in_order_and_dedupes_inside_the_call(bus: Bus) -> None:
    events = [event(number) for number in range(1200)]
    answers = await bus.publish_many([*events, events[0]])
    assert len(answers) == 1201
    assert answers[-1].duplicate
    assert answers[-1].position == answers[0].position
    records = await everything(bus)
    by_position = {record.position: record.event.id for record in records}
    assert [by_position[answer.position] for answer in answers[:-1]] == [str(number) for number in range(1200)]
    assert len(records) == 1200
    assert await bus.publish_many([]) == []


async def test_the_log_is_read_from_any_position_and_with_any_limit(bus: Bus) -> None:
    await bus.publish_many([event(number) for number in range(30)])
    for after in (0, 1, 7, 29):
        assert [record.position for record in await bus.read(after)] == list(range(after + 1, 31))
    assert [record.position for record in await bus.read(10, limit=3)] == [11, 12, 13]
    assert await bus.read(30) == []
    assert await bus.read(1000) == []
    assert len(await everything(bus, limit=7)) == 30


async def test_two_thousand_events_by_many_publishers_are_all_there_once(bus: Bus) -> None:
    async def publisher(lane: int) -> None:
        for number in range(lane, 2000, 50):
            await bus.publish(event(number))

    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as group:
            for lane in range(50):
                group.start_soon(publisher, lane)
    records = await everything(bus)
    assert sorted(map(int, ids(records))) == list(range(2000))
    assert [record.position for record in records] == sorted(record.position for record in records)


@pytest.mark.parametrize(
    ("source", "subject"),
    [
        ("plain", None),
        ("a.b.c", "x.y"),
        ("with space", "two  spaces"),
        ("zero\u200bwidth", "\u202eright to left"),
        ("*", ">"),
        ("retrain.>", "*.*"),
        ("arn:aws:s3:::bucket", "daten/2026-11-20/käse 🧀.parquet"),
        ("=41", "="),
        ("s" * 4096, "ü" * 4096),
        ("/absolute/../path", "../x"),
    ],
)
async def test_names_of_any_shape_go_through_unchanged(bus: Bus, source: str, subject: str | None) -> None:
    sent = Event(id="id with .*> ünd", source=source, type="t", subject=subject, data={"k": [1, None]})
    await bus.publish(sent)
    assert [record.event for record in await bus.read(0)] == [sent]


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "a\r\nPUB evil 0"},
        {"subject": ""},
        {"source": "tab\t"},
        {"id": "x" * 4097},
        {"type": ""},
        {"extensions": {"Not-A-Name": 1}},
        {"extensions": {"ok": 1.5}},
        {"dataschema": "\x00"},
    ],
)
async def test_an_event_that_no_reader_could_read_is_never_acknowledged(bus: Bus, wrong: dict[str, object]) -> None:
    with pytest.raises(Permanent, match="could not be read again"):
        await bus.publish(Event(**{"id": "1", "source": "s", "type": "t", **wrong}))  # type: ignore[arg-type]
    assert (await bus.bounds()).last == 0


async def test_binary_data_and_every_attribute_survive(bus: Bus) -> None:
    sent = Event(
        id="1",
        source="s",
        type="t",
        subject="x",
        time=datetime(2026, 11, 20, 8, 15, 0, 123456, tzinfo=UTC),
        data=bytes(range(256)),
        datacontenttype="application/octet-stream",
        dataschema="https://example.com/schema",
        extensions={"flag": True, "count": 3, "traceparent": "00-ab"},
    )
    await bus.publish(sent)
    assert (await bus.read(0))[0].event == sent


async def test_big_events_go_through_and_come_in_every_way(bus: Bus) -> None:
    big = [event(number, data="x" * 3_000_000) for number in range(9)]
    await bus.publish_many(big)
    assert ids(await everything(bus)) == [str(number) for number in range(9)]
    async with bus.tail(0) as batches:
        assert ids(await take(batches, 9)) == [str(number) for number in range(9)]


async def test_an_event_that_is_too_big_is_refused_and_the_bus_goes_on(bus: Bus) -> None:
    with pytest.raises(Permanent, match="the bus takes"):
        await bus.publish(event("big", data="x" * 9_000_000))
    # Just under the server's limit: what the headers need is counted too, or the server cuts the connection.
    room = 8 * 1024 * 1024 - len(event("edge", data="").to_json())
    with anyio.fail_after(DEADLINE_S):
        for length in (room - 128, room - 64, room, room + 1):
            with suppress(Permanent):
                await bus.publish(event("edge", data="x" * length))
        assert not (await bus.publish(event("small"))).duplicate


async def test_data_that_is_no_json_is_refused(bus: Bus) -> None:
    for data in (object(), "\ud800", 2**70):
        with pytest.raises(Permanent, match="cannot be written as JSON"):
            await bus.publish(event("bad", data=data))
    assert (await bus.bounds()).last == 0


async def test_one_bad_event_fails_publish_many_and_leaves_the_bus_usable(bus: Bus) -> None:
    with pytest.raises(Permanent):
        await bus.publish_many([event(1), event(2, data=object()), event(3)])
    assert len(await bus.publish_many([event(1), event(2), event(3)])) == 3
    assert sorted(ids(await bus.read(0))) == ["1", "2", "3"]


async def test_a_tail_gives_what_is_there_and_then_what_comes(bus: Bus) -> None:
    await bus.publish_many([event(number) for number in range(10)])
    async with bus.tail(4, limit=3) as batches:
        caught_up = await take(batches, 6)
        assert [record.position for record in caught_up] == [5, 6, 7, 8, 9, 10]
        for number in range(10, 20):
            await bus.publish(event(number))
            assert ids(await take(batches, 1)) == [str(number)]


async def test_tails_follow_many_writers_without_gap_or_double(bus: Bus) -> None:
    seen: dict[str, list[int]] = {"early": [], "late": []}

    async def follow(name: str, limit: int) -> None:
        async with bus.tail(0, limit=limit) as batches:
            async for batch in batches:
                assert 1 <= len(batch) <= limit
                seen[name] += [record.position for record in batch]
                if seen[name][-1] == 2000:
                    return

    async def write(lane: int) -> None:
        for number in range(lane, 2000, 20):
            await bus.publish(event(number))

    with anyio.fail_after(DEADLINE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(follow, "early", 500)
            for lane in range(20):
                group.start_soon(write, lane)
            group.start_soon(follow, "late", 7)
    assert seen == {"early": list(range(1, 2001)), "late": list(range(1, 2001))}


async def test_a_slow_reader_gets_everything(bus: Bus) -> None:
    await bus.publish_many([event(number) for number in range(300)])
    found: list[Record] = []
    async with bus.tail(0, limit=10) as batches:
        while len(found) < 300:
            found += await take(batches, 1)
            for _ in range(20):
                await checkpoint()
    assert [record.position for record in found] == list(range(1, 301))


async def test_a_cancelled_wait_loses_nothing(bus: Bus) -> None:
    async with bus.tail(0) as batches:
        found: list[Record] = []
        for number in range(50):
            with anyio.CancelScope() as scope:
                scope.cancel()
                found += await anext(batches)
            await bus.publish(event(number))
            with anyio.move_on_after(0.0005):
                found += await anext(batches)
        if len(found) < 50:
            found += await take(batches, 50 - len(found))
    assert [record.position for record in found] == list(range(1, 51))


async def test_a_tail_that_is_left_early_disturbs_nobody(bus: Bus) -> None:
    await bus.publish_many([event(number) for number in range(100)])
    for _ in range(5):
        async with bus.tail(0, limit=10) as batches:
            await anext(batches)
    async with bus.tail(0) as _never_asked:
        pass
    with pytest.raises(RuntimeError, match="the body's own"):
        async with bus.tail(0) as batches:
            raise RuntimeError("the body's own")
    assert len(await everything(bus)) == 100


async def test_a_cancelled_publish_leaves_the_bus_usable(bus: Bus) -> None:
    for number in range(20):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bus.publish(event(f"maybe-{number}"))
    await bus.publish(event("sure"))
    assert ids(await everything(bus)).count("sure") == 1


async def test_closing_twice_is_closing_once_and_then_everything_is_refused(bus: Bus) -> None:
    assert isinstance(bus, MemoryBus | NatsBus)
    await bus.publish(event("a"))
    assert bus.connected
    assert bus.waiting_for is None
    async with bus.tail(1) as batches, anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(BusError, match="closed"):
                await anext(batches)

        group.start_soon(wait)
        await checkpoint()
        await bus.aclose()
        await bus.aclose()
    assert not bus.connected
    assert bus.waiting_for == "the bus is closed"
    with anyio.fail_after(DEADLINE_S):
        with pytest.raises(BusError, match="closed"):
            await bus.publish(event("b"))
        with pytest.raises(BusError, match="closed"):
            await bus.read(0)
        with pytest.raises(BusError, match="closed"):
            await bus.bounds()


async def test_memory_forgets_the_oldest_beyond_its_limit() -> None:
    async with MemoryBus(max_events=5) as bus:
        await bus.publish_many([event(number) for number in range(12)])
        assert await bus.bounds() == Bounds(first=8, last=12)
        assert [record.position for record in await bus.read(0)] == [8, 9, 10, 11, 12]


@pytest.mark.integration
async def test_events_older_than_the_limit_go_and_positions_go_on(tmp_path: Path) -> None:
    settings = BusSettings(max_age_s=0.5, duplicate_window_s=0.2)
    async with embedded(tmp_path, settings) as server, open_nats(server.url, server.settings) as bus:
        await bus.publish_many([event(number) for number in range(5)])
        with anyio.fail_after(DEADLINE_S):
            while await bus.read(0):
                await checkpoint()
        assert await bus.bounds() == Bounds(first=6, last=5)
        again = await bus.publish(event(0))
        assert (again.position, again.duplicate) == (6, False)


@given(st.text(max_size=300), st.text(max_size=300))
def test_tokens_are_safe_and_tell_texts_apart(one: str, other: str) -> None:
    for text in (one, other):
        encoded = token(text)
        assert 1 <= len(encoded) <= MAX_TOKEN
        assert encoded.isascii()
        assert not set(encoded) & set(" \t\r\n.*>\0")
    assert (token(one) == token(other)) == (one == other)
    assert subject_of(one, other).count(".") == 3


def test_subjects_are_what_other_nats_clients_expect() -> None:
    assert subject_of("orders", "created") == "retrain.events.orders.created"
    assert subject_of("s3", None) == "retrain.events.s3.="
    assert subject_of("s3.eu", "a b/ü") == "retrain.events.s3=2Eeu.a=20b=2F=C3=BC"
