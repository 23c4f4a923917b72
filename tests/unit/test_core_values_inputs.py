"""What goes into a template: parameters, artifacts, and its texts filled in twice. Research §2.4 and §2.8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.arguments import mark_absent, resolve_arguments, resolve_step, when_text
from pipelines.core.catalog import Catalog
from pipelines.core.inputs import Filled, fill
from pipelines.core.outputs import template_outputs
from pipelines.core.substitute import Unresolved
from pipelines.core.variables import Known
from retrain.errors import ConfigError

RUN: dict[str, Any] = {"workflow.name": "wf", "workflow.parameters.p": "{{inputs.parameters.a}}"}


def filled(template: Mapping[str, Any], known: Mapping[str, Any] = RUN, **arguments: Any) -> Filled:
    given: dict[str, Any] = {"parameters": [{"name": k, "value": v} for k, v in arguments.items()]}
    return fill(template, given, Known(known), {"node.name": "wf.a", "pod.name": "wf-a-1"}, Catalog())


def template(*inputs: Any, args: str = "", **rest: Any) -> dict[str, Any]:
    parameters = [{"name": one} if isinstance(one, str) else one for one in inputs]
    return {"name": "a", "inputs": {"parameters": parameters}, "container": {"args": [args]}, **rest}


# --- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "given", "want"),
    [
        ({"default": "d"}, {}, "d"),
        ({"default": "d", "value": "v"}, {}, "v"),
        ({"default": "d", "value": "v"}, {"x": "g"}, "g"),
        ({"default": ""}, {}, ""),
        ({"value": "{{workflow.name}}"}, {}, "wf"),
        ({}, {"x": "{{workflow.name}}-{{pod.name}}"}, "wf-wf-a-1"),
        ({}, {"x": "{{=workflow.name + 'x'}}"}, "{{=workflow.name + 'x'}}"),  # filled in by then: data
        ({}, {"x": "{{ jinja }} {% raw %}"}, "{{ jinja }} {% raw %}"),
    ],
)
def test_the_argument_wins_over_the_value_over_the_default(
    declared: dict[str, str], given: dict[str, str], want: str
) -> None:
    found = filled(template({"name": "x", **declared}, args="<{{inputs.parameters.x}}>"), **given)

    assert found.inputs.parameters == {"x": want}
    assert found.template["container"]["args"] == [f"<{want}>"]


def test_what_the_first_pass_puts_in_is_scanned_by_the_second() -> None:
    found = filled(template("a", args="{{workflow.parameters.p}}"), a="1")

    assert found.template["container"]["args"] == ["1"]


def test_what_the_second_pass_puts_in_is_not_scanned() -> None:
    found = filled(template("a", "b", args="{{inputs.parameters.a}}"), a="{{inputs.parameters.b}}", b="{{x}}")

    assert found.template["container"]["args"] == ["{{inputs.parameters.b}}"]


def test_all_inputs_are_one_list_in_the_order_of_go() -> None:
    declared = {"value": "v", "name": "x", "description": "d", "enum": ["v"]}

    found = filled(template(declared, args="{{inputs.parameters}}"))

    assert found.template["container"]["args"] == ['[{"name":"x","value":"v","enum":["v"],"description":"d"}]']


def test_paths_of_files_are_variables_and_may_have_variables() -> None:
    outputs = {
        "parameters": [{"name": "o", "valueFrom": {"path": "/tmp/{{workflow.name}}"}}],
        "artifacts": [{"name": "m", "path": "/m"}],
    }
    text = "{{outputs.parameters.o.path}} {{outputs.artifacts.m.path}} {{inputs.artifacts.i.path}}"
    whole = template(args=text, outputs=outputs)
    whole["inputs"]["artifacts"] = [{"name": "i", "path": "/i/{{pod.name}}", "raw": {"data": "x"}}]

    assert filled(whole).template["container"]["args"] == ["/tmp/wf /m /i/wf-a-1"]


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ({}, {}, "inputs.parameters.x was not supplied"),
        ({"enum": ["a", "b"]}, {"x": "c"}, "value 'c' is not in its enum list a, b"),
        (
            {"valueFrom": {"configMapKeyRef": {"name": "no", "key": "k"}}},
            {},
            "unable to retrieve inputs.parameters.x from ConfigMap: ConfigMap 'no' does not exist",
        ),
    ],
)
def test_an_input_without_a_value_is_an_error(declared: Any, given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        filled(template({"name": "x", **declared}), **given)


def test_config_maps_give_values_and_their_names_may_have_variables() -> None:
    catalog = Catalog(config_maps={"wf": {"key": "42"}})
    ref = {"configMapKeyRef": {"name": "{{workflow.name}}", "key": "key"}}
    missing = {"configMapKeyRef": {"name": "gone", "key": "key"}, "default": "7"}
    declared = template({"name": "x", "valueFrom": ref}, {"name": "y", "valueFrom": missing}, "z")
    given = {"parameters": [{"name": "z", "valueFrom": ref}]}

    found = fill(declared, given, Known(RUN), {}, catalog)

    assert found.inputs.parameters == {"x": "42", "y": "7", "z": "42"}


@pytest.mark.parametrize(("default", "want"), [("d", "d"), (None, None)])
def test_an_argument_that_is_just_a_skipped_output_counts_as_not_given(default: str | None, want: str | None) -> None:
    arguments = {"parameters": [{"name": "x", "value": "{{ tasks.a.outputs.parameters.p }}"}]}
    marked = mark_absent(arguments, Known({"tasks.a.outputs.parameters.p": None}))
    declared = {"name": "x"} if default is None else {"name": "x", "default": default}

    if want is None:
        with pytest.raises(ConfigError, match="argument references an absent optional"):
            fill(template(declared), marked, Known({}), {}, Catalog())
    else:
        assert fill(template(declared), marked, Known({}), {}, Catalog()).inputs.parameters == {"x": want}


def test_no_text_that_a_step_prints_is_taken_for_an_absent_argument() -> None:
    for text in ("\x00absent", "<absent>", "ABSENT"):
        assert filled(template({"name": "x", "default": "d"}), x=text).inputs.parameters == {"x": text}


# --- artifacts -------------------------------------------------------------------------------------------------------


def with_artifact(declared: dict[str, Any], *given: dict[str, Any]) -> Filled:
    whole = {"name": "a", "inputs": {"artifacts": [{"name": "m", **declared}]}, "container": {}}
    return fill(whole, {"artifacts": list(given)}, Known(RUN), {}, Catalog())


def test_the_argument_says_where_it_lies_and_the_input_where_it_goes() -> None:
    given = {"name": "m", "s3": {"key": "{{workflow.name}}/k"}, "path": "/theirs", "mode": 1, "archive": {"none": {}}}

    found = with_artifact({"path": "/mine", "mode": 448}, given)

    want = {"name": "m", "s3": {"key": "wf/k"}, "archive": {"none": {}}, "path": "/mine", "mode": 448}
    assert found.inputs.artifacts == (want,)
    assert found.template["inputs"]["artifacts"] == [want]


def test_the_inputs_own_location_holds_without_an_argument() -> None:
    own = {"path": "/m", "raw": {"data": "hi {{workflow.name}}"}}

    assert with_artifact(own).inputs.artifacts == ({"name": "m", "path": "/m", "raw": {"data": "hi wf"}},)


def test_an_optional_artifact_may_lie_nowhere() -> None:
    assert with_artifact({"path": "/m", "optional": True}).inputs.artifacts == (
        {"name": "m", "path": "/m", "optional": True},
    )
    assert with_artifact({"path": "/m", "optional": True}, {"name": "m"}).inputs.artifacts == (
        {"name": "m", "path": "/m", "optional": True},
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "inputs.artifacts.m was not supplied"),
        ([{"name": "m"}], "inputs.artifacts.m missing location information"),
        ([{"name": "m", "s3": {"bucket": "b"}}], "missing location information"),
    ],
)
def test_a_required_artifact_must_lie_somewhere(given: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_artifact({"path": "/m"}, *given)


# --- arguments -------------------------------------------------------------------------------------------------------

SCOPE: dict[str, Any] = {
    "tasks.a.outputs.result": "7",
    "tasks.a.status": "Succeeded",
    "tasks.a.outputs.artifacts.m": {"name": "m", "path": "/x", "s3": {"key": "k"}, "globalName": "g"},
    "inputs.artifacts.i": {"name": "i", "path": "/i", "http": {"url": "http://x"}},
}


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({"from": "{{tasks.a.outputs.artifacts.m}}"}, {"name": "n", "path": "/x", "s3": {"key": "k"}}),
        ({"from": "{{ inputs.artifacts.i }}"}, {"name": "n", "path": "/i", "http": {"url": "http://x"}}),
        ({"from": "inputs.artifacts.i"}, {"name": "n", "path": "/i", "http": {"url": "http://x"}}),
        (
            {"from": "{{tasks.a.outputs.artifacts.m}}", "subPath": "d{{tasks.a.outputs.result}}/./e"},
            {"name": "n", "path": "/x", "s3": {"key": "k"}, "subPath": "d7/e"},
        ),
        (
            {"fromExpression": "tasks.a.status == 'Succeeded' ? tasks.a.outputs.artifacts.m : tasks.b.outputs.x.m"},
            {"name": "n", "path": "/x", "s3": {"key": "k"}},
        ),
        ({"raw": {"data": "{{tasks.a.outputs.result}}"}}, {"name": "n", "raw": {"data": "7"}}),
    ],
)
def test_an_artifact_is_handed_on_with_where_it_lies(given: dict[str, Any], want: dict[str, Any]) -> None:
    found = resolve_arguments({"artifacts": [{"name": "n", **given}]}, Known(SCOPE))

    assert found["artifacts"] == [want]


@pytest.mark.parametrize(
    "given",
    [{"from": "{{tasks.b.outputs.artifacts.m}}"}, {"fromExpression": "tasks.b.outputs.artifacts.m"}],
)
def test_an_artifact_that_is_not_there_is_left_out_if_it_may_be(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Unable to resolve"):
        resolve_arguments({"artifacts": [{"name": "n", **given}]}, Known(SCOPE))
    optional = {"artifacts": [{"name": "n", "optional": True, **given}]}
    assert resolve_arguments(optional, Known(SCOPE))["artifacts"] == []


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../../b", "a\0b"])
def test_a_sub_path_never_leads_out(path: str) -> None:
    given = {"name": "n", "from": "{{inputs.artifacts.i}}", "subPath": path}

    with pytest.raises(ConfigError, match="must be a path inside the artifact"):
        resolve_arguments({"artifacts": [given]}, Known(SCOPE))


def test_an_expression_that_gives_no_artifact_is_named() -> None:
    with pytest.raises(ConfigError, match="gives 'Succeeded', not an artifact"):
        resolve_arguments({"artifacts": [{"name": "n", "fromExpression": "tasks.a.status"}]}, Known(SCOPE))


def test_a_step_keeps_its_hooks_and_items_for_later() -> None:
    hooks = {"exit": {"template": "x", "arguments": {"parameters": [{"name": "p", "value": "{{tasks.me.status}}"}]}}}
    step = {"name": "me", "template": "{{tasks.a.outputs.result}}", "hooks": hooks, "withItems": ["{{item}}"]}

    assert resolve_step(step, Known(SCOPE)) == {**step, "template": "7"}
    assert when_text({"when": "{{tasks.a.outputs.result}} > {{item}}"}, Known(SCOPE)) == "7 > {{item}}"
    with pytest.raises(Unresolved):
        when_text({"when": "{{tasks.b.outputs.result}} > 1"}, Known(SCOPE))


# --- properties and cost ---------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.text(alphabet=st.sampled_from(list('{}=ab."\\\n\0é ')), max_size=30),
    st.sampled_from(["{{inputs.parameters.b}}", "{{workflow.name}}", "}}", "{{", "x" * 1_000_000, '{"a": {"b": 1}}']),
)


@given(VALUES, st.text(alphabet=st.sampled_from(list("{}ab \n")), max_size=10))
def test_both_passes_at_once_give_what_they_give_one_after_the_other(value: str, around: str) -> None:
    """The quick way must not differ from the plain one: `whole` is never quick, for its first tag is nested."""
    text = around + "{{workflow.parameters.p}} {{inputs.parameters.a}} {{y}}"
    known = {"workflow.name": "wf", "workflow.parameters.p": value}
    try:
        quick = filled(template("a", args=text), known, a="1").template["container"]["args"][0]
        plain = filled(template("a", args="{{q {{z}}" + text), known, a="1").template["container"]["args"][0]
    except Unresolved:
        return
    if "{{" not in around + value and "}}" not in around + value and not around.endswith("{"):
        assert plain == "{{q {{z}}" + quick


@given(VALUES)
def test_any_argument_arrives_as_it_is_or_filled_in(value: str) -> None:
    try:
        found = filled(template("a", args="{{inputs.parameters.a}}"), a=value)
    except Unresolved:
        return
    assert found.template["container"]["args"] == [found.inputs.parameters["a"]]
    if "{{" not in value:
        assert found.inputs.parameters["a"] == value


def test_what_has_no_tags_is_shared_by_all_that_are_filled() -> None:
    declared = template("a", args="{{inputs.parameters.a}}", volumes=[{"name": "v"}])

    found = [filled(declared, a=str(number)).template for number in range(3)]

    assert [one["container"]["args"] for one in found] == [["0"], ["1"], ["2"]]
    assert all(one["volumes"] is declared["volumes"] for one in found)


def test_an_output_that_is_an_input_is_its_value_and_never_the_name_of_another() -> None:
    declared = [{"name": "o", "globalName": "g", "valueFrom": {"parameter": "{{inputs.parameters.p}}"}},
                {"name": "later", "valueFrom": {"parameter": "{{steps.a.outputs.result}}"}}]  # fmt: skip
    template = {"inputs": {"parameters": [{"name": "p"}]}, "outputs": {"parameters": declared}}
    for value in ("sha256:12", "steps.a.outputs.result", "{{steps.a.outputs.result}}", "{{=1 + 1}}", ""):
        given = {"parameters": [{"name": "p", "value": value}]}

        filled = fill(template, given, Known({}), {}, Catalog())

        steps = {"steps.a.outputs.result": "a secret"}
        assert template_outputs(filled.template, Known(steps)).parameters == {"o": value, "later": "a secret"}
