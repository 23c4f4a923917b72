"""What is done about a verification that did not pass: by the table of words, and for whatever comes together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.rollout.rules import SETTLED, Failure, decide
from deploy.rollout.steps import Step, check, facts, is_last, shown
from deploy.spec import check as check_document
from tests.integration.promotion_world import document

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def failure(**more: Any) -> Failure:
    words: dict[str, Any] = {"outcome": "failed", "action": "promote", "on_failure": "rollback", "now": NOW, **more}
    return Failure(**words)


def test_what_is_known_to_be_bad_goes_back_and_is_held() -> None:
    answer = decide(failure(until=NOW))

    assert (answer.rolls_back, answer.holds) == (True, True)


@pytest.mark.parametrize(
    ("more", "holds", "why"),
    [
        ({"outcome": "error"}, True, "nobody knows that it is bad"),
        ({"outcome": "timeout"}, True, "nobody knows that it is bad"),
        ({"action": "rollback"}, True, "it is a rollback itself"),
        ({"on_failure": "hold"}, True, "onFailure is hold"),
        ({"on_failure": "nothing"}, False, "onFailure is nothing"),
        ({"newer": "p-2"}, False, "p-2 came after it"),
        ({"unwell": "p-0"}, True, "p-0, which was live before, was unhealthy too"),
        ({"until": NOW - SETTLED - timedelta(seconds=1)}, True, "more than 20 min after"),
    ],
)
def test_nothing_goes_back_where_that_could_make_it_worse(more: dict[str, Any], holds: bool, why: str) -> None:
    answer = decide(failure(**more))

    assert (answer.rolls_back, answer.holds) == (False, holds)
    assert why in answer.why


@given(
    st.builds(
        failure,
        outcome=st.sampled_from(["failed", "error", "timeout"]),
        action=st.sampled_from(["promote", "rollback"]),
        on_failure=st.sampled_from(["rollback", "hold", "nothing"]),
        newer=st.sampled_from([None, "p-2"]),
        unwell=st.sampled_from([None, "p-0"]),
        until=st.sampled_from([None, NOW, NOW - timedelta(days=3)]),
    )
)
def test_a_rollback_is_never_one_of_a_rollback_and_never_without_a_hold(failed: Failure) -> None:
    answer = decide(failed)

    if answer.rolls_back:
        assert answer.holds
        assert (failed.action, failed.outcome, failed.on_failure) == ("promote", "failed", "rollback")
        assert (failed.newer, failed.unwell) == (None, None)
    assert answer.why


# --- steps ----------------------------------------------------------------------------------------------------------


def canary(*weights: int, **last: str) -> list[Step]:
    found = [Step.model_validate({"weight": weight, "for": "10m"}) for weight in weights[:-1]]
    return [*found, Step.model_validate({"weight": weights[-1], **last})]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        (canary(10, 50, 100), None),
        (canary(100), None),
        (canary(50, 10, 100), "canary-falls"),
        (canary(10, 10, 100), "canary-falls"),
        (canary(10, 50), "canary-ends-early"),
        (canary(10, 100, **{"for": "1m"}), "canary-last-for"),
    ],
)
def test_weights_rise_to_all_of_the_traffic(steps: list[Step], code: str | None) -> None:
    assert [problem.code for problem in check(steps, ("spec",))] == ([code] if code else [])


def test_without_a_canary_everything_is_one_last_step() -> None:
    assert facts((), 0) == {"weight": 100, "number": 1, "last": True}
    assert shown((), 0) is None
    assert is_last(canary(10, 100), 1)
    assert facts(canary(10, 100), 0) == {"weight": 10, "number": 1, "last": False}


def problems(**changes: Any) -> list[str]:
    return [problem.code for problem in check_document(document("/nowhere", **changes))]


def edit(path: str = "spec.x", **more: Any) -> dict[str, Any]:
    return {"file": "a.yaml", "path": path, "value": "{{step.weight}}", **more}


STEPS = [{"weight": 10}, {"weight": 100}]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"edits": [edit()]}, []),
        ({"edits": [edit()], "canary": STEPS}, []),
        ({"edits": [edit(at="canary"), edit(at="full")], "canary": STEPS}, []),
        ({"edits": [edit(at="canary"), edit()], "canary": STEPS}, ["duplicate-edit"]),
        ({"edits": [edit(at="canary")]}, ["no-canary"]),
        ({"edits": [edit(at="canary")], "canary": STEPS}, ["no-edits"]),
        ({"edits": [edit(at="full")], "canary": STEPS}, ["no-edits"]),
        ({"edits": [edit(value="{{step.wight}}")]}, ["bad-template"]),
        ({"edits": [edit()], "onFailure": "hold"}, ["unused-field"]),
    ],
)
def test_edits_say_at_which_steps_they_are_made(changes: dict[str, Any], found: list[str]) -> None:
    assert problems(**changes) == found
