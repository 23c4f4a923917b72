"""When a failed firing tries again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError, Permanent, Transient
from triggers import Firing, RetryAfter
from triggers.retry import MAX_DELAY_S, Backoff, read_backoff, read_duration
from triggers.verdicts import failed, succeeded

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def a_firing(**action: object) -> Firing:
    return Firing(id="f-1", sensor="s", trigger="t", key="", action={"kind": "http", **action}, events=("e",))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("10us", 1e-5),
        (3_000_000_000, 3),
        ("4000000000", 4),
        ("0", 0),
    ],
)
def test_durations_are_read_as_argo_events_reads_them(written: object, seconds: float) -> None:
    assert read_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "soon", "-1s", "1s ", "1 s", -1, True, None, [], "1x", "s"])
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ConfigError, match="no duration"):
        read_duration(written)


def test_without_a_strategy_there_are_five_attempts_that_wait_twice_as_long_each_time() -> None:
    backoff = read_backoff(None)

    assert backoff.steps == 5
    assert [backoff.delay_s(n, lambda: 0.0) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_the_fields_and_defaults_of_a_strategy_are_those_of_argo() -> None:
    assert read_backoff({}) == Backoff(steps=5, duration_s=1, factor=1, jitter=1)
    assert read_backoff({"steps": 3, "duration": "3s", "factor": "2.5", "jitter": 0.5}) == Backoff(3, 3, 2.5, 0.5)


@pytest.mark.parametrize(
    "wrong", [{"factor": "much"}, {"jitter": -1}, {"step": 3}, {"duration": "x"}, [], {"steps": "nan"}]
)
def test_a_strategy_that_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError):
        read_backoff(wrong)


@given(
    st.builds(
        Backoff,
        steps=st.integers(1, 100),
        duration_s=st.floats(0, 1e9),
        factor=st.floats(0, 1e9),
        jitter=st.floats(0, 1e6),
    ),
    st.integers(1, 10_000),
    st.floats(0, 1),
)
def test_no_wait_is_negative_or_longer_than_the_bound(backoff: Backoff, attempt: int, chance: float) -> None:
    assert 0 <= backoff.delay_s(attempt, lambda: chance) <= MAX_DELAY_S


def test_the_last_attempt_ends_in_a_dead_letter_that_says_why() -> None:
    firing = a_firing(retryStrategy={"steps": 2})

    first = failed(firing, 1, Transient("no answer"), NOW)
    last = failed(firing, 2, Transient("no answer"), NOW)

    assert first.settled.state == "pending"
    assert first.letter is None
    assert last.settled.state == "dead"
    assert last.letter is not None
    assert last.letter.reason == "no answer (attempt 2 of 2)"


def test_what_cannot_succeed_is_not_tried_again() -> None:
    assert failed(a_firing(), 1, Permanent("no"), NOW).settled.state == "dead"


def test_the_other_side_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() -> None:
    firing = a_firing(retryStrategy={"duration": "10s", "jitter": 0})

    longer = failed(firing, 1, RetryAfter("busy", 60), NOW).settled.next_attempt
    shorter = failed(firing, 1, RetryAfter("busy", 1), NOW).settled.next_attempt

    assert longer == NOW + timedelta(seconds=60)
    assert shorter == NOW + timedelta(seconds=10)


def test_a_bug_in_a_kind_is_tried_again_and_its_text_is_not_shown() -> None:
    verdict = failed(a_firing(), 1, KeyError("Bearer s3cret"), NOW)

    assert verdict.settled.state == "pending"
    assert verdict.settled.error == "KeyError in the trigger's code"


def test_broken_text_in_an_error_can_be_written_down() -> None:
    verdict = failed(a_firing(), 1, Permanent("no \udcff"), NOW)

    assert verdict.settled.error == "no ?"


def test_a_result_that_is_huge_or_no_json_is_not_kept() -> None:
    huge = succeeded(a_firing(), 1, "x" * 100_000, NOW)
    strange = succeeded(a_firing(), 1, {"when": object()}, NOW)

    assert huge.settled.result == {"dropped": "the trigger's result had 100002 bytes"}
    assert strange.settled.result == {"dropped": "the trigger's result was no JSON"}
