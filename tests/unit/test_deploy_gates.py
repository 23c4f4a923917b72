"""Gates of figures: every verdict of each kind, and what never passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from deploy.gates import KINDS, Measured, number
from deploy.gates.asking import Built, ask_all
from tests.unit.gate_world import LIVE, NOW, ask, evidence, gate

INF, NAN = float("inf"), float("nan")
RESCORED = Measured("sha256:live", {"accuracy": 0.7}, "d1", "c1")


@pytest.mark.parametrize(
    ("value", "bounds", "verdict"),
    [
        (0.9, {"min": 0.9}, "pass"),
        (0.1 + 0.2, {"max": 0.3}, "fail"),
        (0.8999, {"min": 0.9}, "fail"),
        (5, {"min": 1, "max": 5}, "pass"),
        ("0.95", {"min": 0.9}, "pass"),
        ("nan", {"min": 0.9}, "fail"),
        (NAN, {"max": 0.9}, "fail"),
        (INF, {"min": 0.9}, "fail"),
        ("1e999", {"min": 0.9}, "fail"),
        (10**400, {"min": 0.9}, "fail"),
        (None, {"max": 1}, "fail"),
        (True, {"min": 0}, "fail"),
        ([1], {"min": 0}, "fail"),
        ("0.95; rm -rf /", {"min": 0.9}, "fail"),
        (0.95, {"relative": {"min": 1.05}}, "pass"),
        (0.94, {"relative": {"min": 1.05}}, "fail"),
        (0.95, {"relative": {"max": 1.05}}, "fail"),
        (0.89, {"tolerance": 0.01, "direction": "higher"}, "pass"),
        (0.88, {"tolerance": 0.01, "direction": "higher"}, "fail"),
        (0.91, {"tolerance": 0.01, "direction": "lower"}, "pass"),
        (0.92, {"tolerance": 0.01, "direction": "lower"}, "fail"),
        (0.89, {"min": 0.895, "tolerance": 0.01, "direction": "higher"}, "fail"),
    ],
)
def test_a_threshold_passes_within_its_bounds_only(value: Any, bounds: dict[str, Any], verdict: str) -> None:
    assert ask("threshold", evidence({"accuracy": value}), metric="accuracy", **bounds).verdict == verdict


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({"champion": None}, "fail", "onNoChampion"),
        ({"champion": Measured("sha256:live", {"accuracy": 0.9}, "d2", "c1")}, "error", "stale baseline"),
        ({"champion": Measured("sha256:live", {"accuracy": 0.9}, "d1", "c0")}, "error", "measured by c0"),
        ({"champion": Measured("sha256:live", {"accuracy": 0}, "d1", "c1")}, "error", "use tolerance"),
        ({"champion": None, "champion_unknown": "by hand"}, "error", "by hand"),
    ],
)
def test_a_relative_threshold_needs_the_champion_on_the_same_yardstick(more: Any, verdict: str, words: str) -> None:
    found = ask("threshold", evidence({"accuracy": 0.99}, **more), metric="accuracy", relative={"min": 1})

    assert (found.verdict, words in found.reason) == (verdict, True), found.reason


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"slice": "eu", "min": 0.8}, "pass"),
        ({"slice": "eu", "min": 0.86}, "fail"),
        ({"slice": "us", "min": 0}, "fail"),
        ({"slice": "eu", "min": 0, "minSamples": 101}, "fail"),
        ({"slice": "eu", "min": 0, "minSamples": 100}, "pass"),
        ({"min": 0, "minSamples": 1000}, "pass"),
        ({"min": 0, "minSamples": 1001}, "fail"),
    ],
)
def test_a_threshold_holds_a_slice_and_asks_for_samples(fields: dict[str, Any], verdict: str) -> None:
    slices = {"eu": {"n": 100, "metrics": {"accuracy": 0.85}}}
    about = evidence({"accuracy": 0.9}, slices=slices, samples=1000)

    assert ask("threshold", about, metric="accuracy", **fields).verdict == verdict


@pytest.mark.parametrize(
    ("value", "more", "fields", "verdict"),
    [
        (0.9, {}, {}, "pass"),
        (0.899, {}, {}, "fail"),
        (0.91, {}, {"minDelta": 0.01}, "pass"),
        (0.909, {}, {"minDelta": 0.01}, "fail"),
        (0.895, {}, {"maxRegression": 0.005}, "pass"),
        (0.894, {}, {"maxRegression": 0.005}, "fail"),
        (0.895, {}, {"margin": 0.005}, "pass"),
        (0.895, {}, {"minDelta": -0.005}, "pass"),
        (0.89, {}, {"direction": "lower"}, "pass"),
        (0.91, {}, {"direction": "lower"}, "fail"),
        (0.855, {}, {"maxRegression": 0.05, "relative": True}, "pass"),
        (0.854, {}, {"maxRegression": 0.05, "relative": True}, "fail"),
        (0.99, {"dataset": "d2"}, {}, "error"),
        (0.99, {"dataset": None}, {}, "error"),
        (0.99, {"code": "c2"}, {}, "error"),
        (0.99, {"code": None}, {}, "error"),
        (0.99, {"champion": None, "champion_unknown": "by hand"}, {}, "error"),
        (0.99, {"champion": None}, {}, "fail"),
        (0.99, {"champion": None}, {"onNoChampion": "pass"}, "pass"),
        (0.99, {"champion": Measured("sha256:live", {}, "d1", "c1")}, {}, "error"),
        (0.99, {"champion": replace(LIVE, metrics={"accuracy": 0})}, {"relative": True}, "error"),
        (0.99, {"champion": replace(LIVE, metrics={"accuracy": "nan"})}, {}, "error"),
        (None, {}, {}, "fail"),
        (0.8, {"dataset": "d2", "rescored": RESCORED}, {}, "pass"),
        (0.8, {"dataset": "d2", "rescored": replace(RESCORED, digest="sha256:older")}, {}, "error"),
    ],
)
def test_a_champion_is_beaten_on_the_same_yardstick_only(
    value: Any, more: dict[str, Any], fields: dict[str, Any], verdict: str
) -> None:
    assert ask("champion", evidence({"accuracy": value}, **more), metric="accuracy", **fields).verdict == verdict


SLICES = {
    "eu": {"n": 200, "metrics": {"accuracy": 0.9}, "champion": {"accuracy": 0.92}},
    "us": {"n": 500, "metrics": {"accuracy": 0.95}, "champion": {"accuracy": 0.9}},
    "mars": {"n": 3, "metrics": {"accuracy": 0.1}, "champion": {"accuracy": 0.9}},
}


@pytest.mark.parametrize(
    ("fields", "verdict", "words"),
    [
        ({"min": 0.9}, "fail", "mars"),
        ({"min": 0.9, "minSamples": 50}, "pass", "1 are too small"),
        ({"max": 0.94, "minSamples": 50}, "fail", "us"),
        ({"maxRegression": 0.02, "minSamples": 50}, "pass", "2 slices"),
        ({"maxRegression": 0.01, "minSamples": 50}, "fail", "eu"),
        ({"maxRegression": 0.01, "direction": "lower", "minSamples": 50}, "fail", "us"),
        ({"min": 0, "minSamples": 501}, "error", "none has 501"),
        ({"min": 0, "only": ["us"]}, "pass", "1 slices"),
        ({"min": 0, "only": ["venus"]}, "fail", "venus"),
    ],
)
def test_no_slice_is_out_of_bounds_and_small_ones_decide_nothing(
    fields: dict[str, Any], verdict: str, words: str
) -> None:
    about = evidence(slices=SLICES, rescored=RESCORED)

    found = ask("slices", about, metric="accuracy", **fields)

    assert (found.verdict, words in found.reason) == (verdict, True), found.reason


@pytest.mark.parametrize(
    ("more", "fields", "verdict"),
    [
        ({"slices": {}}, {"min": 0}, "error"),
        ({"rescored": None}, {"maxRegression": 0}, "error"),
        ({"rescored": replace(RESCORED, digest="sha256:older")}, {"maxRegression": 0}, "error"),
        ({"champion": None, "champion_unknown": "by hand"}, {"maxRegression": 0}, "error"),
        ({"champion": None, "rescored": None}, {"maxRegression": 0}, "fail"),
        ({"champion": None, "rescored": None}, {"maxRegression": 0, "onNoChampion": "pass"}, "pass"),
        ({"slices": {"eu": {"n": 9, "metrics": {"accuracy": "nan"}}}}, {"min": 0}, "fail"),
        ({"slices": {"eu": {"n": 9, "metrics": {"accuracy": 1}, "champion": {}}}}, {"maxRegression": 0}, "error"),
    ],
)
def test_slices_are_compared_with_the_live_model_or_not_at_all(more: Any, fields: Any, verdict: str) -> None:
    about = evidence(**{"slices": SLICES, "rescored": RESCORED, **more})

    assert ask("slices", about, metric="accuracy", **fields).verdict == verdict


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"p95": 10}, "pass"),
        ({"p95": 9.9}, "fail"),
        ({"p50": 5, "p99": 30, "bytes": 1000, "memory": 2048}, "pass"),
        ({"bytes": 999}, "fail"),
        ({"memory": 2047}, "fail"),
    ],
)
def test_a_budget_holds_every_limit(fields: dict[str, Any], verdict: str) -> None:
    about = evidence(latency={"p50": 5, "p95": "10", "p99": 30}, size={"bytes": 1000, "memory": 2048})

    assert ask("budget", about, **fields).verdict == verdict


def test_a_budget_reads_percentiles_out_of_samples_by_nearest_rank() -> None:
    about = evidence(latency={"samples": list(range(1, 101))})

    assert ask("budget", about, p50=50, p95=95, p99=99).verdict == "pass"
    assert ask("budget", about, p95=94.9).figures["p95"] == 95


@pytest.mark.parametrize("latency", [{}, {"p95": "nan"}, {"p95": -1}, {"samples": []}, {"samples": [1, "x"]}])
def test_a_budget_without_its_figure_fails(latency: dict[str, Any]) -> None:
    assert ask("budget", evidence(latency=latency), p95=10).verdict == "fail"


def test_data_is_fresh_up_to_its_age_and_not_from_the_future() -> None:
    def verdict(age: timedelta) -> str:
        return ask("freshness", evidence(data_time=NOW - age), maxAge="24h").verdict

    assert verdict(timedelta(hours=24)) == "pass"
    assert verdict(timedelta(hours=24, seconds=1)) == "fail"
    assert verdict(timedelta(minutes=-4)) == "pass"
    assert verdict(timedelta(minutes=-6)) == "error"
    assert ask("freshness", evidence(), maxAge="24h").verdict == "fail"
    assert ask("freshness", evidence(data_time=NOW, now=None), maxAge="24h").verdict == "error"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("metrics.accuracy > 0.9", "pass"),
        ("metrics.accuracy > 0.99", "fail"),
        ("metrics.accuracy >= champion.metrics.accuracy + 0.04", "pass"),
        ("metrics.accuracy > 0.9 and parameters.depth == '4'", "pass"),
        ("candidate.digest == 'sha256:new' and champion.digest == 'sha256:live'", "pass"),
        ("latency.p95 < 10", "pass"),
        ("slices['eu'].n > 3", "pass"),
        ("metrics.auc > 0.5", "error"),
        ("metrics.loss < 1", "error"),
        ("metrics.accuracy", "error"),
    ],
)
def test_an_expression_is_true_false_or_an_error(text: str, verdict: str) -> None:
    about = evidence(
        {"accuracy": "0.95", "loss": "nan"},
        parameters={"depth": "4"},
        latency={"p95": 5},
        slices={"eu": {"n": 4, "metrics": {}}},
    )

    found = ask("expr", about, expression=text)

    assert found.verdict == verdict, found.reason


def test_an_expression_over_a_stale_champion_is_an_error_and_others_do_not_care() -> None:
    about = evidence({"accuracy": 0.95}, dataset="d2")

    assert ask("expr", about, expression="metrics.accuracy > champion.metrics.accuracy").verdict == "error"
    assert ask("expr", about, expression="metrics.accuracy > 0.9").verdict == "pass"
    assert ask("expr", evidence({"a": 1}, champion=None), expression="champion == nil").verdict == "pass"


BAD = [
    ("threshold", {"metric": "a"}, "min or max"),
    ("threshold", {"metric": "a", "min": 2, "max": 1}, "greater"),
    ("threshold", {"metric": "a", "min": NAN}, "finite"),
    ("threshold", {"metric": "a", "min": 1, "slices": {}}, "Extra"),
    ("threshold", {"metric": "a", "tolerance": 1}, "direction"),
    ("threshold", {"metric": "a", "relative": {}}, "min or max"),
    ("threshold", {"metric": "a", "relative": {"min": 1}, "slice": "x"}, "'slices'"),
    ("champion", {"metric": "a", "minDelta": 0, "maxRegression": 0}, "same thing"),
    ("champion", {"metric": "a", "margin": 0, "maxRegression": 0}, "same thing"),
    ("champion", {"metric": "a", "confidence": 0.9}, "needs test"),
    ("champion", {"metric": "a", "test": "mcnemar", "minDelta": 0.1}, "bootstrap"),
    ("champion", {"metric": "a", "test": "bootstrap", "relative": True}, "absolute"),
    ("champion", {"metric": "a", "test": "delong"}, "mcnemar"),
    ("champion", {"metric": "a", "test": "mcnemar", "confidence": 1}, "less than 1"),
    ("slices", {"metric": "a"}, "min, max or maxRegression"),
    ("budget", {}, "a budget needs"),
    ("budget", {"p95": 0}, "greater than 0"),
    ("calibration", {}, "maxEce or maxBrier"),
    ("drift", {"features": ["a"]}, "maxPsi"),
    ("drift", {"features": [], "maxPsi": 1}, "at least 1"),
    ("fairness", {"group": "sex"}, "maxDifference or minRatio"),
    ("freshness", {"maxAge": "yesterday"}, "90s, 1h30m or 7d"),
    ("expr", {"expression": "metrics.a >"}, "unexpected"),
    ("expr", {"expression": "metric.a > 1"}, "unknown name 'metric'"),
    ("http", {"url": "ftp://x/"}, "http://"),
    ("http", {"url": "https://me:pw@x/"}, "credentials"),
    ("http", {"url": "https://x/", "timeout": "1h"}, "less than or equal"),
    ("infra", {"models": ["/srv"]}, "loader or command"),
    ("infra", {"models": ["/srv"], "loader": "pickle", "command": ["x"]}, "loader or command"),
    ("infra", {"models": [], "loader": "pickle"}, "at least 1"),
    ("infra", {"models": ["srv"], "loader": "pickle"}, "/srv/models/"),
    ("infra", {"models": ["/srv"], "loader": "os.system('x')"}, "pattern"),
    ("infra", {"models": ["/srv"], "loader": "pickle", "inputs": [1], "expect": []}, "0 answers for 1"),
    ("workflow", {"template": "../x"}, "pattern"),
    ("workflow", {}, "required"),
]


@pytest.mark.parametrize(("kind", "fields", "words"), BAD)
def test_a_gate_without_sense_is_refused_with_what_would_be_right(kind: str, fields: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        gate(kind, **fields)


def test_every_kind_has_a_gate_without_sense_above_but_one_that_has_no_wrong_field() -> None:
    assert {kind for kind, _, _ in BAD} | {"schema"} == set(KINDS)


def test_a_verdict_carries_its_evidence_its_end_and_whether_it_only_advises() -> None:
    spec = gate("threshold", metric="accuracy", min=1)
    built = Built("g", "threshold", KINDS["threshold"], spec, advisory=True, valid_for=timedelta(hours=1))
    about = evidence({"accuracy": 0.5})

    (verdict,) = ask_all([built], about)

    assert (verdict.verdict, verdict.ok, verdict.evidence) == ("fail", True, about.digest)
    assert verdict.expires_at == "2026-11-21T13:00:00+00:00"
    assert verdict.to_dict()["advisory"] is True
    assert "again" not in verdict.to_dict()


def test_a_gate_that_breaks_or_says_no_verdict_is_an_error_and_the_others_are_judged() -> None:
    class Broken:
        @staticmethod
        def judge(spec: Any, about: Any) -> Any:
            raise KeyError("rows")

    class Odd(Broken):
        @staticmethod
        def judge(spec: Any, about: Any) -> Any:
            return True

    fine = Built("fine", "threshold", KINDS["threshold"], gate("threshold", metric="a", min=1))
    said = ask_all([Built("b", "broken", Broken, None), Built("o", "odd", Odd, None), fine], evidence({"a": 1}))

    assert [(one.name, one.verdict) for one in said] == [("b", "error"), ("o", "error"), ("fine", "pass")]
    assert "KeyError" in said[0].reason


def test_figures_are_read_exactly_or_not_at_all() -> None:
    assert str(number({"a": "0.30"}, "a")) == "0.30"
    assert [number({"a": bad}, "a") for bad in ("", "x", None, [], True, NAN, "-inf", "9" * 500)] == [None] * 8
