"""Windows of triggers and of dependencies: when they are complete, what time decides, and that no event is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError
from sensors import Sensor
from tests.unit.sensor_play import Play, document, event, on, trigger


def window(names: str = "a", conditions: str = "", **rule: Any) -> Play:
    more = {"conditions": conditions} if conditions else {}
    return Play(document(on(*names), trigger(window=rule, **more)))


def feed(play: Play, *events: tuple[float, str, str], **data: Any) -> list[list[str]]:
    return [play.say(second, name, id_, data or None) for second, name, id_ in events]


def test_a_count_delivers_all_events() -> None:
    play = window(count=3)

    assert feed(play, *((n, "a", str(n)) for n in range(7))) == [[], [], ["0+1+2"], [], [], ["3+4+5"], []]
    assert play.last.reason == "t waits for its window: 1 of 3 events"


def test_a_sum_counts_what_the_events_say() -> None:
    play = window(sum={"path": "n", "atLeast": 10})

    got = [play.say(i, "a", str(i), {"n": n}) for i, n in enumerate([4, "5.5", None, 0.5, 9])]

    assert got == [[], [], [], ["0+1+2+3"], []]
    assert "it has no number to add" in play.decisions[2].reason


def test_expected_members_complete_a_window() -> None:
    play = window(expect={"of": ["eu", "us", "asia"], "missing": 1, "by": "r"})

    got = [play.say(i, "a", str(i), {"r": r}) for i, r in enumerate(["eu", "eu", "mars", None, "asia"])]

    assert got == [[], [], [], [], ["0+1+2+3+4"]]
    assert "'mars' is none of the expected ones" in play.decisions[2].reason


def test_an_expected_number_is_of_different_ones() -> None:
    play = Play(document(on("a", dedupe={"key": ["r", "i"]}), trigger(window={"expect": "3-1"})))

    got = [play.say(i, "a", str(i), {"r": r, "i": i // 2}) for i, r in enumerate(["x", "x", "x"])]

    assert got == [[], [], ["0+2"]]
    assert play.decisions[1].outcome == "duplicate"


def test_without_anything_to_tell_them_apart_each_event_is_one() -> None:
    play = window(expect=2)

    assert feed(play, (0, "a", "1"), (1, "a", "2")) == [[], ["1+2"]]
    with pytest.raises(ConfigError, match="expect lists members, so it needs by"):
        Sensor(document(on("a"), trigger(window={"expect": ["x"]})))


def test_any_of_several_rules_completes() -> None:
    play = window(count=2, sum={"path": "n", "atLeast": 5})

    assert [play.say(i, "a", str(i), {"n": n}) for i, n in enumerate([5, 1, 1])] == [["0"], [], ["1+2"]]


def test_without_a_rule_the_condition_completes_with_every_event() -> None:
    play = window("ab", "a && b", within="1h")

    assert feed(play, (0, "a", "1"), (1, "a", "2"), (2, "b", "3")) == [[], [], ["1+2+3"]]


def test_a_complete_window_waits_for_its_condition() -> None:
    play = window("ab", "a && b", count=2)

    assert feed(play, (0, "a", "1"), (1, "a", "2"), (2, "a", "3"), (3, "b", "4")) == [[], [], [], ["1+2+3+4"]]


def test_quiet_fires_when_nothing_came_for_so_long() -> None:
    play = window(quiet="10s")

    assert feed(play, (0, "a", "1"), (5, "a", "2"), (14.9, "a", "3")) == [[], [], []]
    assert play.wait(24.8) == []
    assert play.wait(24.9) == ["1+2+3"]
    assert (play.last.outcome, play.last.trigger, play.last.reason) == ("fired", "t", "fired")
    assert play.course.cells("s") == {}


def test_an_event_at_the_moment_of_a_timer_comes_after_it() -> None:
    play = window(quiet="10s")

    assert feed(play, (0, "a", "1"), (10, "a", "2")) == [[], ["1"]]
    assert play.wait(20) == ["2"]


def test_quiet_counts_from_the_last_event_once_the_condition_holds() -> None:
    play = window("ab", "a && b", quiet="10s")

    feed(play, (0, "a", "1"))
    assert play.wait(100) == []
    feed(play, (101, "b", "2"))
    assert play.wait(111) == ["1+2"]


def test_the_longest_wait_fires_with_what_is_there() -> None:
    play = window(quiet="10s", maxWait="25s")

    feed(play, *((n, "a", str(n)) for n in (0, 9, 18)))
    assert play.say(26, "a", "26") == ["0+9+18"]
    assert play.fired[0].created == play.taken[-2].now


def test_after_the_longest_wait_the_condition_fires_at_once() -> None:
    play = window("ab", "a && b", maxWait="10s")

    assert feed(play, (0, "a", "1"), (50, "b", "2")) == [[], ["1+2"]]


def test_halves_that_never_meet_expire_with_an_alert() -> None:
    play = Play(document(on("a", "b", key="k"), trigger(window={"within": "1h"})))
    play.say(0, "a", "1", {"k": "x"})
    play.say(9, "a", "2", {"k": "x"})

    assert play.wait(3599) == []
    play.wait(3600)

    (expired,) = [one for one in play.decisions if one.outcome == "expired"]
    assert (expired.trigger, expired.key, expired.dependency) == ("t", "x", None)
    assert expired.reason.startswith("not complete within 1h from 2026-11-20T00:00:00Z on; had a (1, 2), and lacked b")
    (told,) = play.emitted
    assert (told.source, told.subject, told.extensions["retrainsensor"]) == ("retrain", "sensor.expired", "s")
    assert told.data | {"counts": None} == {
        "sensor": "s",
        "trigger": "t",
        "key": "x",
        "have": {"a": ["1", "2"]},
        "need": ["b"],
        "counts": None,
        "opened": "2026-11-20T00:00:00Z",
        "within": 3600.0,
    }
    assert play.course.cells("s") == {}


@pytest.mark.parametrize(("on_timeout", "fired", "alerts"), [("drop", [], 0), ("fire", ["1"], 0), ("alert", [], 1)])
def test_a_timeout_does_what_it_is_told(on_timeout: str, fired: list[str], alerts: int) -> None:
    play = window("ab", "a && b", within="1m", onTimeout=on_timeout)
    play.say(0, "a", "1")

    assert play.wait(60) == fired
    assert len(play.emitted) == alerts


def test_completion_comes_before_expiry() -> None:
    play = window(quiet="60s", within="60s", onTimeout="drop")
    play.say(0, "a", "1")

    assert play.wait(60) == ["1"]


def test_a_late_event_opens_the_next_window() -> None:
    play = window(quiet="10s")
    feed(play, (0, "a", "1"))
    play.wait(10)

    play.say(11, "a", "late", time=play.course.now.replace(year=2020))

    assert play.wait(21) == ["late"]


def test_the_depth_is_that_of_the_deepest_member() -> None:
    play = window(count=2)
    play.say(0, "a", "1", extensions={"retraindepth": 4})
    play.say(1, "a", "2")

    assert play.fired[0].depth == 4


# --- of a dependency ---


def test_the_window_of_a_dependency_comes_to_all_triggers_as_one() -> None:
    dependency = on("a", window={"count": 2})
    play = Play(document([*dependency, *on("b")], trigger("one", conditions="a"), trigger("both")))

    play.say(0, "a", "1")
    assert play.last.reason == "its window is open: 1 of 2 events"
    assert play.say(1, "a", "2") == ["1+2"]
    feed(play, (2, "a", "3"))
    assert play.say(3, "a", "4") == ["3+4"]
    assert re.fullmatch("one fired; both waits for b, in place of 2 events up to [0-9a-f]{32}", play.last.reason)
    assert play.say(4, "b", "5") == ["3+4+5"]


def test_the_window_of_a_dependency_is_closed_by_time_too() -> None:
    play = Play(document([*on("a", key="k", window={"quiet": "10s"}), *on("b", key="k")], trigger()))
    play.say(0, "b", "b", {"k": "x"})
    play.say(1, "a", "1", {"k": "x"})
    play.say(2, "a", "2", {"k": "x"})
    play.say(3, "a", "3", {"k": "y"})

    assert play.wait(12) == ["1+2+b"]
    assert play.wait(13) == []
    assert (play.last.outcome, play.last.reason) == ("waiting", "waits for b")


def test_the_window_of_a_dependency_expires() -> None:
    play = Play(document(on("a", window={"count": 2, "within": "10s"}), trigger()))
    play.say(0, "a", "1")

    play.wait(10)

    expired = next(one for one in play.decisions if one.outcome == "expired")
    assert (expired.dependency, expired.trigger) == ("a", None)
    assert play.emitted[0].data["dependency"] == "a"


# --- limits that drop ---


def test_a_limit_that_drops_lets_no_event_in() -> None:
    limited = trigger("few", rateLimit={"unit": "Minute", "requestsPerUnit": 2, "mode": "drop"})
    play = Play(document(on("a"), limited, trigger("all")))

    got = [play.say(second, "a", str(second)) for second in (0, 30, 59, 60, 89, 90)]

    assert got == [["0", "0"], ["30", "30"], ["59"], ["60", "60"], ["89"], ["90", "90"]]
    assert play.decisions[2].reason.startswith("few throttled: 2 in the last 1m")


def test_a_window_that_closes_while_the_limit_is_used_up_is_dropped_on_record() -> None:
    rate = {"unit": "Minute", "requestsPerUnit": 1, "mode": "drop"}
    play = Play(document(on("a", key="k"), trigger(window={"quiet": "10s"}, rateLimit=rate)))
    play.say(0, "a", "1", {"k": "x"})
    play.say(1, "a", "2", {"k": "y"})

    assert play.wait(30) == ["1"]

    assert (play.last.outcome, play.last.key) == ("throttled", "y")
    assert play.last.reason.startswith("throttled, and 1 events dropped")
    assert play.say(31, "a", "3", {"k": "x"}) == []


# --- properties ---

RULES = st.fixed_dictionaries(
    {},
    optional={
        "count": st.integers(1, 4),
        "quiet": st.sampled_from(["2s", "5s"]),
        "maxWait": st.sampled_from(["3s", "9s"]),
        "sum": st.just({"path": "n", "atLeast": 6}),
        "within": st.sampled_from(["4s", "12s"]),
        "onTimeout": st.sampled_from(["fire", "drop"]),
    },
)
EVENTS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(-1, 4)), max_size=20
)


@given(RULES, EVENTS, st.sampled_from(["a && b", "a || b", "a"]), st.booleans())
def test_no_event_of_a_window_is_lost_or_in_two(
    rule: dict[str, Any], events: list[tuple[int, str, str, int]], condition: str, own: bool
) -> None:
    """Every event that counted fires once, waits, or is named by an expiry."""
    dependencies = on("a", "b", key="k", **({"window": rule} if own else {}))
    more = {} if own else {"window": rule}
    play = Play(document(dependencies, trigger(conditions=condition, **({"window": {"count": 3}} | more))))
    now, came = 0, []
    for number, (gap, name, key, amount) in enumerate(events):
        now += gap
        one = event(name, f"{name}{number}", {"k": key, "n": amount})
        if name in condition:
            play.hear(now, one)
            came.append(one.key)

    fired = [key for one in play.fired for key in one.events]
    waits = [one.event for cell in play.course.cells("s").values() for part in cell.parts for one in part]
    expired = " ".join(one.reason for one in play.decisions if one.outcome == "expired")
    words = set(re.findall(r"\w+", expired))
    gone = [key for key in came if play.course.load(key).id in words]

    assert sorted(fired + waits + gone) == sorted(came)


@given(RULES, EVENTS)
def test_the_same_events_at_the_same_times_decide_the_same(
    rule: dict[str, Any], events: list[tuple[int, str, str, int]]
) -> None:
    """Whether the timers run one by one, as live, or all before the next event, as in a replay."""
    made = document(on("a", "b", key="k"), trigger(window=rule))
    live, replay = Play(made), Play(made)
    now = 0
    for number, (gap, name, key, amount) in enumerate(events):
        for _ in range(gap):
            live.wait(now)
            now += 1
        one = event(name, str(number), {"k": key, "n": amount})
        live.hear(now, one)
        replay.hear(now, one)

    assert [one.id for one in live.fired] == [one.id for one in replay.fired]
    assert live.outcomes == replay.outcomes
    assert live.course.cells("s") == replay.course.cells("s")
