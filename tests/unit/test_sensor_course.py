"""The order of inputs: events by arrival, timers before what arrives with them, several sensors beside each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import NotFound
from retrain.events import EventKey
from sensors import Sensor, SensorDocument, explain
from sensors.core.course import Course
from tests.unit.sensor_play import START, Play, at, document, event, on, trigger


def named(name: str, made: SensorDocument) -> Sensor:
    return Sensor(made.model_copy(update={"metadata": made.metadata.model_copy(update={"name": name})}))


def test_timers_of_all_sensors_run_in_one_order() -> None:
    one = named("one", document(on("a"), trigger(window={"quiet": "20s"})))
    two = named("two", document(on("a"), trigger(window={"quiet": "10s"})))
    course = Course([one, two])
    course.take(event("a", "1"), START)

    taken = course.run_until(at(60))

    assert [(t.sensor, t.now, t.event) for t in taken] == [("two", at(10), None), ("one", at(20), None)]
    assert [t.cell and t.cell.kind for t in taken] == ["join", "join"]
    assert course.now == at(60)


def test_time_never_goes_back() -> None:
    play = Play(document(on("a"), trigger(window={"quiet": "10s"})))

    play.say(100, "a", "1")
    play.say(50, "a", "2")

    assert play.wait(109) == []
    assert play.wait(110) == ["1+2"]


def test_what_one_sensor_tells_comes_to_the_others() -> None:
    silent = named("silent", document(on("a", absent={"for": "1m"}), trigger()))
    hears = {"name": "x", "eventSourceName": "retrain", "eventName": "sensor.absent"}
    course = Course([named("hears", document([hears], trigger())), silent])
    course.begin(START)

    taken = course.run_until(at(60))

    assert [(t.sensor, len(t.step.firings)) for t in taken] == [("silent", 0), ("hears", 1), ("silent", 1)]


def test_a_recorded_log_has_what_the_sensors_told() -> None:
    silent = document(on("a", absent={"for": "1m"}), trigger())
    course = Course([Sensor(silent)], feed_back=False)
    course.begin(START)

    (ticked,) = course.run_until(at(60))
    (heard,) = course.take(ticked.step.emitted[0], at(61))

    assert (len(ticked.step.firings), len(heard.step.firings)) == (0, 1)


def test_events_that_are_kept_elsewhere_are_loaded_from_there() -> None:
    asked: list[EventKey] = []
    first = event("a", "1")

    def load(key: EventKey) -> Any:
        asked.append(key)
        return first

    course = Course([Sensor(document(on("a", "b"), trigger()))], load=load)
    course.take(first, START)
    with pytest.raises(NotFound):
        Course([]).load(first.key)

    (taken,) = course.take(event("b", "2"), START)

    assert len(taken.step.firings) == 1
    assert asked == []  # an action that looks at no event loads none


def test_a_sensor_that_fails_says_so_and_goes_on() -> None:
    def load(key: EventKey) -> Any:
        raise NotFound(f"event {key} is gone")

    payload = [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "n"}]
    http = {"template": {"name": "t", "http": {"url": "http://h/", "payload": payload}}}
    course = Course([Sensor(document(on("a", "b"), http))], load=load)
    course.take(event("a", "1", {"n": 1}), START)

    (taken,) = course.take(event("b", "2"), START)

    assert "is gone" in str(taken.step.firings[0].error)


# --- explain ---


def test_explain_goes_by_the_events_own_time_and_on_until_it_is_told() -> None:
    made = document(
        on("a", "b", key="k"), trigger(window={"quiet": "10s", "within": "1m"}), trigger("c", cooldown="1h")
    )
    events = [
        event("a", "1", {"k": "x"}, time=at(0)),
        event("b", "2", {"k": "x"}, time=at(5)),
        event("a", "3", {"k": "y"}, time=at(20)),
        event("b", "4", {"k": "z"}, time=at(1)),
    ]

    out = explain(made, events, until=at(90))

    assert [(f["trigger"], f["key"], f["events"]) for f in out["firings"]] == [
        ("c", "x", ["1", "2"]),
        ("t", "x", ["1", "2"]),
    ]
    assert [(t["time"], t["trigger"], t["key"], t["outcome"]) for t in out["timers"]] == [
        ("2026-11-20T00:00:15Z", "t", "x", "fired"),
        ("2026-11-20T00:01:20Z", "t", "y", "expired"),
        ("2026-11-20T00:01:20Z", "t", "z", "expired"),
    ]
    assert [(w["trigger"], w["key"], w["need"]) for w in out["waiting"]] == [("c", "y", ["b"]), ("c", "z", ["a"])]


def test_explain_shows_what_is_held() -> None:
    out = explain(document(on("a"), trigger(cooldown="1h")), [event("a", str(n), time=at(n)) for n in range(3)])

    (waiting,) = out["waiting"]
    assert (waiting["trigger"], waiting["have"], waiting["count"]) == ("t", ["a"], 2)
    assert waiting["until"] == "2026-11-20T01:00:00Z"
    assert waiting["held"][0]["reason"] == "cooldown: it cools down until 2026-11-20T01:00:00Z"


@pytest.mark.parametrize("year", [1, 9999])
def test_events_from_the_ends_of_the_calendar_are_taken(year: int) -> None:
    window = {"quiet": "10s", "within": "3660d"}
    limits: dict[str, Any] = {"schedule": {"closed": [{"start": "00:00", "stop": "12:00"}], "timezone": "Asia/Tokyo"}}
    reset = [{"byTime": {"cron": "@yearly", "timezone": "America/Los_Angeles"}}]
    made = document(on("a"), trigger(window=window, conditionsReset=reset, cooldown="1d", **limits))

    out = explain(made, [event("a", "1", time=datetime(year, 1, 1, tzinfo=UTC))], until=at(99))

    assert out["events"][0]["outcome"] == "passed"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=12))
def test_sensors_do_not_touch_each_other(acts: list[tuple[str, int]]) -> None:
    made = [
        named("one", document(on("a", "b"), trigger(window={"count": 3, "quiet": "4s"}))),
        named("two", document(on("a", "b"), trigger(cooldown="3s"))),
    ]
    together, alone = Course(made), [Course([one]) for one in made]
    for course in (together, *alone):
        now = 0
        for number, (name, gap) in enumerate(acts):
            now += gap
            course.take(event(name, str(number)), at(now))
        course.run_until(at(now + 100))

    for one, course in zip(made, alone, strict=True):
        assert together.cells(one.name) == course.cells(one.name)
