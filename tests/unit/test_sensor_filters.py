"""Filters: what passes, what does not and why; how answers are joined; what a transform changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError
from retrain.events import Event
from sensors.dependency_spec import Dependency
from sensors.filtering.content import Content
from sensors.filtering.filters import Verdict, compile_dependency, compile_transform

DATA = {
    "body": {"s": "hello world", "n": 50, "z": None, "t": True, "nstr": "50", "obj": {"a": 1}, "list": [{"n": 1}]},
    "header": {"Content-Type": ["application/json"]},
}
MISSING = {"path": "body.nope", "type": "string", "value": ["x"]}
YES = {"path": "body.s", "type": "string", "value": ["hello"]}
NO = {"path": "body.s", "type": "string", "value": ["nope"]}


def dependency(**fields: Any) -> Dependency:
    return Dependency.model_validate({"name": "d", "eventSourceName": "src", "eventName": "x", **fields})


def content(data: Any = DATA, **fields: Any) -> Content:
    given = {"id": "1", "source": "src", "type": "webhook", "subject": "x", "time": datetime(2024, 1, 2, 16, 36, 34)}
    given["time"] = given["time"].replace(tzinfo=UTC)
    return Content(Event(**{**given, "data": data, **fields}))


def judge(filters: dict[str, Any], operator: str = "", *, ours: bool = False, **event: Any) -> Verdict:
    one = dependency(filters=filters, filtersLogicalOperator=operator)
    return compile_dependency(one, ours=ours)(content(**event))


def test_without_filters_everything_passes() -> None:
    assert compile_dependency(dependency())(content()).passed
    assert judge({}).passed


def test_filters_that_are_empty_let_nothing_pass_under_or() -> None:
    verdict = judge({}, "or")

    assert (verdict.passed, verdict.failed) == (False, False)
    assert "there are none" in verdict.reason


@pytest.mark.parametrize(
    ("one", "passes"),
    [
        ({"path": "body.n", "type": "number", "value": ["49"], "comparator": ">"}, True),
        ({"path": "body.n", "type": "number", "value": ["50"], "comparator": ">"}, False),
        ({"path": "body.n", "type": "number", "value": ["50"], "comparator": ">="}, True),
        ({"path": "body.n", "type": "number", "value": ["51"], "comparator": "<"}, True),
        ({"path": "body.n", "type": "number", "value": ["1", "50"]}, True),
        ({"path": "body.n", "type": "number", "value": ["50"], "comparator": "!="}, False),
        ({"path": "body.nstr", "type": "number", "value": ["5e1"]}, True),
        ({"path": "body.s", "type": "number", "value": ["0"]}, True),
        ({"path": "body.n", "type": "number", "value": ["50"], "comparator": "~"}, False),
        ({"path": "body.t", "type": "bool", "value": ["T"]}, True),
        ({"path": "body.t", "type": "bool", "value": ["true"], "comparator": "!="}, True),
        ({"path": "body.s", "type": "string", "value": ["lo w"]}, True),
        ({"path": "body.s", "type": "string", "value": ["^world$"]}, False),
        ({"path": "body.s", "type": "string", "value": ["nope", "h.llo"]}, True),
        ({"path": "body.s", "type": "string", "value": ["hello"], "comparator": "!="}, False),
        ({"path": "body.s", "type": "string", "value": ["a"], "comparator": ">"}, False),
        ({"path": "body.z", "type": "string", "value": ["^$"]}, True),
        ({"path": "body.obj", "type": "string", "value": [r"^\{\"a\":1\}$"]}, True),
        ({"path": "body.list.0.n", "type": "number", "value": ["1"]}, True),
        ({"path": "header.Content-Type.0", "type": "string", "value": ["json$"]}, True),
    ],
)
def test_a_data_filter_compares_as_upstream_does(one: dict[str, Any], passes: bool) -> None:
    verdict = judge({"data": [one]})

    assert (verdict.passed, verdict.failed) == (passes, False)
    assert bool(verdict.reason) is not passes


def test_a_refusal_says_the_value_and_what_was_wanted() -> None:
    assert judge({"data": [NO]}).reason == "body.s is 'hello world', not = nope"


def test_a_long_value_is_shortened_in_a_reason() -> None:
    verdict = judge({"data": [NO]}, data={"body": {"s": "x" * 1000}})

    assert len(verdict.reason) < 150


def test_a_path_that_leads_nowhere_filters_also_under_not_equal() -> None:
    verdict = judge({"data": [{**MISSING, "comparator": "!="}]})

    assert not verdict.passed
    assert verdict.reason == "path 'body.nope' does not exist"
    assert (verdict.checks[0].failed, verdict.checks[0].absent) == (True, True)


def test_data_that_is_no_json_is_an_error() -> None:
    verdict = judge({"data": [YES]}, data=b"\xff\xfe")

    assert (verdict.passed, verdict.failed) == (False, True)
    assert "no JSON" in verdict.reason


def test_not_equal_to_several_values_is_upstreams_any_and_our_none() -> None:
    filters = {"data": [{"path": "body.n", "type": "number", "value": ["50", "51"], "comparator": "!="}]}

    assert judge(filters).passed
    assert not judge(filters, ours=True).passed
    assert judge(filters, ours=True, data={"body": {"n": 52}}).passed


@pytest.mark.parametrize(
    ("data", "passes"), [([YES, YES], True), ([YES, NO], False), ([MISSING, YES], False), ([YES, MISSING], False)]
)
def test_data_filters_are_joined_by_and(data: list[dict[str, Any]], passes: bool) -> None:
    assert judge({"data": data}).passed is passes


@pytest.mark.parametrize(("data", "passes"), [([NO, YES], True), ([MISSING, YES], True), ([NO, MISSING], False)])
def test_joined_by_or_one_data_filter_is_enough(data: list[dict[str, Any]], passes: bool) -> None:
    assert judge({"data": data, "dataLogicalOperator": "or"}).passed is passes


# --- expressions ---


def expr(text: str, **fields: str) -> dict[str, Any]:
    return {"expr": text, "fields": [{"name": name, "path": path} for name, path in fields.items()]}


@pytest.mark.parametrize(
    ("one", "passes"),
    [
        (expr("n > 10 && s =~ 'hello'", n="body.n", s="body.s"), True),
        (expr("n > 50", n="body.n"), False),
        (expr("t", t="body.t"), True),
        (expr("n + 1", n="body.n"), False),
        (expr("1 == 2"), True),  # without fields it is passed over
    ],
)
def test_an_expression_passes_only_where_it_is_true(one: dict[str, Any], passes: bool) -> None:
    verdict = judge({"exprs": [one]})

    assert (verdict.passed, verdict.failed) == (passes, False)


def test_an_expression_that_is_false_shows_its_values() -> None:
    assert judge({"exprs": [expr("n > 50", n="body.n")]}).reason == "n > 50 is false with n = 50"


def test_an_expression_without_its_field_is_absent_and_one_that_breaks_is_an_error() -> None:
    assert judge({"exprs": [expr("n > 1", n="body.nope")]}).reason == "path 'body.nope' does not exist"

    broken = judge({"exprs": [expr("s > 1", s="body.s")]})
    assert (broken.passed, broken.failed) == (False, True)


def test_an_expression_without_fields_lets_nothing_pass_under_or() -> None:
    assert not judge({"exprs": [expr("1 == 1")], "exprLogicalOperator": "or"}).passed


def test_joined_by_or_one_expression_is_enough() -> None:
    exprs = [expr("n == 1", n="body.nope"), expr("n == 50", n="body.n")]

    assert judge({"exprs": exprs, "exprLogicalOperator": "or"}).passed
    assert not judge({"exprs": exprs}).passed


def test_a_large_value_is_not_written_into_a_reason() -> None:
    data = {"body": {"s": "x" * 10_000, "l": list(range(10_000))}}

    reason = judge({"exprs": [expr("s == 'y' && l == 1", l="body.l", s="body.s")]}, data=data).reason

    assert "l = a list" in reason
    assert len(reason) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abs"), inner, max_size=3),
    max_leaves=10,
)
EVERY = compile_dependency(
    dependency(
        filters={
            "exprs": [expr("a > 1 || b =~ 'x'", a="a", b="a.b")],
            "data": [
                {"path": "a", "type": "number", "value": ["1"], "comparator": ">"},
                {"path": "a.b", "type": "bool", "value": ["true"]},
                {"path": "s", "type": "string", "value": ["^a.*b$"], "template": "{{ .Input | trim }}"},
            ],
            "context": {"type": "webhook"},
            "time": {"start": "00:00:00", "stop": "23:00:00"},
        }
    )
)


@given(JSON | st.binary(max_size=20))
def test_no_payload_breaks_a_filter(data: Any) -> None:
    verdict = EVERY(content(data))

    assert len(verdict.checks) == 6
    assert bool(verdict.reason) is not verdict.passed


# --- templates, scripts, context, time ---


def test_a_template_makes_the_text_that_is_compared() -> None:
    one = {"path": "body.s", "type": "string", "value": ["^HELLO WORLD$"], "template": "{{ upper .Input }}"}

    assert judge({"data": [one]}).passed


def test_a_template_that_makes_nothing_or_fails_is_an_error() -> None:
    for template in ("{{ if false }}x{{ end }}", "{{ .Input.a }}"):
        verdict = judge({"data": [{**YES, "template": template}]})
        assert (verdict.passed, verdict.failed) == (False, True), template


def test_the_time_in_a_template_is_that_of_the_event() -> None:
    one = {"path": "body.s", "type": "string", "value": ["^2024$"], "template": '{{ now | date "2006" }}'}

    assert judge({"data": [one]}).passed


def test_a_script_passes_only_with_true() -> None:
    assert judge({"script": "return event.body.n == 50"}).passed
    assert judge({"script": "return 1"}).reason == "the script does not return true"
    assert judge({"script": "error('no')"}).failed


def test_a_script_is_not_run_where_the_others_have_decided() -> None:
    verdict = judge({"data": [NO], "script": "error('it ran')"})

    assert [check.kind for check in verdict.checks] == ["data"]


@pytest.mark.parametrize(
    ("context", "passes"),
    [
        ({"type": "webhook"}, True),
        ({"type": "calendar"}, False),
        ({"source": "sr*"}, False),
        ({"subject": "x", "source": "src", "datacontenttype": "application/json"}, True),
        ({"id": "another", "specversion": "0.3"}, True),
    ],
)
def test_a_context_filter_compares_four_attributes_exactly(context: dict[str, str], passes: bool) -> None:
    assert judge({"context": context}).passed is passes


@pytest.mark.parametrize(
    ("start", "stop", "zone", "passes"),
    [
        ("16:00:00", "17:00:00", "", True),
        ("16:00:00", "16:36:34", "", False),
        ("16:36:34", "16:36:35", "", True),
        ("22:00:00", "17:00:00", "", True),
        ("17:00:00", "01:00:00", "", False),
        ("11:00:00", "12:00:00", "America/New_York", True),
        ("12:00:00", "12:00:00", "", True),
    ],
)
def test_a_time_filter_takes_the_start_and_leaves_the_stop(start: str, stop: str, zone: str, passes: bool) -> None:
    assert judge({"time": {"start": start, "stop": stop, "timezone": zone}}).passed is passes


def test_an_event_without_time_cannot_be_judged_by_it() -> None:
    assert judge({"time": {"start": "00:00:00", "stop": "12:00:00"}}, time=None).failed


# --- kinds together ---

WEBHOOK = {"type": "webhook"}
CALENDAR = {"type": "calendar"}


def test_kinds_are_judged_in_upstreams_order() -> None:
    filters = {
        "script": "return true",
        "time": {"start": "00:00:00", "stop": "23:59:59"},
        "context": WEBHOOK,
        "data": [YES],
        "exprs": [expr("t", t="body.t")],
    }

    assert [check.kind for check in judge(filters).checks] == ["expr", "data", "context", "time", "script"]


def test_kinds_are_joined_by_and_unless_or_is_written_in_lower_case() -> None:
    filters = {"data": [NO], "context": WEBHOOK}

    assert not judge(filters).passed
    assert not judge(filters, "OR").passed
    assert judge(filters, "or").passed
    assert not judge({"data": [NO], "context": CALENDAR}, "or").passed


def test_under_or_what_cannot_be_judged_drops_the_event_as_upstream_and_is_a_no_for_us() -> None:
    """Upstream turns any error into a no for the whole, also where another kind passes."""
    for filters in (
        {"data": [MISSING], "context": WEBHOOK},
        {"exprs": [expr("n == 1", n="body.nope")], "data": [YES]},
        {"script": "error('x')", "context": WEBHOOK},
    ):
        assert not judge(filters, "or").passed
        assert judge(filters, "or", ours=True).passed


def test_under_or_a_kind_whose_own_or_has_an_answer_is_no_error() -> None:
    filters = {"data": [MISSING, YES], "dataLogicalOperator": "or", "context": CALENDAR}

    assert judge(filters, "or").passed


@pytest.mark.parametrize(
    "filters",
    [
        {"data": [{"path": "", "type": "string", "value": ["x"]}]},
        {"data": [{"path": "a", "type": "string", "value": ["("]}]},
        {"data": [{"path": "a", "type": "number", "value": ["abc"]}]},
        {"data": [{"path": "a", "type": "bool", "value": ["yes"]}]},
        {"data": [{"path": "a", "type": "int", "value": ["1"]}]},
        {"data": [{"path": "a", "type": "string", "value": []}]},
        {"data": [{**YES, "template": "{{ nope }}"}]},
        {"exprs": [expr("a ==", a="body.a")]},
        {"exprs": [expr("a == 1", a="")]},
        {"time": {"start": "9:09:0", "stop": "19:19:19"}},
        {"time": {"start": "24:00:00", "stop": "25:00:00"}},
        {"time": {"start": "11:00:00", "stop": "12:00:00", "timezone": "Mars/Base"}},
        {"script": "return ("},
    ],
)
def test_what_is_not_in_its_language_is_refused_at_once(filters: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        compile_dependency(dependency(filters=filters))


# --- transforms ---


def test_a_transform_comes_before_the_filters_and_reaches_whoever_asks() -> None:
    one = dependency(
        transform={"jq": "{n: (.body.n + 1)}"}, filters={"data": [{"path": "n", "type": "number", "value": ["51"]}]}
    )

    verdict = compile_dependency(one)(content())

    assert verdict.passed
    assert verdict.content.value == {"n": 51}
    assert verdict.content.event.data == DATA


def test_lua_transforms_too_and_jq_wins_where_both_are_written() -> None:
    lua = compile_transform(dependency(transform={"script": "event.body = 'lua'\nreturn event"}))
    both = compile_transform(dependency(transform={"jq": '{by: "jq"}', "script": "return {by = 'lua'}"}))

    assert lua is not None
    assert lua(content({"body": 1})).value == {"body": "lua"}
    assert both is not None
    assert both(content()).value == {"by": "jq"}


def test_without_a_transform_the_content_is_the_one_given() -> None:
    given = content()

    assert compile_transform(dependency(transform={})) is None
    assert compile_dependency(dependency(filters={"data": [YES]}))(given).content is given


def test_a_transform_that_fails_is_an_error_with_its_reason() -> None:
    verdict = compile_dependency(dependency(transform={"jq": ".body.n"}))(content())

    assert (verdict.passed, verdict.failed) == (False, True)
    assert verdict.reason.startswith("transform: ")
    assert "object" in verdict.reason
    assert [(check.kind, check.failed) for check in verdict.checks] == [("transform", True)]


def test_a_program_that_is_none_is_refused_at_once() -> None:
    for transform in ({"jq": ".body["}, {"script": "return ("}):
        with pytest.raises(ConfigError):
            compile_dependency(dependency(transform=transform))
