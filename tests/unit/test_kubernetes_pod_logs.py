"""Lines of pods' logs: which are the step's own, and going on after a cut without losing or repeating one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kubernetes.pod_logs import LONGEST, MANY, Place, Reader, asked, containers, state_of
from pipelines.local.logs import LogLine

BEGIN = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)


class Log:
    """A container's log as the kubelet keeps it: the server gives all lines that are not older than a second."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        """`lines`: milliseconds after BEGIN, and what was said."""
        self.lines = [(BEGIN + timedelta(milliseconds=ms), text) for ms, text in lines]

    def answer(self, words: dict[str, str]) -> bytes:
        since = datetime.fromisoformat(words["sinceTime"]) if "sinceTime" in words else BEGIN - timedelta(days=1)
        return b"".join(
            f"{at.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z {text}\n".encode() for at, text in self.lines if at >= since
        )


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def read(log: Log, reader: Reader, cut: int | None = None) -> list[LogLine]:
    """What is read of one answer, of which `cut` bytes come."""
    reader.again()
    data = log.answer(asked("main", reader.place, follow=True))
    return list(reader.feed(data[:cut], last=cut is None))


@given(
    steps=st.lists(st.integers(-400, 2500), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 900), max_size=6),
    outside=st.booleans(),
)
def test_every_line_is_told_once_however_often_the_connection_is_cut(
    steps: list[int], cuts: list[int], outside: bool
) -> None:
    """Whoever goes on knows the place, as an object or (`outside`) as the number that went to a browser."""
    ms = [max(0, sum(steps[: n + 1])) for n in range(len(steps))]
    highest = [max(ms[: n + 1]) for n in range(len(ms))]
    # Stamps go back by less than a second: two streams are stamped apart.
    log = Log([(max(at, top - 900), f"line {n}") for n, (at, top) in enumerate(zip(ms, highest, strict=True))])
    reader, told = Reader(), list[LogLine]()

    for cut in [*cuts, None]:
        found = read(log, reader, cut)
        told += found
        if outside and found:
            reader = Reader(Place.of(told[-1].end))

    assert texts(told) == [text for _, text in log.lines]


def test_the_executors_own_lines_are_left_out() -> None:
    lines = [
        'time="2026-11-22T08:29:22.000Z" level=info msg="capturing logs" argo=true',
        "argo=true, says the step",
        'time="2026-11-22T08:30:47.513Z" level=info msg="sub-process exited" argo=true error="<nil>"',
        "Error: exit status 1",
    ]
    log = Log([(n, text) for n, text in enumerate(lines)])

    assert texts(read(log, Reader())) == ["argo=true, says the step"]


def test_what_a_step_itself_calls_an_error_stays() -> None:
    log = Log([(0, "Error: exit status 1"), (1, '{"level":"info","msg":"x","argo":true}'), (2, "Error: mine")])

    assert texts(read(log, Reader())) == ["Error: exit status 1", "Error: mine"]


def test_a_line_without_end_comes_in_parts_of_the_same_size() -> None:
    log = Log([(0, "x" * (2 * LONGEST + 10)), (1, "after")])
    data = log.answer({})
    at_once, piecewise = Reader(), Reader()

    found = list(at_once.feed(data, last=True))
    pieces = [line for start in range(0, len(data), 70_000) for line in piecewise.feed(data[start : start + 70_000])]

    assert [(line.text, line.whole) for line in found] == [(line.text, line.whole) for line in pieces]
    assert [line.whole for line in found] == [False, False, True, True]
    assert sum(len(line.text) for line in found) == 2 * LONGEST + 10 + len("after")


def test_where_a_tail_began_nothing_from_before_comes_after_a_cut() -> None:
    log = Log([(n * 10, str(n)) for n in range(10)])
    place = Place(floor=int((log.lines[7][0]).timestamp()) * 10**9 + 70_000_000)

    assert texts(read(log, Reader(place))) == ["7", "8", "9"]


def test_a_request_asks_for_what_is_missing() -> None:
    place = Place(since=1_795_000_000, seen=4)

    assert asked("main", Place(), follow=False) == {"container": "main", "timestamps": "true"}
    assert asked("main", place, follow=True)["sinceTime"] == "2026-11-18T11:06:40Z"
    assert asked("main", place, follow=True, since=datetime(2026, 11, 19, tzinfo=UTC))["sinceTime"] == (
        "2026-11-19T00:00:00Z"
    )
    assert Place.of(place.number).number == place.number < 10**17 * MANY


POD = {
    "spec": {
        "initContainers": [{"name": "init"}, {"name": "fetch"}],
        "containers": [{"name": "wait"}, {"name": "main"}, {"name": "db"}],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "main", "state": {"terminated": {}}}, {"name": "db", "state": {"running": {}}}],
    },
}


@pytest.mark.parametrize(
    ("wanted", "found"), [(None, ["fetch", "main", "db"]), ("wait", ["wait"]), ("db", ["db"]), ("x", [])]
)
def test_a_steps_own_containers_are_meant_unless_one_is_named(wanted: str | None, found: list[str]) -> None:
    assert containers(POD, wanted) == found


def test_a_container_of_which_nothing_is_said_waits_until_the_pod_is_over() -> None:
    assert [state_of(POD, name) for name in ("main", "db", "wait")] == ["terminated", "running", "waiting"]
    assert state_of({"status": {"phase": "Failed"}}, "main") == "terminated"
