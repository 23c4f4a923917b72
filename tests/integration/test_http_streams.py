"""Streams that are cut in the midst go on where they were: no event and no line is lost, and none comes twice."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.local.logs import Follower, lines
from retrain.app.runs.logs import Logs, StepLine, log_name
from retrain.events import Event
from retrain.web import log_stream, tail
from retrain.web.log_stream import as_events, read_id
from tests.integration.page_house import House, house

TIME = datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path) as found:
        yield found


class Listener:
    """Somebody who opens a stream and hears it until they have heard enough."""

    def __init__(self, found: House, path: str, **headers: str) -> None:
        self._door = found.door
        place, _, query = path.partition("?")
        said = {"host": "127.0.0.1:7300", **{name.replace("_", "-"): value for name, value in headers.items()}}
        self._scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": place,
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "client": ("127.0.0.1", 1),
        }
        self.heard = b""
        self.headers: dict[bytes, bytes] = {}

    async def has(self, text: bytes) -> None:
        """Wait until this was heard."""
        while text not in self.heard:  # noqa: ASYNC110 - somebody else hears it
            await anyio.sleep(0.01)

    async def hear(self, enough: str) -> str:
        """Listen until something like this was heard, or the stream ends; what was heard."""
        gone = anyio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.headers = dict(message["headers"])
            self.heard += message.get("body", b"")
            if re.search(enough, self.heard.decode()):
                gone.set()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        with anyio.fail_after(20):
            await self._door(self._scope, receive, send)
        return self.heard.decode()


def event(number: int) -> Event:
    return Event(id=f"e-{number}", source="shop", type="order", data={"n": number})


def told(text: str) -> list[tuple[int, str]]:
    """Positions and ids of the events of a stream, as far as they came whole."""
    found = re.findall(r"id: (\d+)\ndata: (.*)\n\n", text)
    return [(int(position), orjson.loads(data)["id"]) for position, data in found]


async def test_a_stream_of_events_goes_on_behind_what_was_heard(here: House) -> None:
    bus = here.services.bus
    await bus.publish_many([event(n) for n in range(5)])
    first = told(await Listener(here, "/api/v1/events/tail?after=0").hear("e-2"))[:3]
    await bus.publish_many([event(n) for n in range(5, 9)])
    listener = Listener(here, "/api/v1/events/tail?after=0", last_event_id=str(first[-1][0]))
    rest = told(await listener.hear("e-8"))

    assert [name for _, name in first + rest] == [f"e-{n}" for n in range(9)]
    assert listener.heard.startswith(b"retry: ")
    assert listener.headers[b"cache-control"] == b"no-store"


async def test_silence_is_broken_and_the_end_of_the_platform_ends_it(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "BEAT_S", 0.02)
    quiet = await Listener(here, "/api/v1/events/tail").hear("nothing new\n\n: nothing new")
    async with anyio.create_task_group() as group:
        listener = Listener(here, "/api/v1/events/tail")
        group.start_soon(listener.hear, "never")
        await listener.has(b"nothing new")
        await here.services.bus.publish(event(1))
        await listener.has(b"e-1")
        here.services.closing.set()

    assert "data:" not in quiet


async def test_what_the_log_has_no_more_is_said(here: House) -> None:
    bus = cast("Any", here.services.bus)
    bus._max_events = 2
    await bus.publish_many([event(n) for n in range(5)])
    text = await Listener(here, "/api/v1/events/tail?after=1").hear("e-4")

    assert 'event: missed\ndata: {"after":1,"first":4}\n\n' in text
    assert [name for _, name in told(text)] == ["e-3", "e-4"]


async def test_a_place_that_is_none_is_refused(here: House) -> None:
    async with here.visitor() as one:
        answers = [
            await one.get("/api/v1/events/tail", headers={"last-event-id": said})
            for said in ("x", "-1", "99999999999999999999", "1.5")
        ]
    assert [answer.status_code for answer in answers] == [422] * 4


# --- logs ------------------------------------------------------------------------------------------------------------


def write(path: Path, texts: list[str], start: int = 0) -> None:
    with path.open("a") as file:
        for n, text in enumerate(texts, start):
            when = (TIME + timedelta(seconds=n)).isoformat().replace("+00:00", "Z")
            file.write(f"{when} both F {text}\n")


def node(name: str) -> Mapping[str, Any]:
    return {"id": name, "name": name, "displayName": name}


async def stream(here: House, logs: Mapping[str, Path], places: Mapping[str, int], at_once: int) -> str:
    """What a client gets that has the logs up to `places`: a few lines of each, by turns."""

    async def batches() -> AsyncGenerator[list[StepLine]]:
        open_ones = {
            name: iter(lines(path) if (at := places.get(log_name(node(name), "main"))) is None else rest(path, at))
            for name, path in logs.items()
        }
        while open_ones:
            for name, left in list(open_ones.items()):
                if batch := [StepLine(node(name), "main", line) for _, line in zip(range(at_once), left, strict=False)]:
                    yield batch
                else:
                    del open_ones[name]

    found = [part async for part in as_events(here.services, Logs(len(logs) > 1, batches()), places)]
    return b"".join(found).decode()


def rest(path: Path, start: int) -> Any:
    follower = Follower(path, start=start)
    while found := follower.read():
        yield from found


def heard(text: str) -> tuple[list[tuple[str, str]], str | None]:
    """Lines of a stream as far as they came whole, and the last id, as a browser's EventSource keeps it."""
    found: list[tuple[str, str]] = []
    last: str | None = None
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        last = fields.get("id", last)
        if "event" not in fields and "data" in fields:
            said = orjson.loads(fields["data"])
            found.append((said["name"], said["text"]))
    return found, last


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.lists(st.floats(0, 1), max_size=4), st.integers(1, 4))
async def test_a_log_that_is_cut_anywhere_goes_on_where_it_was(
    here: House, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cuts: list[float], at_once: int
) -> None:
    place = tmp_path_factory.mktemp("logs")
    logs = {f"step-{n}": place / f"{n}.log" for n in range(len(sizes))}
    for size, path in zip(sizes, logs.values(), strict=True):
        write(path, [f"line {n} ü" for n in range(size)])
    got: list[tuple[str, str]] = []
    last: str | None = None
    for cut in [*cuts, 1.0]:
        text = await stream(here, logs, read_id(last), at_once)
        some, found = heard(text[: int(len(text) * cut)] if cut < 1 else text)
        got, last = got + some, found or last

    wanted = [(name, f"line {n} ü") for (name, _), size in zip(logs.items(), sizes, strict=True) for n in range(size)]
    assert sorted(got) == sorted(wanted)
    for name in logs:
        assert [text for who, text in got if who == name] == [text for who, text in wanted if who == name]


async def test_of_very_many_logs_a_cut_loses_nothing(
    here: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "AT_EACH", 1)
    logs = {f"step-{n}": tmp_path / f"{n}.log" for n in range(4)}
    for path in logs.values():
        write(path, [f"line {n}" for n in range(9)])
    whole = await stream(here, logs, {}, 3)
    for cut in range(0, len(whole), 97):
        some, last = heard(whole[:cut])
        more, _ = heard(await stream(here, logs, read_id(last), 3))
        assert set(some) | set(more) == {(name, f"line {n}") for name in logs for n in range(9)}
        assert len(some) + len(more) <= 36 + 3


def test_a_line_says_where_the_next_one_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    write(path, [f"line {n} " + "x" * n for n in range(20)])
    known = list(lines(path))

    assert known[-1].end == path.stat().st_size
    for n, line in enumerate(known):
        assert [one.text for one in rest(path, line.end)] == [one.text for one in known[n + 1 :]]
    write(path, ["later"], 20)
    assert [one.text for one in rest(path, known[-1].end)] == ["later"]
