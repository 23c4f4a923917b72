"""What answers of a served model, and figures of a Prometheus, say of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.rollout import http, prometheus
from deploy.rollout.check import Finding
from deploy.rollout.tools import Answer
from retrain.errors import ConfigError
from tests.unit.rollout_world import subject, watch

URL = "http://digits.example.com/v2/models/digits/infer"


def smoke(**more: Any) -> http.Spec:
    return http.Spec.model_validate({"name": "smoke", "kind": "http", "url": URL, **more})


def figures(**more: Any) -> prometheus.Spec:
    usual = {"name": "errors", "kind": "prometheus", "url": "http://p:9090", "query": "up", "for": "2m", "every": "30s"}
    return prometheus.Spec.model_validate(
        {**usual, **({} if {"min", "pass", "fail"} & set(more) else {"max": 0.05}), **more}
    )


def rounds(spec: http.Spec, *what: str) -> list[Finding]:
    return watch(http, spec, [(5.0 * at, {"answers": [{"what": one, "why": one}]}) for at, one in enumerate(what)])


def weigh(spec: http.Spec, status: int, body: Any = None, seconds: float = 0.01) -> tuple[str, str]:
    return http.weigh(spec, Answer(status, orjson.dumps(body), seconds), {"x": 1}, subject())


def measured(spec: prometheus.Spec, *values: Any, every: float = 30) -> list[Finding]:
    given_: list[Any] = [one if isinstance(one, dict) else {"values": [one]} for one in values]
    return watch(prometheus, spec, [(every * at, one) for at, one in enumerate(given_)])


def verdicts(found: list[Finding]) -> list[str]:
    return [one.verdict for one in found]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "right"), (404, "away"), (502, "away"), (503, "away"), (429, "away"), (401, "error"), (403, "error"),
     (400, "wrong"), (422, "wrong"), (500, "wrong"), (301, "wrong")],
)  # fmt: skip
def test_every_status_is_worth_something(status: int, expected: str) -> None:
    assert weigh(smoke(), status)[0] == expected


def test_a_status_that_is_expected_is_right() -> None:
    assert weigh(smoke(status=[404]), 404)[0] == "right"
    assert weigh(smoke(status=[404]), 200)[0] == "wrong"


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("body.outputs[0].data[0] == 3", "right"),
        ("body.outputs[0].data[0] == 4", "wrong"),
        ("body.version == candidate.version", "right"),
        ("status == 200 and seconds < 1 and sample.x == 1", "right"),
        ("text contains 'outputs'", "right"),
        ("body.absent.deeper", "wrong"),
        ("body.version", "wrong"),
    ],
)
def test_what_is_expected_is_an_expression_over_the_answer(expect: str, expected: str) -> None:
    body = {"outputs": [{"data": [3]}], "version": "7"}

    assert weigh(smoke(expect=expect), 200, body)[0] == expected


def test_a_slow_answer_is_a_wrong_one() -> None:
    what, why = weigh(smoke(latency="100ms"), 200, seconds=0.2)

    assert what == "wrong"
    assert why == "answered in 0.200 s, 0.1 s are allowed"


def test_it_passes_after_good_rounds_in_a_row() -> None:
    found = rounds(smoke(passes=2), "right", "away", "right", "right")

    assert verdicts(found) == ["pending"] * 3 + ["pass"]
    assert found[-1].over


def test_it_fails_after_bad_rounds_in_a_row() -> None:
    found = rounds(smoke(failures=2, passes=9), "wrong", "right", "wrong", "away", "wrong", "wrong")

    assert verdicts(found) == ["pending"] * 5 + ["fail"]


def test_what_is_away_is_waited_for_and_what_cannot_be_asked_is_an_error() -> None:
    assert verdicts(rounds(smoke(), *["away"] * 50)) == ["pending"] * 50
    assert set(verdicts(rounds(smoke(), *["error"] * 50))) == {"error"}


@given(what=st.lists(st.sampled_from(["right", "wrong", "away", "error"]), max_size=30))
def test_a_verdict_of_the_smoke_test_needs_so_many_in_a_row(what: list[str]) -> None:
    found = rounds(smoke(), *what)

    for at, one in enumerate(found):
        if one.verdict in {"pass", "fail"}:
            assert what[at - 2 : at + 1] == [{"pass": "right", "fail": "wrong"}[one.verdict]] * 3
            break


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "ftp://x"}, "http:// or https://"),
        ({"url": "http://ann:secret@x"}, "bearer"),
        ({"url": "http://{{candidate.version}}.example.com"}, "no place for a template"),
        ({"url": "http://x/{{candidate.nothing}}"}, "is not known"),
        ({"body": 1, "samples": [1]}, "write body for one sample"),
        ({"samples": []}, "1 to 100"),
        ({"method": "GET", "body": {}}, "has no body"),
        ({"expect": "answer == 1"}, "unknown name 'answer'"),
        ({"expect": "body =="}, "expect"),
        ({"headers": {"A b": "c"}}, "no name of a header"),
        ({"timeout": "1h"}, "timeout"),
    ],
)
def test_a_smoke_test_that_makes_no_sense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        smoke(**changes)


def test_what_is_filled_into_an_address_stays_in_its_place() -> None:
    facts: Any = {"candidate": {"version": "../../admin?x=1#y", "digest": "sha256:ab", "uri": ".."}}

    assert http.address("http://h/v/{{candidate.version}}/p", facts) == "http://h/v/..%2F..%2Fadmin%3Fx%3D1%23y/p"
    assert http.address("http://h/v/{{candidate.digest}}", facts) == "http://h/v/sha256:ab"
    with pytest.raises(ConfigError, match="cannot be filled"):
        http.address("http://h/v/{{candidate.uri}}/p", facts)


# --- prometheus -----------------------------------------------------------------------------------------------------


def test_it_passes_when_it_was_good_for_the_whole_time() -> None:
    found = measured(figures(), 0.01, 0.02, 0.05, 0.0, 0.01)

    assert verdicts(found) == ["pending"] * 4 + ["pass"]
    assert found[-1].figures["good"] == 5


def test_one_bad_measurement_fails_where_none_is_allowed() -> None:
    found = measured(figures(), 0.01, 0.06)

    assert (found[-1].verdict, found[-1].over) == ("fail", True)
    assert "0.06 is more than 0.05" in found[-1].reason


def test_as_many_as_are_allowed_do_not_fail() -> None:
    assert verdicts(measured(figures(failureLimit=2), 1, 1, 0, 0, 0)) == ["pending"] * 4 + ["pass"]
    assert verdicts(measured(figures(failureLimit=2), 1, 1, 0, 1))[-1] == "fail"


def test_errors_in_a_row_are_an_error_and_are_forgotten_after_a_measurement() -> None:
    away = {"error": "connection refused"}

    found = measured(figures(consecutiveErrorLimit=2), away, away, 0, away, away, away)

    assert verdicts(found) == ["pending"] * 5 + ["error"]
    assert "connection refused" in found[-1].reason


def test_errors_are_no_measurements() -> None:
    away = {"error": "away"}

    assert verdicts(measured(figures(), 0, away, 0, away, 0, 0, 0)) == ["pending"] * 6 + ["pass"]


@pytest.mark.parametrize(
    ("bounds", "values", "grade"),
    [
        ({"max": 0.05}, [0.05, 0.01], "good"),
        ({"max": 0.05}, [0.01, 0.06], "bad"),
        ({"min": 10}, [10.0], "good"),
        ({"min": 10}, [9.9, 20.0], "bad"),
        ({"min": 1, "max": 2}, [1.5], "good"),
        ({"pass": "value < 0.1"}, [0.05], "good"),
        ({"pass": "value < 0.1"}, [0.2], "bad"),
        ({"fail": "value > 0.1"}, [0.05], "good"),
        ({"fail": "value > 0.1"}, [0.2], "bad"),
        ({"pass": "value < 0.1", "fail": "value > 0.5"}, [0.3], "inconclusive"),
        ({"pass": "value < 0.1", "fail": "value > 0.5"}, [0.6], "bad"),
        ({"pass": "all(values, # < 0.1)"}, [0.05, 0.01], "good"),
        ({"pass": "value < 0.1"}, [0.05, 0.01], "error"),
        ({"pass": "value"}, [0.05], "error"),
        ({"max": 1}, [], "error"),
        ({"max": 1}, [None], "error"),
        ({"max": 1, "empty": "pass"}, [None], "good"),
        ({"max": 1, "empty": "fail"}, [], "bad"),
        ({"max": 1}, [None, 0.5], "good"),
    ],
)
def test_what_a_measurement_is(bounds: dict[str, Any], values: list[Any], grade: str) -> None:
    assert prometheus.grade(figures(**bounds), {"values": values})[0] == grade


def test_neither_good_nor_bad_ends_without_a_verdict() -> None:
    spec = figures(**{"pass": "value < 1", "fail": "value > 5", "inconclusiveLimit": 1})

    found = measured(spec, 0, 3, 3)

    assert verdicts(found) == ["pending", "pending", "error"]
    assert (found[-1].over, "inconclusive 2 times" in found[-1].reason) == (True, True)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}}, {"values": [3.0]}),
        (200, {"status": "success", "data": {"resultType": "vector", "result": []}}, {"values": []}),
        (
            200,
            {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "NaN"]}]}},
            {"values": [None]},
        ),
    ],
)
def test_an_answer_of_the_server_is_read(status: int, body: Any, expected: Any) -> None:
    assert prometheus.read(status, orjson.dumps(body)) == expected


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b'{"status":"error","errorType":"bad_data","error":"parse error"}', "parse error"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "matrix"),
        (503, b"<html>", "without JSON"),
        (200, b"[]", "without a reason"),
        (200, b'{"status":"success"}', "vector or a scalar"),
    ],
)
def test_an_answer_that_is_no_figure_is_an_error(status: int, body: bytes, words: str) -> None:
    assert words in str(prometheus.read(status, body)["error"])


def test_a_candidate_cannot_change_the_query() -> None:
    query = 'rate(errors{version="{{candidate.version}}"}[5m])'

    assert prometheus.filled(query, {"candidate": {"version": "v7.1"}}) == 'rate(errors{version="v7.1"}[5m])'
    for hostile in ('7"} or vector(0) #', "a\\", "a b", "a\nb", "{x}"):
        with pytest.raises(ConfigError, match="do not belong"):
            prometheus.filled(query, {"candidate": {"version": hostile}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pass": "value < 1", "max": 1}, "write min and max, or pass and fail"),
        ({"url": "http://ann:secret@p"}, "credentials"),
        ({"url": "http://p/?x=1"}, "address"),
        ({"every": "5m"}, "longer than for"),
        ({"pass": "val < 1"}, "unknown name 'val'"),
        ({"query": "{{candidate.digest"}, "belong to no reference"),
        ({"bearer": {"name": "a", "key": "b"}, "basic": {"name": "a", "key": "b"}}, "not both"),
    ],
)
def test_figures_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        figures(**changes)


@given(
    values=st.lists(st.sampled_from([0.0, 1.0, {"error": "away"}]), max_size=40),
    limit=st.integers(0, 3),
    errors=st.integers(0, 3),
)
def test_counts_decide_and_only_they(values: list[Any], limit: int, errors: int) -> None:
    found = measured(figures(failureLimit=limit, consecutiveErrorLimit=errors), *values)

    over = next((at for at, one in enumerate(found) if one.over), None)
    seen = values if over is None else values[: over + 1]
    bad = sum(one == 1.0 for one in seen)
    longest = max((len(run) for run in runs(seen)), default=0)
    if over is None:
        assert bad <= limit
        assert longest <= errors
    elif found[over].verdict == "fail":
        assert bad == limit + 1
    elif found[over].verdict == "error":
        assert longest == errors + 1
    else:
        assert bad <= limit
        assert sum(not isinstance(one, dict) for one in seen) >= 5


def runs(values: list[Any]) -> list[list[Any]]:
    """The stretches of errors."""
    cuts = [-1, *(at for at, one in enumerate(values) if not isinstance(one, dict)), len(values)]
    return [values[a + 1 : b] for a, b in pairwise(cuts)]
