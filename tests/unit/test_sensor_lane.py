"""Lanes: what holds a match back, what becomes of it, and what lets it go."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.events import Event
from sensors.core.lane import MOST_HELD
from sensors.core.outcome import Fired
from tests.unit.sensor_play import Play, document, event, lifecycle, on, trigger


def lane(*, key: str | None = None, **limits: Any) -> Play:
    return Play(document(on("a", **({"key": key} if key else {})), trigger(**limits)))


def end(play: Play, second: float, fired: Fired, subject: str = "firing.done", data: Any = None) -> list[str]:
    return play.hear(second, lifecycle(subject, fired, data if data is not None else {"run": None}, len(play.taken)))


# --- concurrency ---


def test_one_at_a_time_and_the_others_in_their_order() -> None:
    play = lane(concurrency={})

    assert [play.say(n, "a", str(n)) for n in range(3)] == [["0"], [], []]
    assert play.last.reason == "t held: concurrency: 1 of at most 1 is active"
    assert play.fired[0].tracked
    assert end(play, 10, play.fired[0]) == ["1"]
    assert (play.last.outcome, play.last.trigger) == ("released", "t")
    assert play.last.reason == "fired after 9s, held by concurrency"
    assert end(play, 20, play.fired[1], "firing.failed", {"error": "x"}) == ["2"]
    assert end(play, 30, play.fired[2]) == []
    assert play.cell("lane").active == ()


def test_a_firing_that_started_a_run_is_over_with_its_run() -> None:
    play = lane(concurrency={})
    play.say(0, "a", "0")
    play.say(1, "a", "1")

    assert end(play, 2, play.fired[0], data={"run": "r-1"}) == []
    assert play.cell("lane").active[0].run == "r-1"
    assert end(play, 3, play.fired[0], "run.failed", {}) == ["1"]


def test_the_end_of_a_run_may_be_told_before_that_of_its_firing() -> None:
    play = lane(concurrency={})
    play.say(0, "a", "0")
    play.say(1, "a", "1")

    assert end(play, 2, play.fired[0], "run.succeeded", {}) == ["1"]
    assert end(play, 3, play.fired[0], data={"run": "r-1"}) == []
    assert [one.firing for one in play.cell("lane").active] == [play.fired[1].id]


def test_a_redrive_makes_a_dead_firing_active_again() -> None:
    play = lane(concurrency={"key": "k"})
    play.say(0, "a", "0", {"k": "x"})
    end(play, 1, play.fired[0], "firing.failed", {})
    end(play, 2, play.fired[0], "firing.redriven", {})

    assert play.say(3, "a", "1", {"k": "x"}) == []
    assert play.say(3, "a", "2", {"k": "y"}) == ["2"]


def test_keys_do_not_hold_each_other_up() -> None:
    play = lane(concurrency={"key": "k"})

    assert [play.say(n, "a", f"{n}{k}", {"k": k}) for n, k in enumerate("xxyxy")] == [["0x"], [], ["2y"], [], []]
    assert end(play, 10, play.fired[1]) == ["4y"]
    assert end(play, 11, play.fired[0]) == ["1x"]


def test_the_key_of_the_join_can_be_that_of_the_lane() -> None:
    play = lane(key="k", concurrency={"key": "key", "limit": 2})

    assert [play.say(n, "a", str(n), {"k": "xxxy"[n]}) for n in range(4)] == [["0"], ["1"], [], ["3"]]


def test_skip_drops_with_its_reason() -> None:
    play = lane(concurrency={"onConflict": "skip"})

    assert [play.say(n, "a", str(n)) for n in range(2)] == [["0"], []]
    assert play.last.reason == "t skipped: concurrency: 1 of at most 1 is active"
    assert play.cell("lane").queue == ()


def test_coalesce_merges_all_that_waits_into_one() -> None:
    play = lane(concurrency={"onConflict": "coalesce"})

    assert [play.say(n, "a", str(n)) for n in range(5)] == [["0"], [], [], [], []]
    assert play.last.reason.startswith("t coalesced: concurrency")
    assert play.last.reason.endswith("; 4 events wait")
    assert len(play.cell("lane").queue) == 1
    assert end(play, 10, play.fired[0]) == ["1+2+3+4"]
    assert not [id_ for id_ in play.course.cells("s") if id_.kind == "held"]


def test_coalescing_over_keys_gives_a_firing_without_key() -> None:
    play = lane(key="k", concurrency={"onConflict": "coalesce"})
    for n, k in enumerate("xyz"):
        play.say(n, "a", k, {"k": k})

    end(play, 9, play.fired[0])

    assert [one.key for one in play.fired] == ["x", ""]


def test_replace_stops_the_active_one_and_waits_for_its_end() -> None:
    play = lane(concurrency={"onConflict": "replace"})

    assert play.say(0, "a", "0") == ["0"]
    assert play.say(1, "a", "1") == []
    assert play.stops == [play.fired[0].id]
    assert play.say(2, "a", "2") == []
    replaced = [one for one in play.decisions if one.outcome == "replaced"]
    assert (len(replaced), replaced[0].trigger, len(play.stops)) == (1, "t", 1)
    assert end(play, 3, play.fired[0], "run.failed", {}) == ["2"]


def test_a_firing_that_cannot_be_made_takes_no_place() -> None:
    broken = {"src": {"dependencyName": "a", "dataKey": "u"}, "dest": "u"}
    http = {"name": "t", "http": {"url": "http://h/", "payload": [broken]}}
    play = Play(document(on("a"), {"template": http, "concurrency": {}}))

    assert play.say(0, "a", "0", {}) == ["0"]
    assert play.fired[0].error
    assert play.say(1, "a", "1", {"u": 1}) == ["1"]
    assert play.fired[1].error is None


def test_in_shadow_nothing_is_active() -> None:
    play = Play(document(on("a"), trigger(concurrency={}, cooldown="10s"), mode="shadow"))

    assert play.say(0, "a", "0") == ["0"]
    assert play.say(1, "a", "1") == []
    assert play.wait(10) == ["1"]


# --- cooldown, rate, schedule ---


def test_a_cooldown_gathers_what_comes_meanwhile() -> None:
    play = lane(cooldown="1m")

    assert [play.say(n, "a", str(n)) for n in (0, 1, 59)] == [["0"], [], []]
    assert play.wait(60) == ["1+59"]
    assert play.say(119, "a", "119") == []
    assert play.wait(120) == ["119"]
    assert play.say(180, "a", "180") == ["180"]


@pytest.mark.parametrize(("conflict", "at_60", "at_120"), [("queue", ["1"], ["2"]), ("skip", [], [])])
def test_a_cooldown_does_what_it_is_told(conflict: str, at_60: list[str], at_120: list[str]) -> None:
    play = lane(cooldown={"for": "1m", "onConflict": conflict})
    for n in range(3):
        play.say(n, "a", str(n))

    assert play.wait(60) == at_60
    assert play.wait(120) == at_120


@pytest.mark.parametrize("argo", [True, False])
def test_a_rate_limit_lets_so_many_go_in_any_stretch(argo: bool) -> None:
    play = Play(document(on("a"), trigger(rateLimit={"unit": "Minute", "requestsPerUnit": 2}), argo=argo))

    assert [play.say(n, "a", str(n)) for n in (0, 30, 31, 32, 33)] == [["0"], ["30"], [], [], []]
    assert play.last.reason == "t held: rateLimit: 2 in the last 1m, and not more than that are allowed"
    assert play.wait(59) == []
    assert play.wait(60) == ["31"]
    assert play.wait(90) == ["32"]
    assert play.wait(120) == ["33"]
    assert not play.fired[0].tracked


def test_outside_of_its_hours_a_trigger_waits() -> None:
    """The play begins on a Friday, 00:00 in UTC, which is 01:00 in Berlin."""
    closed = {"closed": [{"days": ["mon-fri"], "start": "08:00", "stop": "18:00"}], "timezone": "Europe/Berlin"}
    play = lane(schedule=closed)

    assert play.say(6.9 * 3600, "a", "0") == ["0"]
    assert play.say(7 * 3600, "a", "1") == []
    assert "schedule: outside of its hours, which begin at 2026-11-20T17:00:00Z" in play.last.reason
    assert play.say(8 * 3600, "a", "2") == []
    assert play.wait(17 * 3600 - 1) == []
    assert play.wait(17 * 3600) == ["1", "2"]
    assert play.say(40 * 3600, "a", "3") == ["3"]


def test_gates_are_asked_in_their_order_and_again_when_one_opens() -> None:
    play = lane(concurrency={}, cooldown={"for": "1m", "onConflict": "queue"})
    play.say(0, "a", "0")

    play.say(1, "a", "1")
    assert "concurrency" in play.last.reason
    assert end(play, 2, play.fired[0]) == []
    assert play.cell("lane").queue[0].gate == "cooldown"
    assert play.wait(60) == ["1"]


def test_what_is_held_is_dropped_where_a_later_gate_says_so() -> None:
    play = lane(concurrency={}, cooldown={"for": "1m", "onConflict": "skip"})
    play.say(0, "a", "0")
    play.say(1, "a", "1")

    end(play, 2, play.fired[0])

    assert (play.last.outcome, play.last.trigger) == ("skipped", "t")
    assert play.course.waiting("s") == []


# --- budgets ---


def spent(play: Play, second: float, fired: Fired, hours: float) -> list[str]:
    return end(play, second, fired, "run.succeeded", {"resources": {"nvidia.com/gpu": hours * 3600, "cpu": 5}})


def test_a_budget_of_runs_counts_firings() -> None:
    play = lane(budget={"runs": 2, "per": "hour"})

    assert [play.say(n, "a", str(n)) for n in range(4)] == [["0"], ["1"], [], []]
    assert play.last.reason == "t held: budget: 2 in the last 1h, which is its budget"
    assert play.wait(3600) == ["2"]
    assert play.wait(3601) == ["3"]


def test_gpu_hours_are_those_that_the_runs_have_told() -> None:
    play = lane(budget={"gpuHours": 8, "per": "day"})

    assert play.say(0, "a", "0") == ["0"]
    assert play.say(1, "a", "1") == []
    assert "is not known before the first is over" in play.last.reason
    assert spent(play, 3600, play.fired[0], 3) == ["1"]
    assert play.say(3601, "a", "2") == []
    assert "3 are spent, 3 reserved for active ones, and this takes 3" in play.last.reason
    assert spent(play, 7200, play.fired[1], 2) == ["2"]
    assert spent(play, 7300, play.fired[2], 0) == []
    assert play.say(7400, "a", "3") == ["3"]
    assert spent(play, 7500, play.fired[3], 3) == []
    assert play.say(7600, "a", "4") == []
    assert play.wait(3600 + 86_400) == ["4"]


def test_an_estimate_is_what_a_run_takes() -> None:
    play = lane(budget={"gpuHours": 8, "per": "day", "estimate": 3})

    assert [play.say(n, "a", str(n)) for n in range(3)] == [["0"], ["1"], []]
    assert end(play, 9, play.fired[0], "firing.failed", {}) == ["2"]


def test_a_cost_is_read_where_the_run_says_it() -> None:
    play = lane(budget={"cost": 10, "per": "day", "estimate": 4, "onExceed": "skip"})
    told = {"outputs": {"parameters": {"cost": "9.5"}}}
    play.say(0, "a", "0")

    end(play, 1, play.fired[0], "run.failed", told)

    assert play.cell("lane").spent[0].amount == 9.5
    assert play.say(2, "a", "1") == []
    assert play.last.reason.startswith("t skipped: budget: of 10 in cost in 24h 9.5 are spent")


def test_over_budget_somebody_may_approve() -> None:
    play = lane(budget={"runs": 1, "per": "day", "onExceed": "approve"})

    assert [play.say(n, "a", str(n)) for n in range(4)] == [["0"], [], [], []]
    assert play.last.reason.startswith("t held for approval: budget")
    held = [one.held[0] for one in play.course.waiting("s")]
    assert [one.asks for one in held] == [True] * 3

    def answer(second: float, word: str, firing: str, data: Any) -> list[str]:
        whose = {"retrainsensor": "s", "retraintrigger": "t", "retrainfiring": firing}
        return play.hear(second, Event(f"{word}{firing}", "retrain", "t", word, data=data, extensions=whose))

    assert answer(10, "approval.granted", held[1].firing, {}) == ["2"]
    assert play.fired[1].id == held[1].firing
    assert answer(11, "approval.rejected", held[0].firing, {"actor": "eva", "reason": "too dear"}) == []
    assert play.last.reason.startswith("approval rejected by eva: too dear")
    assert play.wait(200_000) == []
    assert play.say(200_001, "a", "9") == ["9"]
    assert [one.firing for one in play.cell("lane").queue] == [held[2].firing]


# --- bounds ---


def test_a_full_queue_refuses_the_newest_as_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_HELD == 10_000
    monkeypatch.setattr("sensors.core.lane.MOST_HELD", 2)
    play = lane(concurrency={})

    got = [play.say(n, "a", str(n)) for n in range(4)]

    assert got == [["0"], [], [], ["3"]]
    assert "2 matches of t are held already" in str(play.fired[1].error)
    assert not play.fired[1].tracked


def test_a_lane_forgets_what_its_limits_do_not_look_at() -> None:
    play = lane(rateLimit={"unit": "Second", "requestsPerUnit": 5}, cooldown={"for": "1s", "onConflict": "queue"})
    for n in range(50):
        play.say(2 * n, "a", str(n))

    assert len(play.fired) == 50
    assert len(play.cell("lane").fired) == 1


def test_firings_that_are_over_without_a_word_leave_the_lane() -> None:
    play = lane(concurrency={})
    play.say(0, "a", "0")
    play.say(1, "a", "1")
    cells = play.course.cells("s")

    step = play.sensor.over(cells.get, "t", [play.fired[0].id], play.course.now, play.course.load)

    assert [play.ids(one) for one in step.firings] == ["1"]


# --- properties ---

LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "concurrency": st.fixed_dictionaries(
            {"onConflict": st.sampled_from(["queue", "coalesce"])},
            optional={"key": st.just("k"), "limit": st.integers(1, 2)},
        ),
        "cooldown": st.fixed_dictionaries({"for": st.sampled_from(["2s", "7s"]), "onConflict": st.just("queue")}),
        "rateLimit": st.just({"unit": "Second", "requestsPerUnit": 1}),
        "budget": st.just({"runs": 3, "per": "20s"}),
    },
)
ACTS = st.lists(st.tuples(st.integers(0, 3), st.one_of(st.sampled_from("xy"), st.just(True))), min_size=1, max_size=25)


@given(LIMITS, ACTS)
def test_what_is_held_goes_once_and_in_its_order(limits: dict[str, Any], acts: list[tuple[int, Any]]) -> None:
    """Nothing that is queued or coalesced is lost; of one lane key the first comes first; and the limits hold."""
    play = lane(**limits)
    now, ended = 0, 0
    for number, (gap, act) in enumerate(acts):
        now += gap
        if act is not True:
            play.say(now, "a", f"{number}{act}", {"k": act})
        elif ended < len(play.fired):
            end(play, now, play.fired[ended])
            ended += 1
    play.wait(now + 100)
    while ended < len(play.fired):
        now += 200
        end(play, now, play.fired[ended])
        ended += 1
        play.wait(now + 100)

    came = [f"{number}{act}" for number, (_, act) in enumerate(acts) if act is not True]
    went = "+".join(play.ids(one) for one in play.fired).split("+") if play.fired else []
    assert sorted(went) == sorted(came)
    for key in "xy":
        assert [one for one in went if one.endswith(key)] == [one for one in came if one.endswith(key)]
    times = [one.created.timestamp() for one in play.fired]
    if "cooldown" in limits:
        gap = float(limits["cooldown"]["for"][:-1])
        assert all(later - earlier >= gap for earlier, later in pairwise(times))
    if "budget" in limits:
        assert all(later - earlier >= 20 for earlier, later in zip(times, times[3:], strict=False))


ANY_LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "concurrency": st.fixed_dictionaries(
            {"onConflict": st.sampled_from(["queue", "coalesce", "skip", "replace"]), "limit": st.integers(1, 2)},
            optional={"key": st.just("k")},
        ),
        "cooldown": st.fixed_dictionaries(
            {"for": st.sampled_from(["2s", "7s"]), "onConflict": st.sampled_from(["queue", "coalesce", "skip"])}
        ),
        "rateLimit": st.sampled_from(
            [
                {"unit": "Second", "requestsPerUnit": 1},
                {"unit": "Minute", "requestsPerUnit": 2, "mode": "drop"},
            ]
        ),
        "budget": st.fixed_dictionaries(
            {"gpuHours": st.just(3), "per": st.just("30s"), "onExceed": st.sampled_from(["queue", "skip", "approve"])},
            optional={"estimate": st.just(1)},
        ),
        "schedule": st.just({"closed": [{"start": "00:00", "stop": "00:01"}]}),
        "every": st.just(2),
        "window": st.just({"quiet": "3s", "count": 2}),
    },
)


@given(ANY_LIMITS, ACTS)
def test_limits_hold_at_every_moment_and_timers_may_run_early_or_late(limits: dict[str, Any], acts: Any) -> None:
    """Second by second, as live, or each time up to the next event, as in a replay."""
    live, replay, now = lane(**limits), lane(**limits), 0
    bound = limits.get("concurrency", {}).get("limit")
    for number, (gap, act) in enumerate(acts):
        for _ in range(gap * 10):
            live.wait(now)
            now += 1
        one = event("a", f"{number}{act}", {"k": act})
        if act is True:
            if not live.fired:
                continue
            ended = live.fired[number % len(live.fired)]
            one = lifecycle("run.succeeded", ended, {"resources": {}}, number)
        live.hear(now, one)
        replay.hear(now, one)
        active = () if live.cell("lane") is None else live.cell("lane").active
        for key in {one.lane_key for one in active} if bound else ():
            assert sum(one.lane_key == key for one in active) <= bound
    live.wait(now + 500)
    replay.wait(now + 500)

    assert live.outcomes == replay.outcomes
    assert [(one.id, one.created) for one in live.fired] == [(one.id, one.created) for one in replay.fired]
    assert live.course.cells("s") == replay.course.cells("s")
    assert len({one.id for one in live.fired}) == len(live.fired)
    queue = () if live.cell("lane") is None else live.cell("lane").queue
    held = {one.key for one in live.course.cells("s") if one.kind == "held"}
    assert held == {one.firing for one in queue}
