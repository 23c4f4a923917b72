"""Hooks, daemons, containers of a set, and tasks that are no pods: the course of the engine around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.core.engine import Decision, Run, begin, restore, status, step
from pipelines.core.happenings import ContainerNews, Progressed, Ready, Started, Stop, Task, TaskResult, Tick
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import fail, rehearse, succeed

T = datetime(2026, 11, 20, tzinfo=UTC)
LEAF: dict[str, Any] = {
    "name": "leaf",
    "inputs": {"parameters": [{"name": "m", "default": "hi"}]},
    "container": {"image": "busybox", "command": ["echo", "{{inputs.parameters.m}}"]},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}}]},
}
DAEMON: dict[str, Any] = {"name": "server", "daemon": True, "container": {"image": "a", "command": ["serve"]}}


def workflow(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [*templates, LEAF], **spec},
    }


def steps(*groups: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": "main", "steps": [[{"template": "leaf", **one} for one in group] for group in groups], **more}


def dag(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "main", "dag": {"tasks": [{"template": "leaf", **task} for task in tasks]}, **more}


def m(value: str) -> dict[str, Any]:
    return {"parameters": [{"name": "m", "value": value}]}


def start(manifest: dict[str, Any]) -> Run:
    return begin(manifest, name="w", uid="u", created=T, templates=Catalog())


def node(run: Run, name: str) -> Node:
    return next(one for one in run.nodes.values() if one.name == name)


def phases(run: Run) -> dict[str, str]:
    return {one.name: str(one.phase) for one in run.nodes.values()}


def started(decision: Decision) -> list[str]:
    return [task.node_name for task in decision.start]


def children(run: Run, name: str) -> list[str]:
    return [run.nodes[child].name for child in run.children.get(node(run, name).id, ())]


def back(run: Run) -> Run:
    saved = {key: one.to_argo() for key, one in run.nodes.items()}
    return restore(
        run.plan.manifest, saved, name="w", uid="u", created=T, templates=Catalog(), started_at=run.started_at,
        edges=run.children,
    )  # fmt: skip


def play(manifest: dict[str, Any], bad: Mapping[str, int] | None = None) -> Decision:
    def answer(task: Task) -> TaskResult:
        code = (bad or {}).get(task.node_name, 0)
        return fail(task, code) if code else replace(succeed(task), parameters={"o": "7"})

    return rehearse(start(manifest), answer, now=T)


# --- hooks (research 2.9) --------------------------------------------------------------------------------------------

RUNNING = {"running": {"expression": 'steps.a.status == "Running"', "template": "leaf"}}


def test_a_hook_runs_once_when_its_expression_is_first_true_beside_its_step() -> None:
    run = start(workflow(steps([{"name": "a", "hooks": RUNNING}], [{"name": "b"}])))
    (task,) = step(run, [], T).start

    running = step(run, [Started(task.node_id, T)], T)
    again = step(run, [Started(task.node_id, T), Tick()], T)
    waits = step(run, [succeed(task)], T)
    after = step(run, [succeed(running.start[0])], T)

    assert started(running) == ["w[0].a.hooks.running"]
    assert (started(again), started(waits), started(after)) == ([], [], ["w[1].b"])
    hook = node(run, "w[0].a.hooks.running")
    assert (hook.hooked, hook.display_name, hook.boundary_id) == (True, "a.hooks.running", "w")
    assert "w[0].a.hooks.running" in children(run, "w[0].a")


def test_a_step_that_was_never_seen_running_still_fires_its_running_hook() -> None:
    decision = play(workflow(steps([{"name": "a", "hooks": RUNNING}])))

    assert phases(decision.run)["w[0].a.hooks.running"] == "Succeeded"


@pytest.mark.parametrize(("bad", "fires"), [({"w.A": 1}, True), ({}, False)])
def test_a_hook_on_the_end_looks_at_how_it_ended(bad: dict[str, int], fires: bool) -> None:
    hooks = {"failed": {"expression": 'tasks.A.status == "Failed"', "template": "leaf"}}

    decision = play(workflow(dag({"name": "A", "hooks": hooks}, {"name": "B", "depends": "A.Failed || A"})), bad)

    assert ("w.A.hooks.failed" in phases(decision.run)) is fires
    assert decision.phase is Phase.Succeeded


def test_a_hook_that_fails_changes_nothing_for_its_step() -> None:
    decision = play(workflow(steps([{"name": "a", "hooks": RUNNING}], [{"name": "b"}])), {"w[0].a.hooks.running": 1})

    assert (decision.phase, phases(decision.run)["w[1].b"]) == (Phase.Succeeded, "Succeeded")


def test_a_task_waits_for_the_hooks_of_what_it_depends_on() -> None:
    hooks = {"x": {"expression": 'tasks.A.status == "Succeeded"', "template": "leaf"}}
    run = start(workflow(dag({"name": "A", "hooks": hooks}, {"name": "B", "depends": "A"})))
    (task,) = step(run, [], T).start

    ended = step(run, [succeed(task)], T)
    after = step(run, [succeed(ended.start[0])], T)

    assert (started(ended), started(after)) == (["w.A.hooks.x"], ["w.B"])


def test_a_hook_may_read_outputs_and_one_that_reads_them_too_early_is_not_true() -> None:
    hooks = {"x": {"expression": 'steps.a.outputs.parameters.o == "7"', "template": "leaf",
                   "arguments": m("{{steps.z.outputs.parameters.o}}!")}}  # fmt: skip

    decision = play(workflow(steps([{"name": "z"}], [{"name": "a", "hooks": hooks}])))

    assert node(decision.run, "w[1].a.hooks.x").inputs.parameters == {"m": "7!"}


def test_each_member_of_a_loop_in_steps_has_its_hooks() -> None:
    fan = {"name": "a", "withItems": [1, 2], "hooks": {"x": {"expression": "true", "template": "leaf"}}}

    found = phases(play(workflow(steps([fan]))).run)

    assert {"w[0].a(0:1).hooks.x", "w[0].a(1:2).hooks.x"} <= set(found)


def test_the_hooks_of_a_loop_in_a_dag_look_at_its_group_and_its_exit_hook_runs_for_each_member() -> None:
    hooks = {"x": {"expression": 'tasks.A.status == "Succeeded"', "template": "leaf"}, "exit": {"template": "leaf"}}
    fan = {"name": "A", "withItems": [1, 2], "hooks": hooks}

    decision = play(workflow(dag(fan, {"name": "B", "depends": "A"})))

    assert decision.phase is Phase.Succeeded
    hooked = {name for name in phases(decision.run) if ".hooks." in name or ".onExit" in name}
    assert hooked == {"w.A.hooks.x", "w.A(0:1).onExit", "w.A(1:2).onExit"}


@pytest.mark.parametrize(
    ("expression", "runs"), [('steps.a.status == "Failed"', True), ("steps.a.status == 'x'", False)]
)
def test_an_exit_hook_may_have_an_expression(expression: str, runs: bool) -> None:
    hooks = {"exit": {"expression": expression, "template": "leaf"}}

    decision = play(workflow(steps([{"name": "a", "hooks": hooks}])), {"w[0].a": 1})

    assert ("w[0].a.onExit" in phases(decision.run)) is runs
    assert decision.phase is Phase.Failed


def test_an_exit_hook_whose_expression_cannot_be_read_fails_its_group_with_the_reason() -> None:
    hooks = {"exit": {"expression": "steps.a.nothing.there == 1", "template": "leaf"}}

    decision = play(workflow(steps([{"name": "a", "hooks": hooks}])))

    assert decision.phase is Phase.Failed
    assert "w[0].a.onExit" in decision.message


def test_an_exit_hook_of_a_retried_step_runs_once_after_the_last_attempt() -> None:
    flaky = {**LEAF, "name": "flaky", "retryStrategy": {"limit": 1}}

    run = play(workflow(steps([{"name": "a", "template": "flaky", "onExit": "leaf"}]), flaky), {"w[0].a(0)": 1}).run

    assert [name for name in phases(run) if "onExit" in name] == ["w[0].a.onExit"]
    assert children(run, "w[0].a") == ["w[0].a(0)", "w[0].a(1)", "w[0].a.onExit"]


def test_hooks_of_the_workflow_run_beside_its_entry_and_before_its_exit_handler() -> None:
    hooks = {
        "running": {"expression": 'workflow.status == "Running"', "template": "leaf"},
        "bad": {
            "expression": 'workflow.status == "Failed"',
            "template": "leaf",
            "arguments": m("{{workflow.failures}}"),
        },
        "exit": {"template": "leaf"},
    }
    order: list[str] = []

    def answer(task: Task) -> TaskResult:
        order.append(task.node_name)
        return fail(task) if task.node_name == "w[0].a" else succeed(task)

    decision = rehearse(start(workflow(steps([{"name": "a"}]), hooks=hooks)), answer, now=T)

    assert set(order[:2]) == {"w.hooks.running", "w[0].a"}
    assert order[2:] == ["w.hooks.bad", "w.onExit"]
    assert decision.phase is Phase.Failed
    assert {"w.hooks.running", "w.hooks.bad"} <= set(children(decision.run, "w"))
    assert '\\"displayName\\":\\"a\\"' in node(decision.run, "w.hooks.bad").inputs.parameters["m"]


def test_a_run_that_is_restored_in_the_middle_of_its_hooks_ends_the_same() -> None:
    hooks = {"x": {"expression": 'tasks.A.status == "Running"', "template": "leaf"}, "exit": {"template": "leaf"}}
    manifest = workflow(dag({"name": "A", "hooks": hooks}, {"name": "B", "depends": "A"}), hooks={
        "bye": {"expression": 'workflow.status == "Succeeded"', "template": "leaf"}}, onExit="leaf")  # fmt: skip
    whole = rehearse(start(manifest), now=T)

    crashed = rehearse(start(manifest), now=T, after=lambda d: d.run if d.run.ended else back(d.run))

    assert phases(crashed.run) == phases(whole.run)
    assert crashed.phase is whole.phase is Phase.Succeeded
    assert {"w.A.hooks.x", "w.A.onExit", "w.hooks.bye", "w.onExit"} <= set(phases(whole.run))


def test_a_terminated_run_runs_no_exit_hooks() -> None:
    run = start(workflow(steps([{"name": "a", "onExit": "leaf"}]), onExit="leaf"))
    step(run, [], T)

    ended = step(run, [Stop("Terminate")], T)

    assert ended.run.ended
    assert not any("onExit" in name for name in phases(run))


# --- daemons (research 2.11) -----------------------------------------------------------------------------------------


def test_a_daemon_that_is_ready_lets_others_go_on_with_its_address_and_is_stopped_with_what_is_around_it() -> None:
    use = {"name": "use", "arguments": m("{{steps.s.ip}}")}
    run = start(workflow(steps([{"name": "s", "template": "server"}], [use]), DAEMON))
    (task,) = step(run, [], T).start

    ready = step(run, [Ready(task.node_id, "10.0.0.7")], T)
    shown = node(run, "w[0].s")
    ended = step(run, [succeed(ready.start[0])], T)
    late = step(run, [TaskResult(task.node_id, Phase.Succeeded)], T)

    assert (started(ready), shown.phase, shown.daemoned) == (["w[1].use"], Phase.Running, True)
    assert node(run, "w[1].use").inputs.parameters == {"m": "10.0.0.7"}
    assert (ended.phase, ended.stop, late.changed) == (Phase.Succeeded, (task.node_id,), ())
    assert (node(run, "w[0].s").phase, node(run, "w[0].s").outputs.exit_code) == (Phase.Succeeded, None)


def test_a_dag_knows_that_a_task_is_a_daemon() -> None:
    tasks = [{"name": "S", "template": "server"}, {"name": "B", "depends": "S"}, {"name": "C", "depends": "S.Daemoned"}]

    found = phases(play(workflow(dag(*tasks), DAEMON)).run)

    assert found == {"w": "Succeeded", "w.S": "Succeeded", "w.B": "Succeeded", "w.C": "Succeeded"}


def test_a_daemon_that_ends_by_itself_fails() -> None:
    run = start(workflow(dag({"name": "S", "template": "server"}), DAEMON))
    (task,) = step(run, [], T).start

    ended = step(run, [succeed(task)], T)

    assert (ended.phase, node(run, "w.S").phase) == (Phase.Failed, Phase.Failed)


def test_a_daemon_with_retries_starts_again_when_it_dies() -> None:
    server = {**DAEMON, "retryStrategy": {"limit": 2}}
    run = start(workflow(dag({"name": "S", "template": "server"}, {"name": "B", "depends": "S"}), server))
    (task,) = step(run, [], T).start
    work = step(run, [Ready(task.node_id, "10.0.0.7")], T)

    died = step(run, [fail(task)], T)
    step(run, [Ready(died.start[0].node_id, "10.0.0.8")], T)
    ended = step(run, [succeed(work.start[0])], T)

    assert (started(work), started(died)) == (["w.B"], ["w.S(1)"])
    assert (ended.phase, ended.stop) == (Phase.Succeeded, (died.start[0].node_id,))
    assert phases(run)["w.S"] == "Succeeded"


def test_a_restored_run_still_stops_its_daemon() -> None:
    run = start(workflow(steps([{"name": "s", "template": "server"}], [{"name": "use"}]), DAEMON))
    (task,) = step(run, [], T).start
    work = step(run, [Ready(task.node_id, "10.0.0.7")], T).start

    again = back(run)
    step(again, [Tick()], T)
    ended = step(again, [succeed(work[0])], T)

    assert (ended.phase, ended.stop) == (Phase.Succeeded, (task.node_id,))


# --- containers of a set (research 2.11) -----------------------------------------------------------------------------

SET: dict[str, Any] = {
    "name": "main",
    "containerSet": {
        "containers": [
            {"name": "a", "image": "busybox"},
            {"name": "b", "image": "busybox", "dependencies": ["a"]},
            {"name": "main", "image": "busybox", "dependencies": ["a", "b"]},
        ]
    },
}


def test_each_container_of_a_set_is_a_node_below_those_it_waits_for() -> None:
    run = start(workflow(SET))
    (task,) = step(run, [], T).start

    step(run, [Started(task.node_id, T), ContainerNews(task.node_id, "a", Phase.Running)], T)
    middle = phases(run)
    step(run, [ContainerNews(task.node_id, "a", Phase.Failed, 1, "a: Error (exit code 1): ")], T)
    ended = step(run, [fail(task)], T)

    assert middle == {"w": "Running", "w.a": "Running", "w.b": "Pending", "w.main": "Pending"}
    assert children(run, "w") == ["w.a"]
    assert children(run, "w.a") == ["w.b", "w.main"]
    assert children(run, "w.b") == ["w.main"]
    assert (ended.phase, phases(run)["w.b"]) == (Phase.Failed, "Failed")
    assert node(run, "w.a").message == "a: Error (exit code 1): "


def test_what_comes_after_a_set_hangs_under_its_last_containers() -> None:
    run = play(workflow(steps([{"name": "s", "template": "set"}], [{"name": "b"}]), {**SET, "name": "set"})).run

    assert children(run, "w[0].s.main") == ["w[1]"]


def test_a_stop_fails_the_containers_too() -> None:
    run = start(workflow(SET))
    step(run, [], T)

    step(run, [Stop()], T)

    assert set(phases(run).values()) == {"Failed"}
    assert node(run, "w.b").message == "workflow shutdown with strategy:  Stop"


# --- other tasks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "node_type"),
    [
        ({"http": {"url": "http://x"}}, "http", "HTTP"),
        ({"data": {"source": {"artifactPaths": {"name": "in", "s3": {"key": "x"}}}}}, "data", "Pod"),
        ({"resource": {"action": "get", "manifest": "kind: ConfigMap"}}, "resource", "Pod"),
        ({"script": {"image": "a", "source": "x"}}, "pod", "Pod"),
    ],
)
def test_a_task_says_what_kind_it_is(body: dict[str, Any], kind: str, node_type: str) -> None:
    run = start(workflow(steps([{"name": "a", "template": "it"}]), {"name": "it", **body}))

    (task,) = step(run, [], T).start

    assert (task.kind, node(run, "w[0].a").type) == (kind, node_type)


def test_progress_is_shown() -> None:
    run = start(workflow(steps([{"name": "a"}, {"name": "b"}])))
    one, other = step(run, [], T).start

    step(run, [Progressed(one.node_id, "3/10"), succeed(other)], T)

    assert node(run, "w[0].a").to_argo()["progress"] == "3/10"
    assert status(run)["progress"] == "1/2"


def test_the_status_says_what_runs_and_what_is_over() -> None:
    run = start(workflow(steps([{"name": "a"}])))
    (task,) = step(run, [], T).start
    step(run, [Started(task.node_id, T)], T)
    running = status(run)["conditions"]

    step(run, [replace(succeed(task), usage={"cpu": 1.5, "memory": 1000.0})], T + timedelta(seconds=3))

    assert running == [{"type": "PodRunning", "status": "True"}]
    assert status(run)["conditions"] == [
        {"type": "PodRunning", "status": "False"}, {"type": "Completed", "status": "True"}
    ]  # fmt: skip
    assert node(run, "w[0].a").to_argo()["usage"] == {"cpu": 1.5, "memory": 1000.0}


def test_a_shutdown_that_is_written_lets_only_the_exit_handler_run() -> None:
    decision = rehearse(start(workflow(steps([{"name": "a"}]), shutdown="Stop", onExit="leaf")), now=T)

    assert (decision.phase, decision.message) == (Phase.Failed, "Stopped with strategy 'Stop'")
    assert phases(decision.run)["w.onExit"] == "Succeeded"
    assert phases(decision.run)["w[0].a"] == "Failed"


def test_a_step_changes_only_what_it_says() -> None:
    run = start(workflow(dag(*({"name": f"t{i}"} for i in range(50)), {"name": "end", "depends": "t0"})))
    first = step(run, [], T)

    decision = step(run, [succeed(first.start[0])], T)

    assert {run.nodes[one].name for one in decision.changed} == {"w.t0", "w.end"}
    assert [(run.nodes[a].name, run.nodes[b].name) for a, b in decision.edges] == [("w.t0", "w.end")]
    assert decision.run is run
