"""Tags and expressions in texts: what is filled in, what stays, what is an error. Research §1.3 and §2.8."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.expressions import ExpressionFailed, evaluate_bool, evaluate_value
from pipelines.core.substitute import Unresolved, prepared, render, replace, revived, rule, tags
from pipelines.core.variables import Known, Layered, Moment, RunVariables

NOW = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
STRICT = ("steps", "tasks")


# --- simple tags -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("{{ a }}", "1"),
        ("{{a}}{{b}}", "12"),
        ("{{ x }}", "{{ x }}"),
        ("{{a", "{{a"),
        ("a}}", "a}}"),
        ("{{}}", "{{}}"),
        ("{{x-{{a}}}}", "{{x-1}}"),
        ('{{- if "{{a}}" }}', '{{- if "1" }}'),
        ("{{{{a}}}}", "{{{{a}}}}"),
        ("{{a}}}", "1}"),
        ("{ {a} }", "{ {a} }"),
    ],
)
def test_a_tag_reaches_to_the_next_end_and_unknown_ones_stay(text: str, want: str) -> None:
    assert replace(text, {"a": "1", "b": "2"}) == want


def test_what_was_put_in_is_not_scanned_again() -> None:
    assert replace("{{a}}", {"a": "{{b}}", "b": "2"}) == "{{b}}"


@pytest.mark.parametrize("text", ["{{steps.name}}", "{{tasks.name}}"])
def test_the_callees_own_name_waits_for_the_callee(text: str) -> None:
    assert replace(text, {}, strict=STRICT) == text


@pytest.mark.parametrize("text", ["{{tasks.a.outputs.result}}", "{{steps.a.id}}", "{{ tasks.x }}", "{{tasks}}"])
def test_an_output_that_is_not_there_is_an_error(text: str) -> None:
    with pytest.raises(Unresolved, match="failed to resolve"):
        replace(text, {}, strict=STRICT)


def test_artifacts_and_words_that_only_look_alike_are_not_strict() -> None:
    text = "{{tasks.a.outputs.artifacts.m}} {{tasksA}} {{stepstone.x}}"

    assert replace(text, {}, strict=STRICT) == text


def test_an_absent_value_is_an_error_in_a_text_and_stays_where_the_step_is_off() -> None:
    with pytest.raises(Unresolved, match="absent optional"):
        replace("x-{{a}}", {"a": None})
    assert replace("x-{{a}}", Known({"a": None}), absent_may_stay=True) == "x-{{a}}"


def test_keys_and_lists_are_filled_in_and_what_has_no_tag_is_shared() -> None:
    value = {"{{a}}": ["{{b}}", {"c": 1}], "d": {"e": [1, 2]}}

    found = replace(value, {"a": "k", "b": "v"})

    assert found == {"k": ["v", {"c": 1}], "d": {"e": [1, 2]}}
    assert found["d"] is value["d"]
    assert value["{{a}}"] == ["{{b}}", {"c": 1}]


def test_the_tags_of_a_value_are_listed() -> None:
    assert list(tags({"{{a}}": ["{{ b }}", "{{=c + 1}}", "{{x {{d}}"]})) == ["a", "b", "=c + 1", "d"]


# --- expressions -----------------------------------------------------------------------------------------------------

KNOWN: dict[str, Any] = {
    "inputs.parameters": '[{"name":"lr","value":"0.1"}]',
    "inputs.parameters.lr": "0.1",
    "inputs.parameters.my-count": "3",
    "workflow.labels": '{"app":"x"}',
    "workflow.labels.json": '{"app":"x"}',
    "workflow.labels.example.io/owner": "me",
    "item": '{"k":"v"}',
    "item.k": "v",
    "tasks.a.outputs.parameters.p": None,
    "tasks.a.status": "Skipped",
    "inputs.artifacts.m": {"name": "m", "s3": {"key": "k"}},
    "inputs.artifacts.m.path": "/in/m",
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("{{=asFloat(inputs.parameters.lr) * 2}}", "0.2"),
        ("{{=asInt(inputs.parameters['my-count']) + 1}}", "4"),
        ("{{=toJson(inputs.parameters)}}", '{"lr":"0.1","my-count":"3"}'),
        ("{{=item.k}} {{item}}", 'v {"k":"v"}'),
        ("{{=item}}", '{"k":"v"}'),
        ("{{=workflow.labels['example.io/owner']}}", "me"),
        ("{{=workflow.labels.json}}", '{"app":"x"}'),
        ("{{=tasks.a.outputs.parameters.p ?? 'none'}}", "none"),
        ("{{=tasks.a?.outputs?.result ?? 'none'}}", "none"),
        ("{{=tasks.a.status == 'Skipped'}}", "true"),
        ("{{=[1, {'b': '<'}]}}", '[1,{"b":"\\u003c"}]'),
        ("{{='<' + \"\\n\"}}", "<\n"),
        ("{{=inputs.artifacts.m.path}}", "/in/m"),
        ("{{=sprig.upper('a') | lower()}}", "a"),
        ("{{=let x = inputs.parameters.lr; x + 'a'}}", "0.1a"),
        ("{{=map(['a', 'b'], # + inputs.parameters.lr)}}", '["a0.1","b0.1"]'),
        ("{{=workflow.labels.missing == 'x'}}", "false"),
    ],
)
def test_an_expression_sees_maps_where_names_have_names_below_them(text: str, want: str) -> None:
    assert replace(text, KNOWN) == want


@pytest.mark.parametrize(
    "text",
    [
        "{{=retries + 1}}",
        "{{=lastRetry.exitCode == '1'}}",
        "{{=workflow.status + 'x'}}",
        "{{=retries ?? 'x'}}",
        "{{=nothing}}",
        "{{=true ? 'a' : nothing.here}}",
        "{{=workflow.labels.missing}}",
        "{{=asInt(inputs.parameters.none)}}",
        "{{=nothing ?? 'x'}}",
    ],
)
def test_an_expression_that_reads_what_is_not_known_yet_stays(text: str) -> None:
    assert replace(text, KNOWN) == text


def test_a_strict_name_must_be_there_for_an_expression_too() -> None:
    with pytest.raises(Unresolved, match=r"tasks\.b\.outputs\.result is missing"):
        replace("{{=tasks.b.outputs.result}}", KNOWN, strict=STRICT)
    with pytest.raises(Unresolved, match="steps is missing"):
        replace("{{=steps.b.outputs ?? 'x'}}", KNOWN, strict=STRICT)


def test_what_stands_left_of_a_default_may_be_missing() -> None:
    assert replace("{{=tasks.a.outputs.none ?? 'x'}}", KNOWN, strict=STRICT) == "x"


def test_with_everything_there_a_failure_is_an_error_where_anything_is_strict() -> None:
    assert replace("{{=asInt(item.k)}}", KNOWN) == "{{=asInt(item.k)}}"
    with pytest.raises(Unresolved, match="failed to evaluate expression"):
        replace("{{=asInt(item.k)}}", KNOWN, strict=STRICT)


@pytest.mark.parametrize("text", ["{{=}}", "{{=1 +}}", "{{={a: {b: 1}}}"])
def test_what_is_no_expression_is_an_error_everywhere(text: str) -> None:
    with pytest.raises(Unresolved, match="failed to evaluate expression"):
        replace(text, {})


def test_time_and_chance_come_from_the_run() -> None:
    scope = Layered(Known({}), Known({}, Moment(NOW, "run")), seed="node")

    assert replace("{{=now().Year()}}", scope) == "2026"
    assert replace("{{=sprig.uuidv4()}}", scope) == replace("{{=sprig.uuidv4()}}", scope)
    assert replace("{{=sprig.uuidv4()}}", scope) != replace("{{=sprig.uuidv4()}}", Known({}, Moment(NOW, "other")))


@pytest.mark.parametrize(
    "text",
    [
        "{{=map(1..1000000, map(1..1000000, #))}}",
        "{{=" + "(" * 5000 + ")" * 5000 + "}}",
        "{{=sprig.repeat(100000000, 'x')}}",
        "{{='" + "x" * 100 + "' " + "+ 'x' " * 20000 + "}}",
    ],
)
def test_an_expression_that_would_never_end_ends(text: str) -> None:
    with contextlib.suppress(Unresolved):
        assert replace(text, {}) == text


def test_conditions_of_hooks_and_retries_are_bools() -> None:
    known = {"lastRetry.exitCode": "137", "lastRetry.status": "Error"}

    assert evaluate_bool("asInt(lastRetry.exitCode) > 128 && lastRetry.status == 'Error'", known)
    with pytest.raises(ExpressionFailed, match="unable to cast expression result '137' to bool"):
        evaluate_bool("lastRetry.exitCode", known)
    with pytest.raises(ExpressionFailed):
        evaluate_value("nothing.here", known)


def test_no_expression_reaches_out_of_its_values() -> None:
    for text in ("workflow.__class__", "env('HOME')", "sprig.env('HOME')", "workflow['__init__']", "$env.x.y"):
        with pytest.raises(ExpressionFailed):
            evaluate_value(text + ".z", {"workflow.name": "a"})


# --- properties ------------------------------------------------------------------------------------------------------

ANY = st.text(alphabet=st.sampled_from(list('{}=ab."\\\n\0é\U0001f600 ')), max_size=40)
NASTY = st.one_of(ANY, st.sampled_from(["{{", "}}", "{{b}}", '"', "\n", "\0", "x" * 1_000_000, "{{=1+1}}"]))


@given(ANY, st.dictionaries(st.sampled_from(["a", "b", "a.b"]), NASTY))
def test_any_text_with_any_values_is_filled_in_or_refused(text: str, known: dict[str, str]) -> None:
    try:
        found = replace(text, known)
    except Unresolved:
        return
    assert isinstance(found, str)


@given(NASTY, NASTY.filter(lambda text: "{{" not in text), NASTY.filter(lambda text: "}}" not in text))
def test_a_value_stands_in_the_text_as_it_is(value: str, before: str, after: str) -> None:
    if before.endswith("{") or after.startswith("}"):
        return
    if after.startswith("\0="):  # the mark of what is not to be read again; no command takes a NUL
        return

    assert revived(replace(before + "{{a}}" + after, {"a": value})) == before + value + after


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=20))
def test_without_any_variable_a_value_stays_what_it_is(value: Any) -> None:
    with contextlib.suppress(Unresolved):
        assert replace(value, {}) == value


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
def test_a_value_taken_apart_once_is_filled_in_as_often_as_one_likes(value: Any) -> None:
    apart, known = prepared(value), rule({"a": "1"})
    try:
        first = apart.filled(lambda text: render(text, known))
        second = apart.filled(lambda text: render(text, known))
    except Unresolved:
        return
    assert first == second == replace(value, {"a": "1"})


def test_what_a_run_knows_is_asked_live() -> None:
    exports: dict[str, str | None] = {}
    known = RunVariables({"workflow.name": "w"}, status="Failed", failures='"[]"', parameters=exports)

    exports["acc"] = "0.9"

    assert replace("{{workflow.outputs.parameters.acc}} {{workflow.status}}", known) == "0.9 Failed"
    assert replace("{{=workflow.outputs.parameters.acc}}", known) == "0.9"
    whole = {"failures": '"[]"', "name": "w", "outputs": {"parameters": {"acc": "0.9"}}, "status": "Failed"}
    assert json.loads(replace("{{=toJson(workflow)}}", known)) == whole
    assert replace("{{workflow.duration}}", known) == "{{workflow.duration}}"
