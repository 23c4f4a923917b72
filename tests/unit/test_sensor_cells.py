"""Cells as text: every kind goes through JSON, in whatever pieces; windows of any length are written once."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import Permanent
from retrain.events import EventKey
from sensors import Sensor
from sensors.core.cell_text import APART, read, read_version_0, save
from sensors.core.cells import Active, Batch, Cell, CellId, Count, Held, Join, Lane, Queued, Seen, Silence, Spent
from sensors.core.chain import Chain, Marks, Member
from sensors.core.course import Course
from tests.unit.sensor_play import START, Play, at, document, event, on, trigger

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda one: one.replace(tzinfo=UTC))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
KEYS = st.integers(0, 1 << 128).map(lambda number: EventKey(f"{number:032x}"))
MEMBERS = st.builds(Member, KEYS, TIMES, st.none() | TEXTS, st.none() | st.integers(0, 20))


def parts(longest: int = 3) -> st.SearchStrategy[tuple[Chain, ...]]:
    chain = st.lists(MEMBERS, min_size=1, max_size=longest)
    return st.dictionaries(TEXTS, chain, min_size=1, max_size=3).map(
        lambda found: tuple(Chain(name, members) for name, members in found.items())
    )


ACTIVE = st.builds(Active, TEXTS, TEXTS, TIMES, st.none() | TEXTS, st.booleans())
QUEUED = st.builds(Queued, TEXTS, TEXTS, TEXTS, TIMES, TEXTS, TEXTS, st.booleans(), st.booleans())
AMOUNTS = st.floats(0, 1e9)
CELLS: st.SearchStrategy[Cell] = st.one_of(
    st.builds(Seen, KEYS, TEXTS, TIMES),
    st.builds(Batch, parts(), TIMES, TIMES, st.none() | TIMES, AMOUNTS),
    st.builds(Join, parts(), TIMES, TIMES, st.none() | TIMES, AMOUNTS),
    st.builds(Silence, st.none() | KEYS, TIMES, st.none() | TIMES),
    st.builds(Count, st.integers(1, 9)),
    st.builds(Held, parts(), TEXTS, TIMES),
    st.builds(
        Lane,
        st.lists(ACTIVE, max_size=2).map(tuple),
        st.lists(QUEUED, max_size=2).map(tuple),
        st.lists(TIMES, max_size=2).map(tuple),
        st.lists(st.builds(Spent, TIMES, AMOUNTS), max_size=2).map(tuple),
        st.lists(AMOUNTS, max_size=2).map(tuple),
        st.lists(ACTIVE, max_size=2).map(tuple),
        st.none() | TIMES,
    ),
)


@given(CELLS)
def test_every_cell_goes_through_json(cell: Cell) -> None:
    saved = save(cell, None)

    assert read(cell.kind, saved.body, [one for one in (saved.fresh, saved.members) if one]) == cell
    assert orjson.loads(saved.body)["v"] == 1


def test_a_cell_of_a_younger_retrain_is_refused() -> None:
    with pytest.raises(Permanent, match="a join cell of version 2: it was written by a younger Retrain"):
        read("join", '{"v": 2}')
    with pytest.raises(Permanent, match="a nest cell"):
        read("nest", '{"v": 1}')


def test_what_was_kept_before_there_were_cells_is_read() -> None:
    key = EventKey("0" * 32)

    cells = read_version_0({"t": {"a": key}, "u": {}}, START)

    assert cells == {CellId("join", "t", ""): Join((Chain("a", [Member(key, START, None, None)]),), START, START)}
    assert read_version_0(None, START) == {}


class Shelf:
    """A store, as cell_text.py asks for one."""

    def __init__(self) -> None:
        self.cell: Cell | None = None
        self.body, self.members = "", ""
        self.apart: dict[int, str] = {}
        self.written = 0

    def keep(self, cell: Cell) -> None:
        saved = save(cell, self.cell)
        if saved.first == 0:
            self.apart.clear()
        if saved.fresh:
            self.apart[saved.first] = saved.fresh
        assert sum(len(orjson.loads(one)) for one in self.apart.values()) == saved.apart
        self.cell, self.body, self.members = cell, saved.body, saved.members
        self.written += len(saved.fresh) + len(saved.members) + len(saved.body)

    def read(self) -> Cell:
        assert self.cell is not None
        return read(self.cell.kind, self.body, [*(self.apart[seq] for seq in sorted(self.apart)), self.members])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 60), st.booleans()), max_size=12))
def test_a_window_that_grows_is_read_as_it_is_at_every_moment(acts: list[tuple[str, int, bool]]) -> None:
    """Also where the newest of one dependency takes the place of older ones."""
    shelf, number = Shelf(), 0
    found: dict[str, Chain] = {}
    for name, count, replaces in acts:
        fresh = [Member(EventKey(f"{number + n:032x}"), at(number + n)) for n in range(count)]
        number += count
        before = found.pop(name, None) if replaces else found.get(name)
        found[name] = Chain(name, fresh) if before is None or replaces else before.extend(fresh)
        cell = Join(tuple(found.values()), START, at(number))

        shelf.keep(cell)

        assert shelf.read() == cell


def test_what_is_written_of_a_long_window_is_what_is_new() -> None:
    shelf, chain = Shelf(), Chain("a")
    for number in range(20 * APART):
        chain = chain.append(Member(EventKey(f"{number:032x}"), at(number)))
        shelf.keep(Batch((chain,), START, at(number)))

    assert len(shelf.apart) == 19 * APART + 1
    assert shelf.written < 20 * APART * 400 + APART * APART * 80


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5)), max_size=30))
def test_chains_and_marks_are_values(acts: list[tuple[int, int]]) -> None:
    """Whatever is appended to whichever of them, the others stay as they were."""
    chains: list[tuple[Chain, list[str]]] = [(Chain("a"), [])]
    marks: list[tuple[Marks, set[str]]] = [(Marks(), set())]
    for which, number in acts:
        chain, events = chains[which % len(chains)]
        chains.append((chain.append(Member(EventKey(str(number)), START)), [*events, str(number)]))
        some, names = marks[which % len(marks)]
        marks.append((some.add(str(number)), {*names, str(number)}))

    assert all([one.event for one in chain] == events for chain, events in chains)
    assert all(len(some) == len(names) and set(some) == names for some, names in marks)
    assert all(str(n) in names or str(n) not in some for some, names in marks for n in range(6))
    for chain, _ in chains:
        for other, _ in chains:
            if chain.extends(other):
                assert [*other, *chain.since(len(other))] == list(chain)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 3)), max_size=16))
def test_a_sensor_goes_on_from_cells_that_were_read(acts: list[tuple[str, str, int]]) -> None:
    """A restart after every event changes nothing."""
    window = {"count": 5, "quiet": "4s", "within": "9s", "sum": {"path": "n", "atLeast": 9}}
    made = document(
        on("a", "b", key="k", dedupe={"key": "d", "ttl": "6s"}),
        trigger(window=window | {"expect": 3}, cooldown="5s"),
        trigger("u", conditions="a && b", concurrency={}, every=2),
        trigger("v", sequence=["b", "a"]),
        trigger("w", conditions="a", absent={"for": "3s"}),
    )
    straight, known = Play(made), {}
    sensor = Sensor(made)
    course = Course([sensor], cells={"s": straight.course.cells("s")}, now=START)
    fired, now = [], 0
    for number, (name, key, gap) in enumerate(acts):
        now += gap
        one = event(name, str(number), {"k": key, "d": number // 2, "n": number})
        straight.hear(now, one)
        known[one.key] = one
        taken = course.take(one, at(now))
        fired += [f.id for step in taken for f in step.step.firings]
        known |= {told.key: told for step in taken for told in step.step.emitted}
        cells = {}
        for cell_id, cell in course.cells("s").items():
            saved = save(cell, None)
            cells[cell_id] = read(cell.kind, saved.body, [saved.fresh or "[]", saved.members])
        course = Course([sensor], cells={"s": cells}, now=course.now, load=known.__getitem__)

    assert fired == [one.id for one in straight.fired]
    assert dict(course.cells("s")) == dict(straight.course.cells("s"))


# --- size ---


def test_an_open_key_is_small_and_costs_no_other_event_anything() -> None:
    """100,000 of them are under 200 MB, that is 2,000 bytes each."""
    sensor = Sensor(document(on("a", "b", key="k"), trigger(window={"within": "7d"})))
    cells: dict[CellId, Any] = {}
    nothing: dict[EventKey, Any] = {}
    tracemalloc.start()
    for number in range(2000):
        one = event("a", f"event-{number}", {"k": f"2026-11-20/{number}"})
        step = sensor.step(cells.get, one, START + timedelta(seconds=number), nothing.__getitem__)
        cells |= step.changes
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(cells) == 2000
    assert size / 2000 < 2000


def test_an_event_of_a_long_window_is_appended_and_nothing_is_copied() -> None:
    sensor = Sensor(document(on("a"), trigger(window={"count": 100_000, "expect": 100_000})))
    cell_id = CellId("join", "t", "")
    cells: dict[CellId, Any] = {}
    for number in range(300):
        before = cells.get(cell_id)
        cells |= sensor.step(cells.get, event("a", str(number), {}), START, {}.__getitem__).changes
        assert before is None or cells[cell_id].parts[0].extends(before.parts[0])

    assert len(cells[cell_id].parts[0]) == len(cells[cell_id].marks) == 300
