"""The small languages inside a workflow: tags, depends, loops, retries, names, documents."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.checks.unsupported import unsupported
from pipelines.core.aggregate import ExpandError, aggregated_results
from pipelines.core.depends import DependsError, parse
from pipelines.core.expand import expand, sequence
from pipelines.core.naming import go_json, item_label, member_index, member_name, node_id, pod_name, task_name
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.retry import Again, End, Wait, decide, duration_s, humanize
from pipelines.core.substitute import ABSENT, Unresolved, sole_tag
from pipelines.core.substitute import replace as fill
from pipelines.spec import normalize
from retrain.errors import ConfigError

NOW = datetime(2026, 11, 20, tzinfo=UTC)


# --- names -----------------------------------------------------------------------------------------------------------


def test_ids_are_go_fnv_hashes_of_names() -> None:
    assert node_id("steps-x7k2p", "steps-x7k2p") == "steps-x7k2p"
    assert node_id("", "a") == f"-{0xE40C292C}"  # the published FNV-1a test vector


def test_pod_names_never_outgrow_kubernetes() -> None:
    name = pod_name("w" * 60, "node", "t" * 300)

    assert len(name) == 253
    assert name.endswith(node_id("", "node"))


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("a", "a"),
        (1, "1"),
        (1.0, "1"),
        (9.1, "9.1"),
        (True, "true"),
        (None, "null"),
        ({"tag": "9.1", "image": "debian"}, "image:debian,tag:9.1"),
        (["a", 1], "[a 1]"),
        ("f(x)", "fx"),
    ],
)
def test_members_of_a_loop_are_named_by_their_items(item: Any, label: str) -> None:
    assert item_label(item) == label
    assert member_index(member_name("fan", 12, item)) == 12


@pytest.mark.parametrize("name", ["wf[0].fan", "wf[0].fan(0:a)", "wf[0].fan(0:a)(1)", "wf.fan(3:x.y)(0)[1]"])
def test_the_step_of_a_node_is_read_from_its_name(name: str) -> None:
    assert task_name(name) == "fan"


def test_json_is_written_as_go_writes_it() -> None:
    assert go_json({"b": "<a&b>", "a": 1.0}, sort=True) == '{"a":1,"b":"\\u003ca\\u0026b\\u003e"}'


# --- tags ------------------------------------------------------------------------------------------------------------


def test_tags_are_filled_in_once_and_unknown_ones_stay() -> None:
    known = {"a": "{{b}}", "b": "2"}.get

    assert fill({"{{a}}": ["{{ b }}", "{{x}} {{b}}", 3]}, known) == {"{{b}}": ["2", "{{x}} 2", 3]}


def test_a_strict_word_must_be_known() -> None:
    with pytest.raises(Unresolved, match=r"failed to resolve \{\{steps.a.outputs.result\}\}"):
        fill("{{other}} {{steps.a.outputs.result}}", {}.get, strict=("steps",))


def test_a_skipped_steps_output_inside_a_text_is_an_error() -> None:
    with pytest.raises(Unresolved, match="absent optional"):
        fill("x{{a}}", lambda _tag: ABSENT)


@pytest.mark.parametrize(("text", "tag"), [("{{ a.b }}", "a.b"), ("{{a}}x", None), ("a", None), ("{{a}}{{b}}", None)])
def test_a_text_that_is_one_tag_is_known_for_it(text: str, tag: str | None) -> None:
    assert sole_tag(text) == tag


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_filling_in_never_fails_on_any_text(text: str, known: dict[str, str]) -> None:
    assert isinstance(fill(text, known.get), str)


# --- depends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["Succeeded", "Failed", "Errored", "Skipped", "Omitted"])
def test_a_bare_dependency_wants_success_or_a_skip(result: str) -> None:
    holds = parse("A").holds(lambda _task, asked: asked == result)

    assert holds is (result in ("Succeeded", "Skipped"))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("third", [True, False])
def test_operators_bind_as_in_go(first: bool, second: bool, third: bool) -> None:
    values = {"A": first, "B": second, "C-1": third}
    depends = parse("A.Succeeded || B.Failed && !(C-1.Errored)")

    assert depends.tasks == ("A", "B", "C-1")
    assert depends.holds(lambda task, _result: values[task]) is (first or (second and not third))


@pytest.mark.parametrize("text", ["A &&", "(A", "A B", "A.Foo", "&& A", "A | B", ""])
def test_what_is_no_condition_over_tasks_is_refused(text: str) -> None:
    with pytest.raises(DependsError):
        parse(text)


# --- loops -----------------------------------------------------------------------------------------------------------


def test_each_member_gets_its_item() -> None:
    step = {
        "name": "fan",
        "withItems": [{"lr": 0.1, "net": {"b": 1}}],
        "arguments": "{{item.lr}} {{item.net}} {{item}}",
    }

    (member,) = expand(step, {}.get)

    assert member["name"] == 'fan(0:lr:0.1,net:{"b":1})'
    assert member["arguments"] == '0.1 {"b":1} {"lr":0.1,"net":{"b":1}}'


def test_a_member_must_know_all_its_tags() -> None:
    with pytest.raises(Unresolved, match=r"failed to resolve \{\{item.x\}\}"):
        expand({"name": "fan", "withItems": ["a"], "arguments": "{{item.x}}"}, {}.get)


@pytest.mark.parametrize("text", ["hello", '{"a": 1}', "", "3", "[" * 200 + "]" * 200, "[" * 100_000])
def test_with_param_must_be_a_list(text: str) -> None:
    with pytest.raises(ExpandError, match="withParam value could not be parsed as a JSON list"):
        expand({"name": "fan", "withParam": text}, {}.get)


def test_with_param_of_a_step_that_is_off_is_not_looked_at() -> None:
    assert expand({"name": "fan", "withParam": "{{steps.a.outputs.result}}", "when": "a == b"}, {}.get) == []


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"count": "3"}, ["0", "1", "2"]),
        ({"start": "3", "end": "1"}, ["3", "2", "1"]),
        ({"start": "1", "count": "2", "format": "%03d"}, ["001", "002"]),
        ({"start": "26", "end": "27", "format": "user%02X"}, ["user1A", "user1B"]),
        ({"count": "0"}, []),
    ],
)
def test_sequences_count_as_upstream(spec: dict[str, str], want: list[str]) -> None:
    assert sequence(spec) == want


def test_results_of_a_loop_are_read_as_json() -> None:
    assert aggregated_results([Outputs(result="1"), Outputs(), Outputs(result='{"a": "b"}')]) == '[1,{"a":"b"}]'
    with pytest.raises(ExpandError, match="invalid character 'h'"):
        aggregated_results([Outputs(result="hello")])


# --- retries ---------------------------------------------------------------------------------------------------------


def attempts(count: int, phase: Phase = Phase.Failed, message: str = "") -> list[Node]:
    one = Node("i", "n", "n", "Pod", phase, message=message, started_at=NOW, finished_at=NOW)
    return [replace(one, id=str(index)) for index in range(count)]


def test_a_limit_of_three_is_four_attempts() -> None:
    assert decide({"limit": "3"}, attempts(3), NOW) == Again()
    assert decide({"limit": "3"}, attempts(4), NOW) == End(Phase.Failed, "No more retries left")


@pytest.mark.parametrize(
    ("policy", "phase", "again"),
    [
        (None, Phase.Failed, True),
        (None, Phase.Error, False),
        ("Always", Phase.Error, True),
        ("OnError", Phase.Failed, False),
        ("OnError", Phase.Error, True),
        ("OnFailure", Phase.Error, False),
        ("OnTransientError", Phase.Failed, False),
    ],
)
def test_the_policy_says_what_is_tried_again(policy: str | None, phase: Phase, again: bool) -> None:
    verdict = decide({"retryPolicy": policy} if policy else {}, attempts(1, phase, "why"), NOW)

    assert verdict == (Again() if again else End(phase, "why"))


def test_waits_grow_by_the_factor_and_stop_at_the_cap() -> None:
    backoff = {"duration": "10s", "factor": "2", "cap": "30s"}

    waits = [decide({"limit": "9", "backoff": backoff}, attempts(count), NOW) for count in (1, 2, 3)]

    assert [w.until - NOW for w in waits if isinstance(w, Wait)] == [timedelta(seconds=s) for s in (10, 20, 30)]
    assert isinstance(waits[0], Wait)
    assert waits[0].message == "Backoff for 10 seconds"


def test_there_is_no_wait_without_a_limit() -> None:
    assert decide({"backoff": {"duration": "10s"}}, attempts(1), NOW) == Again()


def test_it_ends_where_the_next_wait_would_pass_the_longest_duration() -> None:
    strategy = {"limit": "9", "backoff": {"duration": "10s", "maxDuration": "5s"}}

    assert decide(strategy, attempts(1), NOW) == End(Phase.Failed, "Backoff would exceed max duration limit")
    assert decide(strategy, attempts(1), NOW + timedelta(seconds=6)) == End(Phase.Failed, "Max duration limit exceeded")


def test_a_factor_of_any_size_stays_a_time() -> None:
    strategy = {"limit": "9999", "backoff": {"duration": "1h", "factor": "1000"}}

    assert isinstance(decide(strategy, attempts(500), NOW), Wait)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("2d", 172800)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(ConfigError, match="unable to parse soon as a duration"):
        duration_s("soon")


def test_durations_are_told_in_words() -> None:
    assert humanize(90061) == "1 day 1 hour"


# --- documents -------------------------------------------------------------------------------------------------------


def document(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"generateName": "x-"}, "spec": spec}


def test_bare_scalars_become_texts() -> None:
    parameters = [{"name": "a", "value": 1}, {"name": "b", "value": True}, {"name": "c", "value": 1.50}]

    found = normalize(document(entrypoint="main", arguments={"parameters": parameters}))

    assert [p["value"] for p in found["spec"]["arguments"]["parameters"]] == ["1", "true", "1.5"]


@pytest.mark.parametrize(
    "spec",
    [
        {"entrypiont": "main"},
        {"templates": [{"name": "main", "steps": [{"name": "not-a-list"}]}]},
        {"templates": [{"name": "main", "container": {"image": "a", "comand": []}}]},
        {"templates": [{"name": "main", "steps": [[{"name": "a", "dependencies": ["b"]}]]}]},
    ],
)
def test_unknown_fields_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        normalize(document(**spec))


@pytest.mark.parametrize("kind", ["Pod", "EventSource", None])
def test_other_kinds_are_refused_by_name(kind: str | None) -> None:
    with pytest.raises(ConfigError, match=f"kind {kind} cannot be run"):
        normalize({**document(), "kind": kind})


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ({"plugin": {"hello": {}}}, "plugin"),
        ({"container": {"image": "a", "volumeDevices": [{"devicePath": "/d"}]}}, "container.volumeDevices"),
        ({"script": {"image": "a", "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}}, "script.lifecycle"),
        ({"container": {"image": "a"}, "sidecars": [{"name": "s", "livenessProbe": {"exec": {}}}]},
         "sidecars.0.livenessProbe"),
        ({"container": {"image": "a", "restartPolicy": "Never"}, "initContainers": [{"name": "i",
          "restartPolicy": "Always"}]}, "initContainers.0.restartPolicy"),
        ({"container": {"image": "a"}, "outputs": {"artifacts": [{"name": "m", "azure": {}}, {"name": "n",
          "azure": {"blob": "b"}}]}}, "outputs.artifacts.1.azure"),
        ({"steps": [[{"name": "a", "inline": {"plugin": {"x": {}}}}]]}, "steps.0.0.inline.plugin"),
    ],
)  # fmt: skip
def test_what_is_not_built_is_named(template: dict[str, Any], path: str) -> None:
    problems = list(unsupported(document(templates=[{"name": "main", **template}])))

    assert [".".join(map(str, p.path[3:])) for p in problems] == [path]
    assert {p.code for p in problems} == {"unsupported-field"}


def test_what_only_speaks_to_a_cluster_is_let_through() -> None:
    template = {"name": "main", "nodeSelector": {"gpu": "a100"}, "tolerations": [{}], "container": {"resources": {}}}

    assert not list(unsupported(document(templates=[template], serviceAccountName="me", podGC={})))
