"""What steps see of each other, what loops make, and what templates give. Research §1.3, §2.6 and §2.8."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core.aggregate import aggregated_parameters, aggregated_results, aggregated_values
from pipelines.core.arguments import resolve_arguments
from pipelines.core.expand import MAX_ITEMS, ExpandError, expand, is_loop
from pipelines.core.nodes import Inputs, Node, Outputs, Phase
from pipelines.core.outputs import constant_parameters, exported, template_outputs
from pipelines.core.scope import Scope
from pipelines.core.substitute import Unresolved, replace
from pipelines.core.supplied import Supplied, check_supplied, defaults, supplied_outputs
from pipelines.core.variables import ABSENT, Known
from retrain.errors import ConfigError

NOW = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)
DECLARED = {
    "outputs": {
        "parameters": [{"name": "p"}, {"name": "d", "valueFrom": {"default": "dv"}}],
        "artifacts": [{"name": "m"}],
    }
}


def node(name: str, phase: Phase = Phase.Succeeded, kind: Any = "Pod", **rest: Any) -> Node:
    return Node(f"wf-{name}", name, name, kind, phase, started_at=NOW, finished_at=NOW, **rest)


def scope(prefix: str = "tasks", **nodes: tuple[Node, Sequence[Node] | None]) -> Scope:
    given = Inputs({"x": "1"}, ({"name": "i", "raw": {"data": ""}},))
    return Scope(prefix, nodes.get, lambda _name: DECLARED, Known({"workflow.name": "wf"}), given, lambda: nodes)


def loop(*members: Node) -> tuple[Node, Sequence[Node]]:
    return node("wf.fan", kind="TaskGroup"), members


def member(index: int, phase: Phase = Phase.Succeeded, **outputs: Any) -> Node:
    return node(f"wf.fan({index}:x)", phase, outputs=Outputs(**outputs))


# --- one step --------------------------------------------------------------------------------------------------------


def test_a_step_is_seen_with_all_that_is_known_of_it() -> None:
    one = node("wf.a", pod_ip="10.0.0.1", outputs=Outputs({"p": "v", "none": None}, "out", "0", ({"name": "m"},)))

    found = {name: scope(a=(one, None))(f"tasks.a.{name}") for name in (
        "id", "status", "startedAt", "finishedAt", "ip", "exitCode", "hostNodeName", "outputs.result",
        "outputs.parameters.p", "outputs.parameters.none", "outputs.artifacts.m", "nothing",
    )}  # fmt: skip

    assert found == {
        "id": "wf-wf.a", "status": "Succeeded", "startedAt": "2026-11-20T01:02:03Z", "ip": "10.0.0.1",
        "finishedAt": "2026-11-20T01:02:03Z", "exitCode": "0", "hostNodeName": "localhost", "outputs.result": "out",
        "outputs.parameters.p": "v", "outputs.parameters.none": None, "outputs.artifacts.m": None, "nothing": None,
    }  # fmt: skip
    assert scope(a=(one, None)).artifact("tasks.a.outputs.artifacts.m") == {"name": "m"}


def test_a_scope_sees_inputs_and_the_workflow_too_and_nothing_of_others() -> None:
    found = scope()

    assert (found("inputs.parameters.x"), found("workflow.name")) == ("1", "wf")
    assert found.artifact("inputs.artifacts.i") == {"name": "i", "raw": {"data": ""}}
    assert found("tasks.b.status") is None
    assert found("steps.b.status") is None


@pytest.mark.parametrize("phase", [Phase.Skipped, Phase.Omitted])
def test_a_skipped_step_gives_its_declared_defaults_and_else_nothing(phase: Phase) -> None:
    one = scope(a=(node("wf.a", phase, "Skipped"), None))

    assert one("tasks.a.outputs.parameters.d") == "dv"
    assert one("tasks.a.outputs.parameters.p") is ABSENT
    assert one("tasks.a.outputs.parameters.unknown") is None
    assert replace("{{=tasks.a.outputs.parameters.p ?? 'x'}}", one, strict=("tasks",)) == "x"


def test_an_artifact_of_a_skipped_step_lies_nowhere_in_steps_and_is_not_there_in_a_dag() -> None:
    skipped = (node("wf.a", Phase.Skipped, "Skipped"), None)
    arguments = {"artifacts": [{"name": "n", "from": "{{steps.a.outputs.artifacts.m}}"}]}

    assert resolve_arguments(arguments, scope("steps", a=skipped))["artifacts"] == [{"name": "n"}]
    assert scope("tasks", a=skipped).artifact("tasks.a.outputs.artifacts.m") is None
    assert scope("steps", a=skipped).artifact("steps.a.outputs.artifacts.unknown") is None


def test_an_expression_may_read_all_steps_as_a_whole() -> None:
    one = scope(a=(node("wf.a", outputs=Outputs({"p": "v"}, artifacts=({"name": "m", "s3": {"key": "k"}},))), None))

    assert replace("{{=tasks['a'].outputs.parameters}}", one) == '{"p":"v"}'
    assert replace("{{=tasks.a.outputs.artifacts.m.s3.key}}", one) == "k"
    assert json.loads(replace("{{=toJson(tasks)}}", one))["a"]["status"] == "Succeeded"
    assert replace("{{=keys(tasks)}}", one) == '["a"]'


# --- loops, read -----------------------------------------------------------------------------------------------------


def test_members_are_joined_by_index_and_only_those_that_succeeded() -> None:
    found = scope(
        fan=loop(
            member(10, parameters={"p": "k"}, result='{"b":1,"a":2.0}'),
            member(2, parameters={"p": "c"}, result="1.50"),
            member(1, Phase.Failed, parameters={"p": "b"}, result="no json"),
            node("wf.fan(2:x).onExit", hooked=True),
        )
    )

    assert found("tasks.fan.outputs.result") == '[1.50,{"b":1,"a":2.0}]'
    assert found("tasks.fan.outputs.parameters") == '[{"p":"c"},{"p":"k"}]'
    assert found("tasks.fan.outputs.parameters.p") == '["c","k"]'
    assert found("tasks.fan.status") == "Succeeded"
    assert replace("{{=len(fromJSON(tasks.fan.outputs.result))}}", found) == "2"


def test_a_result_that_is_no_json_is_an_error_only_where_it_is_read() -> None:
    found = scope(fan=loop(member(0, result="hello", parameters={"p": "1"})))

    assert found("tasks.fan.outputs.parameters.p") == '["1"]'
    with pytest.raises(ExpandError, match="invalid character 'h' looking for beginning of value"):
        found("tasks.fan.outputs.result")


def test_artifacts_of_a_loop_are_one_with_a_part_for_each() -> None:
    artifacts = [({"name": "m", "path": "/m", "s3": {"key": str(k)}, "globalName": "g"},) for k in range(3)]
    found = scope(fan=loop(*(member(k, artifacts=artifacts[k]) for k in (2, 0)), member(1, Phase.Failed)))

    assert found.artifact("tasks.fan.outputs.artifacts.m") == {
        "name": "m",
        "retrain": {"parts": [{"name": "0", "s3": {"key": "0"}}, {"name": "2", "s3": {"key": "2"}}]},
    }
    assert found.artifact("tasks.fan.outputs.artifacts.n") is None


@pytest.mark.parametrize(
    ("values", "want"),
    [(["NaN"], '["NaN"]'), (["[NaN]"], '["[NaN]"]'), (['{"b":1,"a":"<"}'], '[{"a":"\\u003c","b":1}]'), ([], "[]")],
)
def test_values_of_a_loop_are_read_as_json_only_if_all_are_maps_or_lists(values: list[str], want: str) -> None:
    assert aggregated_values(values) == want


@given(st.lists(st.text(max_size=20), max_size=5))
def test_whatever_a_loop_gives_is_a_list_that_can_be_read_again(values: list[str]) -> None:
    outputs = [Outputs({"p": value}, json.dumps(value)) for value in values]

    assert json.loads(aggregated_values(values)) is not None
    assert [one["p"] for one in json.loads(aggregated_parameters(outputs))] == [_readable(value) for value in values]
    assert json.loads(aggregated_results(outputs)) == [_readable(value) for value in values]


def _readable(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


# --- loops, made -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "name", "text"),
    [
        (0.00001, "0.00001", "0.00001"),
        (1e-7, "1e-7", "1e-7"),
        (1.0, "1", "1"),
        (True, "true", "true"),
        (None, "null", "null"),
        ({"b": 1, "a": {"d": 0.5, "c": 2}}, 'a:{"c":2,"d":0.5},b:1', '{"a":{"c":2,"d":0.5},"b":1}'),
        (["a", {"b": [1]}], '[a {"b":[1]}]', '["a",{"b":[1]}]'),
        ("a (b)\nc", "a b c", "a (b)\nc"),
    ],
)
def test_an_item_of_yaml_is_named_and_read_as_go_does(item: Any, name: str, text: str) -> None:
    (one,) = expand({"name": "fan", "withItems": [item], "arguments": "{{item}}"}, Known({}))

    assert (one["name"], one["arguments"]) == (f"fan(0:{name})", text)


def test_an_item_of_json_keeps_its_numbers_and_keys_as_written() -> None:
    listed = '[1.0, 1e5, {"b": {"z": 1.50, "a": 2}, "a": 1}, "x\\ny"]'

    found = expand({"name": "f", "withParam": listed, "arguments": "{{item}}"}, Known({}))

    assert [one["arguments"] for one in found] == ["1.0", "1e5", '{"a":1,"b":{"z":1.50,"a":2}}', "x\ny"]


def test_expressions_see_the_item_and_its_keys() -> None:
    step = {
        "name": "f",
        "withItems": [{"lr": 0.1, "n": "a"}],
        "arguments": "{{=asFloat(item.lr) * 2}} {{=workflow.name + item.n}}",
        "hooks": {"exit": {"arguments": "{{item.n}} {{tasks.me.status}}"}},
    }

    (one,) = expand(step, Known({"workflow.name": "wf"}))

    assert one["arguments"] == "0.2 wfa"
    assert one["hooks"]["exit"]["arguments"] == "a {{tasks.me.status}}"


def test_an_empty_list_of_items_is_no_loop() -> None:
    assert not is_loop({"name": "f", "withItems": []})
    assert expand({"name": "f", "withItems": []}, Known({})) == [{"name": "f"}]
    assert expand({"name": "f", "withParam": "[]"}, Known({})) == []
    assert expand({"name": "f", "withParam": "null"}, Known({})) == []


@pytest.mark.parametrize(
    "step",
    [
        {"withParam": "[" + "0," * MAX_ITEMS + "0]"},
        {"withSequence": {"count": "1000000"}},
        {"withSequence": {"start": "0", "end": "-999999999999"}},
        {"withItems": [0] * (MAX_ITEMS + 1)},
    ],
    ids=["withParam", "count", "end", "withItems"],
)
def test_a_loop_without_end_is_refused(step: dict[str, Any]) -> None:
    with pytest.raises(ExpandError, match=r"has \d+ items, the limit is 100000"):
        expand({"name": "f", **step}, Known({}))


def test_a_step_that_is_off_needs_no_sense() -> None:
    step = {"name": "f", "when": "a == b", "arguments": "{{tasks.x.outputs.parameters.p}} {{item}} {{absent}}"}

    (one,) = expand({**step, "withItems": ["i"]}, Known({"absent": None}))

    assert one["arguments"] == "{{tasks.x.outputs.parameters.p}} i {{absent}}"
    assert expand({**step, "withSequence": {"count": "many"}}, Known({})) == []


@given(st.lists(st.text(max_size=30), max_size=8))
def test_every_item_arrives_as_it_is(items: list[str]) -> None:
    found = expand({"name": "f", "withParam": json.dumps(items), "arguments": "{{item}}"}, Known({}))

    assert [one["arguments"] for one in found] == items
    assert len({one["name"] for one in found}) == len(items)


# --- outputs ---------------------------------------------------------------------------------------------------------


def outputs_of(parameters: Sequence[Mapping[str, Any]] = (), artifacts: Sequence[Mapping[str, Any]] = ()) -> Outputs:
    ran = node("wf.a", outputs=Outputs({"p": "3"}, artifacts=({"name": "m", "path": "/m", "s3": {"key": "k"}},)))
    found = scope(a=(ran, None), off=(node("wf.off", Phase.Skipped, "Skipped"), None))
    return template_outputs({"outputs": {"parameters": parameters, "artifacts": artifacts}}, found)


@pytest.mark.parametrize(
    ("source", "want"),
    [
        ({"parameter": "{{tasks.a.outputs.parameters.p}}"}, "3"),
        ({"parameter": "tasks.a.outputs.parameters.p"}, "3"),
        ({"parameter": "{{tasks.gone.outputs.parameters.p}}", "default": "d"}, "d"),
        ({"parameter": "{{tasks.off.outputs.parameters.p}}", "default": "d"}, "d"),
        ({"parameter": "{{tasks.off.outputs.parameters.d}}", "default": "own"}, "dv"),
        ({"expression": "asInt(tasks.a.outputs.parameters.p) + 1"}, "4"),
        ({"expression": "tasks.off.outputs.parameters.p ?? 'none'"}, "none"),
        ({"expression": "tasks.gone.outputs.result", "default": "d"}, "d"),
        ({"expression": "tasks.a.status == 'Failed' ? 'no' : inputs.parameters.x"}, "1"),
    ],
)
def test_outputs_come_from_steps_by_name_or_expression(source: dict[str, str], want: str) -> None:
    assert outputs_of([{"name": "o", "valueFrom": source}]).parameters == {"o": want}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"parameter": "{{tasks.off.outputs.parameters.p}}"}, "is an absent optional"),
        ({"parameter": "{{tasks.gone.outputs.parameters.p}}"}, "Unable to resolve"),
        ({"expression": "tasks.gone.outputs.result"}, "failed to evaluate expression"),
        ({"expression": "tasks.off.outputs.parameters.p"}, "failed to evaluate expression"),
    ],
)
def test_an_output_that_nobody_gave_is_an_error(source: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        outputs_of([{"name": "o", "valueFrom": source}])


def test_artifacts_are_handed_out_and_optional_ones_may_be_missing() -> None:
    gone = {"from": "{{tasks.gone.outputs.artifacts.m}}"}
    given = [{"name": "o", "from": "{{tasks.a.outputs.artifacts.m}}"}, {"name": "n", "optional": True, **gone}]

    assert outputs_of(artifacts=given).artifacts == ({"name": "o", "path": "/m", "s3": {"key": "k"}},)
    with pytest.raises(ConfigError, match="unable to resolve outputs from scope"):
        outputs_of(artifacts=[{"name": "n", **gone}])


def test_what_has_a_global_name_is_exported_under_it() -> None:
    template = {
        "outputs": {
            "parameters": [{"name": "p", "globalName": "gp"}, {"name": "q", "globalName": "gq"}],
            "artifacts": [{"name": "m", "globalName": "gm"}, {"name": "n"}],
        }
    }
    gave = Outputs({"p": "1", "q": None}, artifacts=({"name": "m", "path": "/m", "s3": {"key": "k"}}, {"name": "n"}))

    assert exported(template, gave) == ({"gp": "1"}, {"gm": {"name": "gm", "s3": {"key": "k"}}})


def test_an_output_with_a_value_needs_no_file() -> None:
    declared = [{"name": "v", "value": "1"}, {"name": "f", "valueFrom": {"path": "/f"}}, {"name": "n"}]

    assert constant_parameters({"outputs": {"parameters": declared}}) == {"v": "1"}
    assert constant_parameters({}) == {}


def test_a_suspended_template_waits_for_what_is_supplied() -> None:
    template = {
        "inputs": {"parameters": [{"name": "approve", "default": "NO", "enum": ["YES", "NO"]}]},
        "outputs": {
            "parameters": [
                {"name": "approve", "valueFrom": {"supplied": {}}},
                {"name": "why", "valueFrom": {"supplied": {}, "default": "none"}},
                {"name": "who", "valueFrom": {"supplied": {}}},
            ]
        },
    }

    found = supplied_outputs(template, Inputs({"approve": "NO"}))

    assert found == (Supplied("approve", "NO", ("YES", "NO")), Supplied("why", "none"), Supplied("who"))
    assert defaults(found, {"approve": "YES"}) == {"approve": "YES", "why": "none", "who": None}
    with pytest.raises(ConfigError, match="must be one of YES, NO"):
        check_supplied(found, {"approve": "MAYBE"})
    with pytest.raises(ConfigError, match="not expecting output parameter 'x'"):
        check_supplied(found, {"x": "1"})
    check_supplied(found, {"approve": "YES", "who": "me"})


def test_a_loop_read_before_it_is_there_is_an_error() -> None:
    with pytest.raises(Unresolved):
        replace("{{tasks.gone.outputs.result}}", scope(), strict=("tasks",))
