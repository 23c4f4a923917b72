"""Gates: every verdict, and what never passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.gates import Evidence, Measured, Verdict, champion, threshold

LIVE = Measured("sha256:live", {"accuracy": 0.9}, "d1")


def judge_threshold(value: Any, **bounds: float) -> Verdict:
    spec = threshold.Spec.model_validate({"name": "g", "kind": "threshold", "metric": "accuracy", **bounds})
    return threshold.judge(spec, Evidence(Measured("sha256:new", {"accuracy": value})))


def judge_champion(value: Any, live: Measured | None = LIVE, dataset: str | None = "d1", **spec: Any) -> Verdict:
    rescored = spec.pop("rescored", None)
    unknown = spec.pop("unknown", "")
    gate = champion.Spec.model_validate({"name": "g", "kind": "champion", "metric": "accuracy", **spec})
    candidate = Measured("sha256:new", {"accuracy": value}, dataset)
    return champion.judge(gate, Evidence(candidate, None if unknown else live, unknown, rescored))


@pytest.mark.parametrize(
    ("value", "bounds", "verdict"),
    [
        (0.9, {"min": 0.9}, "pass"),
        (0.1 + 0.2, {"max": 0.3}, "fail"),
        (0.8999, {"min": 0.9}, "fail"),
        (5, {"min": 1, "max": 5}, "pass"),
        ("0.95", {"min": 0.9}, "pass"),
        ("nan", {"min": 0.9}, "fail"),
        (float("nan"), {"max": 0.9}, "fail"),
        (float("inf"), {"min": 0.9}, "fail"),
        (None, {"max": 1}, "fail"),
        (True, {"min": 0}, "fail"),
        ("0.95; rm -rf /", {"min": 0.9}, "fail"),
    ],
)
def test_a_threshold_passes_within_its_bounds_only(value: Any, bounds: dict[str, float], verdict: str) -> None:
    assert judge_threshold(value, **bounds).verdict == verdict


@pytest.mark.parametrize("bad", [{}, {"min": 2, "max": 1}, {"min": float("nan")}, {"min": 1, "slices": {}}])
def test_a_threshold_without_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        judge_threshold(1, **bad)


@pytest.mark.parametrize(
    ("value", "spec", "verdict"),
    [
        (0.9, {}, "pass"),
        (0.899, {}, "fail"),
        (0.91, {"minDelta": 0.01}, "pass"),
        (0.909, {"minDelta": 0.01}, "fail"),
        (0.895, {"maxRegression": 0.005}, "pass"),
        (0.894, {"maxRegression": 0.005}, "fail"),
        (0.89, {"direction": "lower"}, "pass"),
        (0.91, {"direction": "lower"}, "fail"),
        (0.855, {"maxRegression": 0.05, "relative": True}, "pass"),
        (0.854, {"maxRegression": 0.05, "relative": True}, "fail"),
        (0.99, {"dataset": "d2"}, "error"),
        (0.99, {"dataset": None}, "error"),
        (0.99, {"unknown": "by hand"}, "error"),
        (0.99, {"live": None}, "fail"),
        (0.99, {"live": None, "onNoChampion": "pass"}, "pass"),
        (0.99, {"live": Measured("sha256:live", {}, "d1")}, "error"),
        (0.99, {"live": Measured("sha256:live", {"accuracy": 0}, "d1"), "relative": True}, "error"),
        (None, {}, "fail"),
        (0.8, {"dataset": "d2", "rescored": Measured("sha256:live", {"accuracy": 0.7})}, "pass"),
        (0.8, {"dataset": "d2", "rescored": Measured("sha256:older", {"accuracy": 0.7})}, "error"),
    ],
)
def test_a_champion_is_beaten_on_the_same_data_only(value: Any, spec: dict[str, Any], verdict: str) -> None:
    assert judge_champion(value, **spec).verdict == verdict


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-0.5, 0.5))
def test_a_higher_metric_never_loses_a_verdict(low: float, more: float, margin: float) -> None:
    first = judge_champion(low, minDelta=margin)
    second = judge_champion(low + more, minDelta=margin)

    assert not (first.ok and not second.ok)


def test_two_margins_are_refused() -> None:
    with pytest.raises(ValidationError, match="same thing"):
        judge_champion(1, minDelta=0, maxRegression=0)
