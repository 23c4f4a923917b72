"""Values on their way through whole workflows, played with given answers. Research §2.6, §2.8 and §2.10."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.core.engine import Run, begin
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import rehearse

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MAKE = {
    "name": "make",
    "inputs": {"parameters": [{"name": "x", "default": "none"}]},
    "container": {"image": "a", "command": ["make"], "args": ["{{inputs.parameters.x}}"]},
    "outputs": {
        "parameters": [{"name": "score", "valueFrom": {"path": "/score"}}],
        "artifacts": [{"name": "m", "path": "/m", "globalName": "model"}],
    },
}
READ = {
    "name": "read",
    "inputs": {"artifacts": [{"name": "in", "path": "/in", "optional": True}],
               "parameters": [{"name": "p", "default": "default"}]},
    "container": {"image": "a", "command": ["read"], "args": ["{{inputs.parameters.p}}"]},
}  # fmt: skip


def answer(task: Task) -> TaskResult:
    outputs: dict[str, Any] = task.template.get("outputs") or {}
    artifacts = tuple({**a, "s3": {"key": f"{task.node_name}/{a['name']}"}} for a in outputs.get("artifacts") or ())
    parameters = {p["name"]: "0.5" for p in outputs.get("parameters") or ()}
    return TaskResult(task.node_id, Phase.Succeeded, 0, "[1, 2]", parameters, artifacts=artifacts)


def play(*tasks: dict[str, Any], templates: Any = (), **spec: Any) -> tuple[Run, dict[str, Task]]:
    """Of a dag `main`; tasks that were started by the name of their node."""
    started: dict[str, Task] = {}

    def keep(task: Task) -> TaskResult:
        started[task.node_name] = task
        return answer(task)

    main = {"name": "main", "dag": {"tasks": list(tasks)}}
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "w-"},
        "spec": {"entrypoint": "main", "templates": [main, MAKE, READ, *templates], **spec},
    }
    run = begin(manifest, name="wf", uid="u", created=NOW, templates=Catalog())
    return rehearse(run, keep, now=NOW).run, started


def named(run: Run, name: str) -> Node:
    return next(node for node in run.nodes.values() if node.name == name)


def parameter(value: str, name: str = "p") -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value}]}


def artifact(source: str, **rest: Any) -> dict[str, Any]:
    return {"artifacts": [{"name": "in", "from": source, **rest}]}


def test_a_loops_artifacts_reach_their_reader_as_parts() -> None:
    loop = {"name": "fan", "template": "make", "withItems": ["a", "b"], "arguments": parameter("{{item}}", "x")}
    reads = {"name": "join", "template": "read", "depends": "fan",
             "arguments": artifact("{{tasks.fan.outputs.artifacts.m}}")}  # fmt: skip

    run, started = play(loop, reads)

    assert run.phase is Phase.Succeeded
    (given,) = started["wf.join"].inputs.artifacts
    assert given == {
        "name": "in", "path": "/in", "optional": True,
        "retrain": {"parts": [{"name": "0", "s3": {"key": "wf.fan(0:a)/m"}},
                              {"name": "1", "s3": {"key": "wf.fan(1:b)/m"}}]},
    }  # fmt: skip
    assert named(run, "wf.join").inputs.artifacts == (given,)


def test_an_artifact_goes_down_into_a_nested_template_and_out_again() -> None:
    inner = {
        "name": "inner",
        "inputs": {"artifacts": [{"name": "in"}]},
        "steps": [
            [{"name": "a", "template": "read", "arguments": artifact("{{inputs.artifacts.in}}", subPath="d/e")}],
            [{"name": "b", "template": "make"}],
        ],
        "outputs": {"artifacts": [{"name": "out", "from": "{{steps.b.outputs.artifacts.m}}"}]},
    }
    seed = {"name": "nest", "template": "inner", "arguments": {"artifacts": [{"name": "in", "raw": {"data": "{x}"}}]}}
    reads = {"name": "join", "template": "read", "depends": "nest",
             "arguments": artifact("{{tasks.nest.outputs.artifacts.out}}")}  # fmt: skip

    run, started = play(seed, reads, templates=[inner])

    assert run.phase is Phase.Succeeded
    assert started["wf.nest[0].a"].inputs.artifacts == (
        {"name": "in", "raw": {"data": "{x}"}, "subPath": "d/e", "path": "/in", "optional": True},
    )
    assert started["wf.join"].inputs.artifacts[0]["s3"] == {"key": "wf.nest[1].b/m"}


@pytest.mark.parametrize(("optional", "phase"), [(True, Phase.Succeeded), (False, Phase.Error)])
def test_the_artifact_of_a_skipped_task_is_left_out_or_an_error(optional: bool, phase: Phase) -> None:
    skipped = {"name": "off", "template": "make", "when": "1 == 2"}
    arguments = artifact("{{tasks.off.outputs.artifacts.m}}", **({"optional": True} if optional else {}))

    run, started = play(skipped, {"name": "on", "template": "read", "depends": "off", "arguments": arguments})

    assert named(run, "wf.on").phase is phase
    assert ("wf.on" in started) is optional


def test_a_skipped_tasks_parameter_gives_way_to_the_readers_default() -> None:
    skipped = {"name": "off", "template": "make", "when": "1 == 2"}
    reads = {"name": "on", "template": "read", "depends": "off",
             "arguments": parameter("{{tasks.off.outputs.parameters.score}}")}  # fmt: skip
    other = {"name": "or", "template": "read", "depends": "off",
             "arguments": parameter("{{=tasks.off.outputs.parameters.score ?? 'else'}}")}  # fmt: skip

    run, started = play(skipped, reads, other)

    assert run.phase is Phase.Succeeded
    assert started["wf.on"].template["container"]["args"] == ["default"]
    assert started["wf.or"].template["container"]["args"] == ["else"]


def test_a_gate_over_a_score_is_an_expression_or_a_condition() -> None:
    make = {"name": "make", "template": "make"}
    gates = {
        "plain": "{{tasks.make.outputs.parameters.score}} > 0.4",
        "expression": "{{=asFloat(tasks.make.outputs.parameters.score) > 0.6}}",
    }
    gated = [{"name": k, "template": "read", "depends": "make", "when": when} for k, when in gates.items()]

    run, started = play(make, *gated)

    assert ("wf.plain" in started, "wf.expression" in started) == (True, False)
    assert named(run, "wf.expression").message == "when 'false' evaluated false"


def test_a_loop_over_what_an_expression_makes_of_a_result() -> None:
    make = {"name": "make", "template": "make"}
    loop = {
        "name": "fan",
        "template": "read",
        "depends": "make",
        "withParam": "{{=toJson(map(fromJSON(tasks.make.outputs.result), # * 10))}}",
        "arguments": parameter("{{=asInt(item) + 1}}"),
    }
    count = {"name": "count", "template": "read", "depends": "make",
             "withSequence": {"count": "{{=len(fromJSON(tasks.make.outputs.result))}}"}}  # fmt: skip

    run, started = play(make, loop, count)

    assert run.phase is Phase.Succeeded
    assert [task.template["container"]["args"] for at, task in started.items() if ".fan(" in at] == [["11"], ["21"]]
    assert sum(".count(" in at for at in started) == 2


def test_what_is_exported_is_seen_by_the_exit_handler() -> None:
    done = {
        "name": "done",
        "steps": [[{"name": "tell", "template": "read", "arguments": {
            **artifact("{{workflow.outputs.artifacts.model}}"), **parameter("{{workflow.status}}")}}]],
    }  # fmt: skip

    run, started = play({"name": "make", "template": "make"}, templates=[done], onExit="done")

    assert run.phase is Phase.Succeeded
    task = started["wf.onExit[0].tell"]
    assert task.template["container"]["args"] == ["Succeeded"]
    assert task.inputs.artifacts[0]["s3"] == {"key": "wf.make/m"}


def test_no_tag_in_data_ends_a_run_in_another_way_than_upstream() -> None:
    """Upstream fills in what a value names once more; what nobody knows arrives as it is."""
    reads = {"name": "read", "template": "read", "arguments": parameter("{{workflow.parameters.text}}")}
    text = 'a {{ jinja }} {{workflow.name}} {% x %} "quoted" \\ \n {{inputs.parameters.p}}'

    run, started = play(reads, arguments={"parameters": [{"name": "text", "value": text}]})

    assert run.phase is Phase.Succeeded
    (found,) = started["wf.read"].template["container"]["args"]
    assert found.startswith('a {{ jinja }} wf {% x %} "quoted" \\ \n ')
