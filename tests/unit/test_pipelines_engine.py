"""The engine with answers instead of processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.engine import Decision, Run, begin, restore, status, step, unfinished
from pipelines.core.happenings import Started, Stop, Task, TaskResult, Tick
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import fail, rehearse, succeed
from retrain.errors import ConfigError

T = datetime(2026, 11, 20, tzinfo=UTC)
ECHO: dict[str, Any] = {
    "name": "echo",
    "inputs": {"parameters": [{"name": "m", "default": "hi"}]},
    "container": {"image": "busybox", "command": ["echo", "{{inputs.parameters.m}}"]},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}}]},
}


def workflow(*templates: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "w-"},
        "spec": {"entrypoint": "main", "templates": [*templates, ECHO], **spec},
    }


def steps(*groups: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": "main", "steps": [[{"template": "echo", **one} for one in group] for group in groups], **more}


def dag(*tasks: dict[str, Any], fail_fast: bool | None = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"tasks": [{"template": "echo", **task} for task in tasks]}
    return {"name": "main", "dag": body | ({} if fail_fast is None else {"failFast": fail_fast}), **more}


def m(value: str) -> dict[str, Any]:
    return {"parameters": [{"name": "m", "value": value}]}


def start(manifest: dict[str, Any], catalog: Catalog | None = None) -> Run:
    return begin(manifest, name="w", uid="u", created=T, templates=catalog or Catalog())


def answers(table: Mapping[str, Any]) -> Callable[[Task], TaskResult]:
    """By node name: an exit code, or fields of the result."""

    def answer(task: Task) -> TaskResult:
        found = table.get(task.node_name, 0)
        if isinstance(found, dict):
            return replace(succeed(task), **found)
        return fail(task, found) if found else succeed(task)

    return answer


def play(manifest: dict[str, Any], table: Mapping[str, Any] | None = None, catalog: Catalog | None = None) -> Decision:
    return rehearse(start(manifest, catalog), answers(table or {}), now=T)


def nodes(decision: Decision) -> dict[str, Node]:
    return {node.name: node for node in decision.run.nodes.values()}


def children(decision: Decision, name: str) -> list[str]:
    run = decision.run
    return [run.nodes[child].name for child in run.children.get(nodes(decision)[name].id, ())]


def phases(decision: Decision) -> dict[str, str]:
    return {name: str(node.phase) for name, node in nodes(decision).items()}


# --- leaves and steps ------------------------------------------------------------------------------------------------


def test_one_container_is_the_root_and_gets_its_arguments() -> None:
    leaf = {**ECHO, "name": "main"}
    run = start(workflow(leaf, arguments=m("{{workflow.name}}!")))

    decision = step(run, [], T)

    (task,) = decision.start
    assert (task.node_id, task.pod_name, task.inputs.parameters) == ("w", "w", {"m": "w!"})
    assert task.template["container"]["command"] == ["echo", "w!"]
    assert decision.run.nodes["w"].phase is Phase.Pending


def test_a_started_task_runs_and_a_second_report_changes_nothing() -> None:
    decision = step(start(workflow({**ECHO, "name": "main"})), [], T)
    (task,) = decision.start

    running = step(decision.run, [Started(task.node_id, T)], T).run.nodes["w"].phase
    ended = step(decision.run, [succeed(task)], T)
    again = step(ended.run, [fail(task)], T)

    assert running is Phase.Running
    assert (ended.phase, again.phase) == (Phase.Succeeded, Phase.Succeeded)
    assert again.changed == ()


def test_steps_run_group_by_group_and_outputs_flow() -> None:
    manifest = workflow(steps([{"name": "a"}], [{"name": "b", "arguments": m("<{{steps.a.outputs.parameters.o}}>")}]))

    decision = play(manifest, {"w[0].a": {"parameters": {"o": "1"}}})

    found = nodes(decision)
    assert list(found) == ["w", "w[0]", "w[0].a", "w[1]", "w[1].b"]
    assert found["w[1].b"].inputs.parameters == {"m": "<1>"}
    assert children(decision, "w[0].a") == ["w[1]"]


def test_a_failed_member_fails_its_group_and_the_whole_after_all_members_ended() -> None:
    decision = play(workflow(steps([{"name": "a"}, {"name": "b"}], [{"name": "c"}])), {"w[0].a": 3})

    child = nodes(decision)["w[0].a"].id
    assert (decision.phase, decision.message) == (Phase.Failed, f"child '{child}' failed")
    assert phases(decision) == {
        "w": "Failed", "w[0]": "Failed", "w[0].a": "Failed", "w[0].b": "Succeeded"
    }  # fmt: skip


def test_continue_on_lets_a_failure_pass() -> None:
    manifest = workflow(steps([{"name": "a", "continueOn": {"failed": True}}], [{"name": "b"}]))

    assert play(manifest, {"w[0].a": 1}).phase is Phase.Succeeded


def test_an_error_is_not_a_failure_to_continue_on() -> None:
    manifest = workflow(steps([{"name": "a", "continueOn": {"failed": True}}]))

    decision = play(manifest, {"w[0].a": {"phase": Phase.Error, "message": "no image"}})

    assert (decision.phase, phases(decision)["w[0].a"]) == (Phase.Failed, "Error")


def test_when_skips_and_arguments_of_a_skipped_step_do_not_matter() -> None:
    late = {"name": "b", "when": "{{steps.a.status}} != Succeeded", "arguments": m("{{steps.a.outputs.parameters.o}}")}
    decision = play(workflow(steps([{"name": "a"}], [late])))

    node = nodes(decision)["w[1].b"]
    assert (decision.phase, node.type, node.phase) == (Phase.Succeeded, "Skipped", Phase.Skipped)
    assert node.message == "when 'Succeeded != Succeeded' evaluated false"


def test_an_output_that_nobody_gave_fails_fast_instead_of_waiting_for_ever() -> None:
    manifest = workflow(steps([{"name": "a"}], [{"name": "b", "arguments": m("x{{steps.a.outputs.parameters.o}}")}]))

    decision = play(manifest, {"w[0].a": {}})

    assert decision.phase is Phase.Failed
    assert "failed to resolve {{steps.a.outputs.parameters.o}}" in decision.message


def test_an_empty_list_is_one_skipped_node() -> None:
    manifest = workflow(steps([{"name": "a", "withParam": "[]"}]))

    node = nodes(play(manifest))["w[0].a"]

    assert (node.type, node.phase, node.message) == ("Skipped", Phase.Skipped, "Skipped, empty params")


def test_result_and_exit_code_are_read() -> None:
    reader = {"name": "b", "arguments": m("{{steps.a.outputs.result}}/{{steps.a.exitCode}}")}
    decision = play(
        workflow(steps([{"name": "a"}], [reader])), {"w[0].a": {"result": "42"}, "w[1].b": {"result": "no"}}
    )

    assert nodes(decision)["w[1].b"].inputs.parameters == {"m": "42/0"}
    assert nodes(decision)["w[1].b"].outputs.result is None  # nobody reads it


def test_a_bad_condition_is_an_error_of_its_group() -> None:
    decision = play(workflow(steps([{"name": "a", "when": "my-app == x"}])))

    assert phases(decision)["w[0]"] == "Error"
    assert decision.phase is Phase.Failed


# --- fan-out ---------------------------------------------------------------------------------------------------------


def test_members_are_named_by_index_and_item_and_outputs_come_together_in_order() -> None:
    fan = {"name": "f", "withItems": ["a", {"y": 2, "x": "1"}], "arguments": m("{{item}}")}
    join = {"name": "j", "arguments": m("{{steps.f.outputs.parameters.o}} {{steps.f.outputs.parameters}}")}
    table = {"w[0].f(0:a)": {"parameters": {"o": "p"}}, "w[0].f(1:x:1,y:2)": {"parameters": {"o": "q"}}}

    found = nodes(play(workflow(steps([fan], [join])), table))

    assert found["w[0].f(1:x:1,y:2)"].inputs.parameters == {"m": '{"x":"1","y":2}'}
    assert found["w[1].j"].inputs.parameters == {"m": '["p","q"] [{"o":"p"},{"o":"q"}]'}


def test_only_succeeded_members_are_joined() -> None:
    fan = {"name": "f", "withItems": [1, 2], "continueOn": {"failed": True}}
    join = {"name": "j", "arguments": m("{{steps.f.outputs.parameters.o}}")}
    table = {"w[0].f(0:1)": 1, "w[0].f(1:2)": {"parameters": {"o": "q"}}}

    assert nodes(play(workflow(steps([fan], [join])), table))["w[1].j"].inputs.parameters == {"m": '["q"]'}


def test_a_dag_fans_out_under_a_task_group() -> None:
    manifest = workflow(dag({"name": "f", "withItems": ["a", "b"]}, {"name": "j", "depends": "f.AnySucceeded"}))

    decision = play(manifest, {"w.f(0:a)": 1})

    found = nodes(decision)
    assert (found["w.f"].type, found["w.f"].phase) == ("TaskGroup", Phase.Failed)
    assert children(decision, "w.f") == ["w.f(0:a)", "w.f(1:b)"]
    assert found["w.j"].phase is Phase.Succeeded
    assert "w.j" in children(decision, "w.f(1:b)")


def test_all_failed_wants_every_member_to_have_failed() -> None:
    manifest = workflow(dag({"name": "f", "withItems": ["a", "b"]}, {"name": "j", "depends": "f.AllFailed"}))

    assert phases(play(manifest, {"w.f(0:a)": 1}))["w.j"] == "Omitted"
    assert phases(play(manifest, {"w.f(0:a)": 1, "w.f(1:b)": 1}))["w.j"] == "Succeeded"


def test_parallelism_of_the_workflow_bounds_its_pods() -> None:
    manifest = workflow(steps([{"name": "f", "withSequence": {"count": "5"}}]), parallelism=2)
    decision = step(start(manifest), [], T)
    seen = [len(decision.start)]

    for _ in range(4):
        running = unfinished(decision.run)
        decision = step(decision.run, [succeed(running[0])], T)
        seen.append(len(decision.start))

    assert seen == [2, 1, 1, 1, 0]


def test_parallelism_of_a_template_bounds_its_children() -> None:
    manifest = workflow(dag(*({"name": f"t{i}"} for i in range(4)), parallelism=1))

    decision = step(start(manifest), [], T)

    assert len(decision.start) == 1
    assert rehearse(decision.run, now=T).phase is Phase.Running  # its first task was given to nobody
    assert play(manifest).phase is Phase.Succeeded


def test_parallelism_counts_the_attempts_of_retried_members() -> None:
    fan = {"name": "f", "template": "flaky", "withItems": [1, 2, 3]}
    manifest = workflow(steps([fan], parallelism=1), retried(limit=1))
    most = 0

    def watch(decision: Decision) -> Run:
        nonlocal most
        most = max(most, len(unfinished(decision.run)))
        return decision.run

    decision = rehearse(start(manifest), answers({"w[0].f(0:1)(0)": 1}), now=T, after=watch)

    assert (decision.phase, most) == (Phase.Succeeded, 1)


def test_template_fail_fast_starts_nothing_more() -> None:
    fan = {"name": "f", "withItems": [1, 2, 3]}
    decision = play(workflow(steps([fan], parallelism=1, failFast=True)), {"w[0].f(0:1)": 1})

    assert decision.message == "template has failed or errored children and failFast enabled"
    assert "w[0].f(1:2)" not in phases(decision)


# --- dag -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depends", "code", "b", "whole"),
    [
        ("A", 0, "Succeeded", "Succeeded"),
        ("A", 1, "Omitted", "Failed"),
        ("A.Failed", 1, "Succeeded", "Succeeded"),
        ("A.Failed", 0, "Omitted", "Succeeded"),
        ("A.Succeeded || A.Failed", 1, "Succeeded", "Succeeded"),
        ("!A.Succeeded", 1, "Succeeded", "Succeeded"),
    ],
)
def test_depends_decides_and_an_omitted_task_passes_on_its_branch(depends: str, code: int, b: str, whole: str) -> None:
    decision = play(workflow(dag({"name": "A"}, {"name": "B", "depends": depends})), {"w.A": code})

    assert (phases(decision)["w.B"], decision.phase) == (b, whole)


def test_a_skip_lets_bare_dependents_run_and_an_omission_does_not() -> None:
    off = {"name": "B", "dependencies": ["A"], "when": "a == b"}
    skipped = play(workflow(dag({"name": "A"}, off, {"name": "C", "dependencies": ["B"]})))
    omitted = play(workflow(dag({"name": "A"}, {"name": "B", "depends": "A.Failed"}, {"name": "C", "depends": "B"})))

    assert (phases(skipped)["w.B"], phases(skipped)["w.C"]) == ("Skipped", "Succeeded")
    assert (phases(omitted)["w.B"], phases(omitted)["w.C"]) == ("Omitted", "Omitted")
    assert nodes(omitted)["w.C"].message == "omitted: depends condition not met"


def test_fail_fast_kills_nothing_that_runs() -> None:
    manifest = workflow(dag({"name": "A"}, {"name": "B"}, {"name": "C", "dependencies": ["B"]}))

    decision = play(manifest, {"w.A": 1})

    assert phases(decision)["w.C"] == "Succeeded"
    assert decision.phase is Phase.Failed


def test_continue_on_of_a_task_lets_dependents_and_the_dag_go_on() -> None:
    on = {"continueOn": {"failed": True}}
    manifest = workflow(dag({"name": "A", **on}, {"name": "B", "dependencies": ["A"]}, {"name": "L", **on}))

    decision = play(manifest, {"w.A": 1, "w.L": 1})

    assert (phases(decision)["w.B"], decision.phase) == ("Succeeded", Phase.Succeeded)


def test_only_what_the_targets_need_runs() -> None:
    template = dag({"name": "A"}, {"name": "B", "dependencies": ["A"]}, {"name": "C"})
    template["dag"]["target"] = "B"

    assert set(phases(play(workflow(template)))) == {"w", "w.A", "w.B"}


def test_a_dag_gives_outputs_only_when_it_succeeded() -> None:
    outputs = {"parameters": [{"name": "best", "valueFrom": {"parameter": "{{tasks.A.outputs.parameters.o}}"}}]}
    manifest = workflow(dag({"name": "A"}, {"name": "B"}, outputs=outputs))
    good = {"w.A": {"parameters": {"o": "0.97"}}}

    assert nodes(play(manifest, good))["w"].outputs.parameters == {"best": "0.97"}
    assert play(manifest, good).outputs == {"best": "0.97"}
    assert nodes(play(manifest, {**good, "w.B": 1}))["w"].outputs.parameters == {}


def test_a_missing_output_of_the_entry_is_an_error_of_the_workflow() -> None:
    outputs = {"parameters": [{"name": "best", "valueFrom": {"parameter": "{{tasks.A.outputs.parameters.o}}"}}]}

    decision = play(workflow(dag({"name": "A"}, outputs=outputs)))

    assert decision.phase is Phase.Error
    assert decision.message.startswith("error in entry template execution: Unable to resolve")


def test_a_skipped_producers_output_falls_back_to_defaults() -> None:
    producer = {"name": "P", "when": "a == b"}
    given = {"name": "C", "dependencies": ["P"], "arguments": m("{{tasks.P.outputs.parameters.o}}")}
    inside = {"name": "D", "dependencies": ["P"], "arguments": m("x{{tasks.P.outputs.parameters.o}}")}

    decision = play(workflow(dag(producer, given, inside)))

    assert nodes(decision)["w.C"].inputs.parameters == {"m": "hi"}
    assert phases(decision)["w.D"] == "Error"


# --- retries ---------------------------------------------------------------------------------------------------------


def retried(**strategy: Any) -> dict[str, Any]:
    return {**ECHO, "name": "flaky", "retryStrategy": strategy}


def test_attempts_are_children_and_a_limit_of_three_is_four_of_them() -> None:
    manifest = workflow(steps([{"name": "a", "template": "flaky"}]), retried(limit=3))

    decision = play(manifest, {f"w[0].a({i})": 1 for i in range(9)})

    found = nodes(decision)
    assert [nodes(decision)[f"w[0].a({i})"].display_name for i in range(4)] == ["a(0)", "a(1)", "a(2)", "a(3)"]
    assert "w[0].a(4)" not in found
    assert (found["w[0].a"].type, found["w[0].a"].message) == ("Retry", "No more retries left")
    assert found["w[0].a(1)"].to_argo()["nodeFlag"] == {"retried": True}


def test_a_later_attempt_that_succeeds_gives_the_outputs_and_knows_the_last() -> None:
    flaky = retried(limit=3)
    flaky["container"] = {"image": "a", "command": ["x", "{{retries}} {{lastRetry.exitCode}} {{lastRetry.status}}"]}
    seen: list[str] = []

    def answer(task: Task) -> TaskResult:
        seen.append(task.template["container"]["command"][1])
        return fail(task, 7) if len(seen) < 3 else replace(succeed(task), parameters={"o": "won"})

    run = start(workflow(steps([{"name": "a", "template": "flaky"}], [{"name": "b", "arguments": m(
        "{{steps.a.outputs.parameters.o}}")}]), flaky))  # fmt: skip
    decision = rehearse(run, answer, now=T)

    assert seen[:3] == ["0 0 ", "1 7 Failed", "2 7 Failed"]
    assert nodes(decision)["w[1].b"].inputs.parameters == {"m": "won"}
    assert "w[1]" in children(decision, "w[0].a(2)")


def test_backoff_waits_by_asking_to_be_woken() -> None:
    run = start(workflow({**retried(limit=1, backoff={"duration": "10s"}), "name": "main"}))
    first = step(run, [], T)

    waiting = step(first.run, [replace(fail(first.start[0]), finished_at=T)], T)
    said = run.nodes["w"].message
    early = step(waiting.run, [Tick()], T + timedelta(seconds=9))
    late = step(early.run, [Tick()], T + timedelta(seconds=10))

    assert (waiting.start, waiting.wake_at) == ((), T + timedelta(seconds=10))
    assert said == "Backoff for 10 seconds"
    assert early.start == ()
    assert [task.node_name for task in late.start] == ["w(1)"]


def test_template_defaults_retry_even_the_entry() -> None:
    manifest = workflow(steps([{"name": "a"}]), templateDefaults={"retryStrategy": {"limit": "1"}})

    assert {"w", "w(0)", "w(0)[0]", "w(0)[0].a", "w(0)[0].a(0)"} == set(phases(play(manifest)))


# --- limits, stops, exits --------------------------------------------------------------------------------------------


def test_a_leafs_nearest_deadline_goes_to_the_executor() -> None:
    leaf = {**ECHO, "name": "main", "timeout": "1m", "activeDeadlineSeconds": 30}

    assert step(start(workflow(leaf)), [], T).start[0].deadline_s == 30


def test_the_deadline_of_the_workflow_stops_what_runs() -> None:
    run = start(workflow(steps([{"name": "a"}], [{"name": "b"}]), activeDeadlineSeconds=5))
    first = step(run, [], T)

    late = step(first.run, [Tick()], T + timedelta(seconds=5))

    assert first.wake_at == T + timedelta(seconds=5)
    assert late.stop == (first.start[0].node_id,)
    assert late.phase is Phase.Failed
    assert nodes(late)["w[0].a"].message == "Step exceeded its deadline"


@pytest.mark.parametrize(("strategy", "exits"), [("Stop", True), ("Terminate", False)])
def test_a_stop_ends_the_run_with_or_without_its_exit_handler(strategy: Any, exits: bool) -> None:
    bye = {**ECHO, "name": "bye"}
    first = step(start(workflow(dag({"name": "a"}), bye, onExit="bye")), [], T)

    stopped = step(first.run, [Stop(strategy)], T)
    end = rehearse(stopped.run, now=T) if not exits else step(stopped.run, [succeed(stopped.start[0])], T)

    assert stopped.stop == (first.start[0].node_id,)
    assert ("w.onExit" in phases(end)) is exits
    assert (end.phase, end.message) == (Phase.Failed, f"Stopped with strategy '{strategy}'")


def test_the_exit_handler_sees_the_status_and_can_fail_a_good_run() -> None:
    bye = {**ECHO, "name": "bye", "container": {"image": "a", "command": ["{{workflow.status}}"]}}
    manifest = workflow(steps([{"name": "a"}]), bye, onExit="bye")
    seen: list[Any] = []

    def answer(task: Task) -> TaskResult:
        seen.append(task.template["container"]["command"])
        return fail(task) if task.node_name == "w.onExit" else succeed(task)

    decision = rehearse(start(manifest), answer, now=T)

    assert seen[-1] == ["Succeeded"]
    assert (decision.phase, decision.message) == (Phase.Failed, "main: Error (exit code 1)")
    assert phases(decision)["w"] == "Succeeded"


def test_a_task_waits_for_the_exit_hook_of_its_dependency() -> None:
    hook = {"exit": {"template": "echo", "arguments": m("{{tasks.A.outputs.parameters.o}}")}}
    manifest = workflow(dag({"name": "A", "hooks": hook}, {"name": "B", "dependencies": ["A"]}))
    order: list[str] = []

    def answer(task: Task) -> TaskResult:
        order.append(task.node_name)
        return replace(succeed(task), parameters={"o": "7"})

    decision = rehearse(start(manifest), answer, now=T)

    assert order == ["w.A", "w.A.onExit", "w.B"]
    assert nodes(decision)["w.A.onExit"].inputs.parameters == {"m": "7"}
    assert nodes(decision)["w.A.onExit"].hooked


# --- templates -------------------------------------------------------------------------------------------------------


def library(kind: str = "WorkflowTemplate", **spec: Any) -> Catalog:
    document = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": "lib"}, "spec": spec}
    return Catalog.of([document])


def test_a_template_ref_looks_up_its_own_neighbours() -> None:
    inner = {"name": "go", "steps": [[{"name": "x", "template": "helper"}]]}
    catalog = library(templates=[inner, {**ECHO, "name": "helper"}])
    ref = {"name": "a", "templateRef": {"name": "lib", "template": "go"}}
    manifest = workflow({"name": "main", "steps": [[ref]]})

    assert phases(play(manifest, catalog=catalog))["w[0].a[0].x"] == "Succeeded"


def test_a_workflow_template_ref_brings_spec_and_arguments() -> None:
    leaf = {**ECHO, "name": "main"}
    catalog = library(entrypoint="main", templates=[leaf], arguments={"parameters": [{"name": "m", "value": "theirs"}]})
    bare = {**workflow(), "spec": {"workflowTemplateRef": {"name": "lib"}}}
    ours = {**bare, "spec": {**bare["spec"], "arguments": m("ours")}}

    assert nodes(play(bare, catalog=catalog))["w"].inputs.parameters == {"m": "theirs"}
    assert nodes(play(ours, catalog=catalog))["w"].inputs.parameters == {"m": "ours"}


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (workflow(steps([{"name": "a", "template": "nobody"}])), "template name 'nobody' undefined"),
        (
            {**workflow(), "spec": {"workflowTemplateRef": {"name": "lib"}}},
            'workflowtemplates.argoproj.io "lib" not found',
        ),
        (workflow(dag({"name": "A", "depends": "B"})), "dependency 'B' not defined"),
    ],
)
def test_what_cannot_run_is_refused_before_it_starts(manifest: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        start(manifest)

    assert says in str(error.value)


def test_a_recursion_without_end_ends() -> None:
    manifest = workflow({"name": "main", "steps": [[{"name": "again", "template": "main"}]]})

    decision = play(manifest)

    assert decision.phase is Phase.Failed
    assert any("Maximum recursion depth exceeded" in node.message for node in decision.run.nodes.values())


def test_deep_nesting_within_the_limit_is_fine() -> None:
    layers = [{"name": f"l{i}", "steps": [[{"name": "n", "template": f"l{i + 1}"}]]} for i in range(90)]

    assert play(workflow(*layers, {**ECHO, "name": "l90"}, entrypoint="l0")).phase is Phase.Succeeded


def test_config_maps_give_values() -> None:
    leaf = {**ECHO, "name": "main", "inputs": {"parameters": [
        {"name": "m", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "k"}}}]}}  # fmt: skip
    catalog = Catalog.of([{"kind": "ConfigMap", "metadata": {"name": "cfg"}, "data": {"k": "v"}}])

    assert nodes(play(workflow(leaf), catalog=catalog))["w"].inputs.parameters == {"m": "v"}


def test_values_are_data_and_never_become_tags_or_conditions_of_others() -> None:
    evil = "'; true || '{{workflow.uid}}"
    gate = {
        "name": "b",
        "when": "{{steps.a.outputs.parameters.o}} == x",
        "arguments": m("{{steps.a.outputs.parameters.o}}"),
    }

    decision = play(workflow(steps([{"name": "a"}], [gate])), {"w[0].a": {"parameters": {"o": evil}}})

    assert decision.phase is Phase.Failed
    assert "w[1].b" not in phases(decision)


def test_status_is_argos_and_reads_back() -> None:
    decision = play(workflow(steps([{"name": "f", "withItems": [1]}])))

    found = status(decision.run)

    assert (found["phase"], found["progress"], found["finishedAt"]) == ("Succeeded", "1/1", "2026-11-20T00:00:01Z")
    for key, node in decision.run.nodes.items():
        assert Node.from_argo(found["nodes"][key]).to_argo() == node.to_argo()


def test_global_outputs_are_known_to_later_steps_and_outlive_a_crash() -> None:
    giver = {**ECHO, "name": "giver", "outputs": {"parameters": [
        {"name": "o", "globalName": "best", "valueFrom": {"path": "/tmp/o"}}]}}  # fmt: skip
    late = {"name": "b", "arguments": m("{{workflow.outputs.parameters.best}}")}
    manifest = workflow(steps([{"name": "a", "template": "giver"}], [{"name": "x"}], [late]), giver)

    def reload(decision: Decision) -> Run:
        saved = {key: n.to_argo(decision.run.children.get(key, ())) for key, n in decision.run.nodes.items()}
        return decision.run if decision.run.ended else restore(
            manifest, saved, name="w", uid="u", created=T, templates=Catalog(), outputs=decision.outputs
        )  # fmt: skip

    decision = rehearse(start(manifest), answers({"w[0].a": {"parameters": {"o": "9"}}}), now=T, after=reload)

    assert nodes(decision)["w[2].b"].inputs.parameters == {"m": "9"}
    assert status(decision.run)["outputs"] == {"parameters": [{"name": "best", "value": "9"}]}


def test_the_workflow_in_the_docs_runs() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/workflows.md").read_text()
    manifest = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])

    decision = rehearse(start(manifest), lambda task: replace(succeed(task), parameters={"score": "0.9"}), now=T)

    assert decision.phase is Phase.Succeeded
    assert nodes(decision)["w.pick"].inputs.parameters == {"scores": '["0.9","0.9"]'}


# --- any dag ---------------------------------------------------------------------------------------------------------

CONDITIONS = ("{}", "{}.Succeeded", "{}.Failed", "({}.Succeeded || {}.Failed)", "!{}.Skipped")


@st.composite
def dags(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    count = draw(st.integers(1, 8))
    tasks: list[dict[str, Any]] = []
    for index in range(count):
        task: dict[str, Any] = {"name": f"t{index}", "template": draw(st.sampled_from(["echo", "flaky", "sub"]))}
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        if needs:
            forms = [draw(st.sampled_from(CONDITIONS)).replace("{}", f"t{need}") for need in needs]
            task["depends"] = draw(st.sampled_from([" && ", " || "])).join(forms)
        if draw(st.booleans()):
            task["withItems"] = draw(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3))
        if draw(st.integers(0, 3)) == 0:
            task["when"] = "a == b"
        tasks.append(task)
    sub = {"name": "sub", "steps": [[{"name": "x", "template": "echo"}, {"name": "y", "template": "flaky"}]]}
    extra = draw(st.sampled_from([{}, {"parallelism": 1}, {"parallelism": 3}, {"onExit": "echo"}]))
    return workflow(dag(*tasks), sub, retried(limit=1), **extra), {}


def chance(seed: int) -> Callable[[Task], TaskResult]:
    return lambda task: fail(task) if (crc32(f"{seed}{task.node_name}".encode()) % 3 == 0) else succeed(task)


@settings(max_examples=60, deadline=None)
@given(dags(), st.integers(0, 99))
def test_any_dag_ends_and_starts_each_task_once_after_what_it_depends_on(case: Any, seed: int) -> None:
    manifest, _ = case
    started: Counter[str] = Counter()
    answer = chance(seed)

    def watch(decision: Decision) -> Run:
        for task in decision.start:
            started[task.node_name] += 1
            _assert_ready(manifest, decision.run, task.node_name)
        return decision.run

    decision = rehearse(start(manifest), answer, now=T, after=watch)

    assert decision.run.ended
    assert set(started.values()) <= {1}
    assert all(node.phase.fulfilled for node in decision.run.nodes.values())


def _assert_ready(manifest: dict[str, Any], run: Run, node: str) -> None:
    by_name = {n.name: n for n in run.nodes.values()}
    for task in manifest["spec"]["templates"][0]["dag"]["tasks"]:
        prefix = f"w.{task['name']}"
        if node == prefix or node.startswith((prefix + "(", prefix + "[")):
            for other in manifest["spec"]["templates"][0]["dag"]["tasks"]:
                if other["name"] in task.get("depends", ""):
                    assert by_name[f"w.{other['name']}"].phase.fulfilled


@settings(max_examples=60, deadline=None)
@given(dags(), st.integers(0, 99))
def test_a_run_restored_after_every_step_ends_the_same(case: Any, seed: int) -> None:
    manifest, _ = case
    answer = chance(seed)
    whole = rehearse(start(manifest), answer, now=T)

    def reload(decision: Decision) -> Run:
        saved = {key: n.to_argo(decision.run.children.get(key, ())) for key, n in decision.run.nodes.items()}
        run = restore(
            manifest, saved, name="w", uid="u", created=T, templates=Catalog(),
            started_at=decision.run.started_at, outputs=decision.outputs,
        )  # fmt: skip
        assert {task.node_id for task in unfinished(run)} == {task.node_id for task in unfinished(decision.run)}
        return replace(run, phase=decision.run.phase, message=decision.run.message) if decision.run.ended else run

    crashed = rehearse(start(manifest), answer, now=T, after=reload)

    assert {n.name: (n.type, n.phase, n.message) for n in crashed.run.nodes.values()} == {
        n.name: (n.type, n.phase, n.message) for n in whole.run.nodes.values()
    }
    assert crashed.phase == whole.phase


def test_a_wide_fan_out_costs_each_result_the_same() -> None:
    """Of 2,000 members, a result touches its own node and no other."""
    decision = step(start(workflow(steps([{"name": "f", "withSequence": {"count": "2000"}}]))), [], T)

    for task in decision.start[:50]:
        decision = step(decision.run, [succeed(task)], T)
        assert decision.changed == (task.node_id,)
