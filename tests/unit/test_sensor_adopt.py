"""A sensor whose spec has changed while it holds state: one rule for each change."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrain.events import Event, EventKey
from sensors import Sensor, SensorDocument
from sensors.core.cells import CellId
from sensors.core.course import Course
from sensors.core.outcome import Step
from sensors.core.shape import Shape
from tests.unit.sensor_play import START, Play, at, document, event, lifecycle, on, trigger


class Changed:
    """A play that went on with another spec. `step`: what adopting its cells gave."""

    def __init__(self, play: Play, made: SensorDocument, *, previous: Shape | str | None = "its own") -> None:
        shape = play.sensor.shape() if isinstance(previous, str) else previous
        self.sensor = Sensor(made)
        cells = dict(play.course.cells("s"))
        self.step: Step = self.sensor.adopt(shape, cells.items(), play.course.now, play.course.load)
        for cell_id, cell in self.step.changes.items():
            cells[cell_id] = cell  # type: ignore[assignment]
        for cell_id in self.step.retired:
            del cells[cell_id]
        self.cells = {one: cell for one, cell in cells.items() if cell is not None}
        self.course = Course([self.sensor], cells={"s": self.cells}, now=play.course.now, load=play.course.load)
        self._load = play.course.load

    @property
    def fired(self) -> list[list[str]]:
        return [[self._load(key).id for key in one.events] for one in self.step.firings]

    @property
    def forgotten(self) -> list[tuple[str, str]]:
        return [
            (self._load(one.event).id, one.reason)
            for one in self.step.decisions
            if one.outcome == "forgotten" and one.event is not None
        ]

    def waiting(self) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        return [(one.trigger, one.key, one.have, one.need) for one in self.course.waiting("s")]

    def say(self, seconds: float, name: str, id_: str, data: Any = None) -> list[int]:
        taken = self.course.take(event(name, id_, data), at(seconds))
        return [len(fired.events) for one in taken for fired in one.step.firings]


PAIR = on("a", "b", key="k")


def test_the_same_spec_changes_nothing() -> None:
    made = document(PAIR, trigger(window={"within": "1h"}, concurrency={}), trigger("u", absent={"for": "1h"}))
    play = Play(made)
    play.say(0, "a", "1", {"k": "x"})

    step = Changed(play, made).step

    assert step == Step()


def test_what_is_beside_the_state_changes_nothing() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x"})
    other = trigger(retryStrategy={"steps": 3}, priority=5)

    assert Changed(play, document(PAIR, other)).step == Step()


def test_a_renamed_dependency_keeps_its_events() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x"})
    renamed = [PAIR[0] | {"name": "features"}, PAIR[1]]

    changed = Changed(play, document(renamed, trigger()))

    assert changed.waiting() == [("t", "x", ("features",), ("b",))]
    assert changed.say(1, "b", "2", {"k": "x"}) == [2]


def test_another_key_sorts_the_events_anew_and_what_meets_fires() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x", "day": "mon"})
    play.say(1, "b", "2", {"k": "y", "day": "mon"})
    play.say(2, "a", "3", {"k": "z", "day": "tue"})
    play.say(3, "a", "4", {"k": "w"})

    changed = Changed(play, document(on("a", "b", key="day"), trigger()))

    assert changed.fired == [["1", "2"]]
    assert changed.step.firings[0].created == at(3)
    assert changed.waiting() == [("t", "tue", ("a",), ("b",))]
    assert changed.forgotten == [("4", "no key: path 'day' does not exist")]


def test_a_filter_is_asked_again() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x", "n": 1})
    play.say(0, "a", "2", {"k": "y", "n": 2})
    stricter = PAIR[0] | {"filters": {"data": [{"path": "n", "type": "number", "value": ["2"]}]}}

    changed = Changed(play, document([stricter, PAIR[1]], trigger()))

    assert changed.waiting() == [("t", "y", ("a",), ("b",))]
    assert changed.forgotten == [("1", "n is 1, not = 2")]
    assert changed.step.decisions[0].dependency == "a"


def test_a_shorter_window_is_over_at_once() -> None:
    play = Play(document(on("a"), trigger(window={"quiet": "1h"})))
    play.say(0, "a", "1")
    play.say(10, "a", "2")
    play.say(100, "a", "3")

    changed = Changed(play, document(on("a"), trigger(window={"quiet": "30s"})))

    assert changed.fired == [["1", "2"]]
    assert changed.cells[CellId("join", "t", "")].due == at(130)


def test_halves_that_are_too_old_now_expire() -> None:
    play = Play(document(PAIR, trigger(window={"within": "1h"})))
    play.say(0, "a", "1", {"k": "x"})
    play.say(1800, "a", "2", {"k": "y"})

    changed = Changed(play, document(PAIR, trigger(window={"within": "10m"})))

    assert [(one.outcome, one.key) for one in changed.step.decisions] == [("expired", "x")]
    assert len(changed.step.emitted) == 1
    assert changed.waiting() == [("t", "y", ("a",), ("b",))]


def test_a_count_that_is_lower_now_fires_in_pieces() -> None:
    play = Play(document(on("a"), trigger(window={"count": 9})))
    for number in range(5):
        play.say(number, "a", str(number))

    assert Changed(play, document(on("a"), trigger(window={"count": 2}))).fired == [["0", "1"], ["2", "3"]]


def test_events_of_another_source_are_forgotten_with_the_reason() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x"})
    moved = [PAIR[0] | {"eventName": "z"}, PAIR[1]]

    changed = Changed(play, document(moved, trigger()))

    assert changed.forgotten == [("1", "no dependency of it takes events 'a' of 'src' any more")]
    assert changed.cells == {}


def test_an_event_at_two_dependencies_is_judged_once() -> None:
    both = [PAIR[0], PAIR[0] | {"name": "a2"}, PAIR[1]]
    play = Play(document(both, trigger(window={"count": 5})))
    play.say(0, "a", "1", {"k": "x"})

    changed = Changed(play, document(both, trigger(window={"count": 4})))

    assert [len(part) for part in changed.cells[CellId("join", "t", "x")].parts] == [1, 1]


def test_a_window_of_a_dependency_is_judged_again() -> None:
    play = Play(document([PAIR[0] | {"window": {"count": 5}}, PAIR[1]], trigger()))
    for number in range(3):
        play.say(number, "a", str(number), {"k": "x"})

    changed = Changed(play, document([PAIR[0] | {"window": {"count": 2}}, PAIR[1]], trigger()))

    assert changed.waiting() == [("", "x", ("a",), ()), ("t", "x", ("a",), ("b",))]
    assert len(changed.cells[CellId("join", "t", "x")].parts[0]) == 2


def test_what_came_as_a_batch_stays_one() -> None:
    dependencies = [PAIR[0] | {"window": {"count": 2}}, PAIR[1]]
    play = Play(document(dependencies, trigger()))
    for number in range(2):
        play.say(number, "a", str(number), {"k": "x"})

    changed = Changed(play, document(dependencies, trigger(conditionsReset=[{"byTime": {"cron": "@daily"}}])))

    assert changed.say(5, "b", "b", {"k": "x"}) == [3]


def test_a_trigger_that_is_gone_is_set_aside_and_can_come_back() -> None:
    made = document(PAIR, trigger(), trigger("u"))
    play = Play(made)
    play.say(0, "a", "1", {"k": "x"})
    without = document(PAIR, trigger())

    changed = Changed(play, without)
    aside = {one: play.course.cells("s")[one] for one in changed.step.retired}

    assert set(aside) == {CellId("join", "u", "x")}
    assert not changed.sensor.owns(CellId("join", "u", "x"))
    shape = changed.sensor.shape(play.sensor.shape())
    again = Sensor(made)
    assert again.owns(CellId("join", "u", "x"))
    assert again.adopt(shape, [*changed.cells.items(), *aside.items()], at(9), play.course.load) == Step()


def test_what_was_seen_stays_with_its_key_also_under_another_name() -> None:
    dedupe = {"key": "id", "ttl": "1h"}
    play = Play(document(on("a", dedupe=dedupe), trigger()))
    play.say(0, "a", "1", {"id": "x"})

    shorter = Changed(play, document(on("a", dedupe=dedupe | {"ttl": "1m"}), trigger()))
    assert shorter.step == Step()
    renamed = Changed(play, document([on("a", dedupe=dedupe)[0] | {"name": "n"}], trigger()))
    assert renamed.say(5, "a", "2", {"id": "x"}) == []
    other = Changed(play, document(on("a", dedupe={"key": "other"}), trigger()))
    assert other.cells == {}


def test_silence_counts_with_its_new_length_from_the_last_event() -> None:
    play = Play(document(on("a", absent={"for": "1h"}), trigger()))
    play.say(1000, "a", "1")

    assert Changed(play, document(on("a", absent={"for": "2h"}), trigger())).cells == {
        CellId("silence", "a", ""): play.cell("silence", "a").__class__(event("a", "1").key, at(1000), at(8200))
    }
    play.wait(2000)
    shorter = Changed(play, document(on("a", absent={"for": "1s"}), trigger()))
    assert shorter.cells[CellId("silence", "a", "")].due == at(2000)
    gone = Changed(play, document(on("a"), trigger()))
    assert gone.cells == {}
    new = Changed(play, document([*on("a", absent={"for": "1h"}), *on("b", absent={"for": "1m"})], trigger()))
    assert new.cells[CellId("silence", "b", "")].due == at(2060)


def test_silence_that_was_told_is_not_told_again_by_another_change() -> None:
    play = Play(document(on("a", absent={"for": "1h"}), trigger()))
    play.wait(4000)

    assert Changed(play, document(on("a", absent={"for": "1h"}), trigger(cooldown="1m"))).cells == {}


def test_what_is_held_is_asked_again_by_the_new_limits() -> None:
    play = Play(document(on("a"), trigger(concurrency={})))
    for number in range(4):
        play.say(number, "a", str(number), {"k": "xxyx"[number]})

    assert Changed(play, document(on("a"), trigger(concurrency={"limit": 3}))).fired == [["1"], ["2"]]
    by_key = Changed(play, document(on("a"), trigger(concurrency={"key": "k", "limit": 1})))
    assert by_key.fired == [["1"], ["2"]]
    without = Changed(play, document(on("a"), trigger()))
    assert without.fired == [["1"], ["2"], ["3"]]
    assert not any(one.kind == "held" for one in without.cells)


def test_the_state_before_there_were_shapes_is_judged_again() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x"})

    changed = Changed(play, document(PAIR, trigger()), previous=None)

    assert changed.step == Step()


def test_an_event_that_is_no_longer_kept_is_forgotten() -> None:
    play = Play(document(PAIR, trigger()))
    play.say(0, "a", "1", {"k": "x"})
    cells = dict(play.course.cells("s"))

    def load(key: EventKey) -> Event:
        return Course([]).load(key)

    step = Sensor(document(on("a", "b", key="l"), trigger())).adopt(play.sensor.shape(), cells.items(), START, load)

    assert [(one.outcome, "did not come here" in one.reason) for one in step.decisions] == [("forgotten", True)]


# --- properties ---

TRIGGERS: list[dict[str, Any]] = [
    {},
    {"window": {"count": 3}},
    {"window": {"quiet": "3s", "within": "9s"}},
    {"sequence": ["a", "b"]},
    {"cooldown": "4s"},
    {"concurrency": {"onConflict": "coalesce"}},
    {"every": 2},
    {"absent": {"for": "5s"}},
]
ACTS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 3)), max_size=16)


def _after(acts: list[tuple[str, str, int]], more: dict[str, Any], own: dict[str, Any]) -> Play:
    play, now = Play(document(on("a", "b", key="k", **own), trigger(**more))), 0
    for number, (name, key, gap) in enumerate(acts):
        now += gap
        play.say(now, name, f"{name}{number}", {"k": key, "l": number % 2})
    if play.fired:
        play.hear(now, lifecycle("firing.done", play.fired[0], {"run": None}))
    return play


@given(ACTS, st.sampled_from(TRIGGERS), st.sampled_from([{}, {"window": {"count": 2}}, {"dedupe": {}}]))
def test_an_unchanged_spec_changes_nothing(
    acts: list[tuple[str, str, int]], more: dict[str, Any], own: dict[str, Any]
) -> None:
    play = _after(acts, more, own)

    assert play.sensor.adopt(play.sensor.shape(), play.course.cells("s").items(), at(99), play.course.load) == Step()


@given(ACTS, st.sampled_from(TRIGGERS[:4]), st.sampled_from(TRIGGERS[:4]), st.sampled_from("kl"))
def test_a_changed_spec_loses_no_event_silently(
    acts: list[tuple[str, str, int]], before: dict[str, Any], after: dict[str, Any], key: str
) -> None:
    """What waited waits, has fired, is forgotten or replaced or out of order, or is named by an expiry."""
    play = _after(acts, before, {})
    waited = {one.event for cell in play.course.cells("s").values() for part in cell.parts for one in part}

    changed = Changed(play, document(on("a", "b", key=key), trigger(**after)))

    waits = {one.event for cell in changed.cells.values() for part in cell.parts for one in part}
    fired = {event_key for one in changed.step.firings for event_key in one.events}
    assert waits | fired <= waited
    assert not waits & fired
    told = {one.event for one in changed.step.decisions if one.outcome == "forgotten"}
    expired = " ".join(one.reason for one in changed.step.decisions if one.outcome == "expired")
    assert all(one in told or play.course.load(one).id in expired for one in waited - waits - fired)
