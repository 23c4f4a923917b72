"""A run that is suspended starts nothing; one that is retried keeps what succeeded. Without store and processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.engine import Decision, Run, begin, restore, step
from pipelines.core.happenings import Resume, Started, Stop, Suspend, Task, TaskResult, Tick
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Inputs, Node, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import fail, rehearse, succeed
from pipelines.core.reset import Saved, kept_after_reset
from pipelines.core.resources import amounts, quantity, used
from retrain.errors import ConfigError

T = datetime(2026, 11, 20, tzinfo=UTC)
LEAF: dict[str, Any] = {"name": "leaf", "container": {"image": "busybox", "command": ["true"]}}


def workflow(*templates: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [*templates, LEAF], **spec},
    }


def steps(*groups: list[str], name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "steps": [[{"name": one, "template": "leaf"} for one in group] for group in groups], **more}


def dag(name: str = "main", **needs: str) -> dict[str, Any]:
    tasks = [{"name": task, "template": "leaf", **({"depends": on} if on else {})} for task, on in needs.items()]
    return {"name": name, "dag": {"tasks": tasks}}


def start(manifest: dict[str, Any]) -> Run:
    return begin(manifest, name="w", uid="u", created=T, templates=Catalog())


def failing(*names: str) -> Callable[[Task], TaskResult]:
    return lambda task: fail(task) if task.node_name in names else succeed(task)


def names(decision: Decision) -> list[str]:
    return [task.node_name for task in decision.start]


def phases(run: Run) -> dict[str, str]:
    return {node.name: str(node.phase) for node in run.nodes.values()}


# --- suspend and resume ----------------------------------------------------------------------------------------------


def test_while_suspended_what_runs_goes_on_and_nothing_follows() -> None:
    first = step(start(workflow(steps(["a"], ["b"]))), [], T)

    held = step(first.run, [Suspend(), succeed(first.start[0])], T)

    assert held.start == ()
    assert held.run.parked
    assert held.phase is Phase.Running
    again = step(held.run, [Resume()], T)
    assert names(again) == ["w[1].b"]
    assert not again.run.parked


def test_a_suspended_run_is_not_parked_while_a_step_runs() -> None:
    first = step(start(workflow(steps(["a", "b"]))), [], T)
    one, other = first.start

    held = step(first.run, [Suspend(), succeed(one)], T)
    assert not held.run.parked
    started = step(held.run, [Started(other.node_id, T)], T)
    assert phases(started.run)["w[0].b"] == "Running"
    assert step(started.run, [succeed(other)], T).run.parked


def test_a_run_that_is_suspended_before_its_first_step_starts_when_it_is_resumed() -> None:
    held = step(start(workflow(steps(["a"]))), [Suspend()], T)

    assert held.run.parked
    assert held.run.nodes == {}
    assert names(step(held.run, [Resume()], T)) == ["w[0].a"]


@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_stop_ends_a_suspended_run(strategy: Any) -> None:
    first = step(start(workflow(steps(["a"], ["b"]))), [], T)
    held = step(first.run, [Suspend(), succeed(first.start[0])], T)

    ended = step(held.run, [Stop(strategy)], T)

    assert ended.run.ended
    assert (ended.phase, ended.message) == (Phase.Failed, f"Stopped with strategy '{strategy}'")
    assert phases(ended.run)["w[0].a"] == "Succeeded"


def test_the_deadline_ends_a_suspended_run() -> None:
    first = step(start(workflow(steps(["a"], ["b"]), activeDeadlineSeconds=60)), [], T)
    held = step(first.run, [Suspend(), succeed(first.start[0])], T)

    assert held.wake_at == T + timedelta(seconds=60)
    assert step(held.run, [Tick()], T + timedelta(seconds=60)).run.ended


def test_a_parked_run_that_is_restored_and_resumed_goes_on_with_what_is_reported_again() -> None:
    first = step(start(workflow(steps(["a"], ["b"]))), [], T)
    held = step(first.run, [Suspend(), succeed(first.start[0])], T)

    back = reopened(held.run, Saved(held.run.nodes, held.run.children))

    assert names(step(back, [Tick(), succeed(first.start[0])], T)) == ["w[1].b"]


# --- retry -----------------------------------------------------------------------------------------------------------


def reopened(run: Run, saved: Saved) -> Run:
    return restore(run.plan.manifest, saved.to_argo(), name="w", uid="u", created=T, templates=Catalog(), started_at=T)


def retried(run: Run, **more: Any) -> tuple[Run, Decision, list[str]]:
    """The run's next life, played with every step succeeding: its end, and the steps that ran."""
    ran: list[str] = []

    def answer(task: Task) -> TaskResult:
        ran.append(task.node_name)
        return succeed(task)

    kept = kept_after_reset(run.nodes, run.children, "w", **more)
    back = reopened(run, kept)
    return back, rehearse(back, answer, now=T), sorted(ran)


@pytest.mark.parametrize(
    ("manifest", "bad", "again"),
    [
        (workflow(steps(["a"], ["b"], ["c"])), ["w[1].b"], ["w[1].b", "w[2].c"]),
        (workflow(steps(["a", "b"], ["c"])), ["w[0].b"], ["w[0].b", "w[1].c"]),
        (workflow(dag(a="", b="a", c="a", d="b && c")), ["w.b"], ["w.b", "w.d"]),
        (workflow(dag(a="", b="a.Failed", c="")), ["w.a", "w.c"], ["w.c"]),
        (workflow({**LEAF, "name": "main"}), ["w"], ["w"]),
    ],
    ids=["a later group", "a member", "a diamond", "a failure that was dealt with stays", "one container"],
)
def test_what_succeeded_stays_and_the_rest_runs_again(
    manifest: dict[str, Any], bad: list[str], again: list[str]
) -> None:
    failed = rehearse(start(manifest), failing(*bad), now=T)
    assert failed.phase is Phase.Failed

    _, decision, ran = retried(failed.run)

    assert decision.phase is Phase.Succeeded
    assert ran == again


def test_inner_templates_and_fan_outs_are_opened_where_they_failed() -> None:
    inner = steps(["x"], ["y"], name="inner")
    outer = {
        "name": "main",
        "dag": {
            "tasks": [
                {"name": "a", "template": "inner"},
                {"name": "f", "template": "leaf", "withItems": ["1", "2", "3"]},
                {"name": "z", "template": "leaf", "depends": "a && f"},
            ]
        },
    }
    failed = rehearse(start(workflow(outer, inner)), failing("w.a[1].y", "w.f(1:2)"), now=T)

    _, decision, ran = retried(failed.run)

    assert decision.phase is Phase.Succeeded
    assert ran == ["w.a[1].y", "w.f(1:2)", "w.z"]


def test_a_step_with_retries_begins_with_its_first_attempt() -> None:
    flaky = {**LEAF, "name": "flaky", "retryStrategy": {"limit": "1"}}
    main = {"name": "main", "steps": [[{"name": "a", "template": "flaky"}, {"name": "b", "template": "flaky"}]]}
    failed = rehearse(start(workflow(main, flaky)), failing("w[0].a(0)", "w[0].a(1)", "w[0].b(0)"), now=T)

    _, decision, ran = retried(failed.run)

    assert decision.phase is Phase.Succeeded
    assert ran == ["w[0].a(0)"]


def test_the_exit_handler_runs_again_even_if_it_alone_failed() -> None:
    failed = rehearse(start(workflow(steps(["a"]), onExit="leaf")), failing("w.onExit"), now=T)
    assert failed.phase is Phase.Failed

    _, decision, ran = retried(failed.run)

    assert decision.phase is Phase.Succeeded
    assert ran == ["w.onExit"]


def test_a_stopped_run_goes_on_where_it_was_stopped() -> None:
    first = step(start(workflow(steps(["a"], ["b"]))), [], T)
    second = step(first.run, [succeed(first.start[0])], T)
    stopped = step(second.run, [Stop()], T)
    assert stopped.run.ended

    _, decision, ran = retried(stopped.run)

    assert decision.phase is Phase.Succeeded
    assert ran == ["w[1].b"]


def test_a_step_that_succeeded_runs_again_if_it_is_chosen_with_what_came_after_it() -> None:
    done = rehearse(start(workflow(dag(a="", b="a", c=""))), now=T)

    _, decision, ran = retried(done.run, restart=compile_selector("displayName=a"))

    assert decision.phase is Phase.Succeeded
    assert ran == ["w.a", "w.b"]


@pytest.mark.parametrize(
    ("selector", "again"),
    [
        ("displayName=a", ["w.a[0].x", "w.a[1].y", "w.z"]),
        ("name=w.a[1]", ["w.a[1].y", "w.z"]),
        ("displayName=f", ["w.f(0:1)", "w.f(1:2)", "w.z"]),
        ("name=w", ["w.a[0].x", "w.a[1].y", "w.f(0:1)", "w.f(1:2)", "w.z"]),
    ],
    ids=["a template of steps", "a group of steps", "a loop", "the workflow"],
)
@pytest.mark.parametrize("bad", [[], ["w.z"]], ids=["of a run that succeeded", "of one that failed"])
def test_what_holds_others_runs_again_with_all_that_is_in_it(selector: str, again: list[str], bad: list[str]) -> None:
    inner = steps(["x"], ["y"], name="inner")
    loop = {"name": "f", "template": "leaf", "withItems": ["1", "2"]}
    tasks = [{"name": "a", "template": "inner"}, loop, {"name": "z", "template": "leaf", "depends": "a && f"}]
    done = rehearse(start(workflow({"name": "main", "dag": {"tasks": tasks}}, inner)), failing(*bad), now=T)

    _, decision, ran = retried(done.run, restart=compile_selector(selector))

    assert decision.phase is Phase.Succeeded
    assert ran == again


def test_a_failure_that_was_dealt_with_stays_where_another_step_is_chosen() -> None:
    done = rehearse(start(workflow(dag(a="", b="a.Failed", c=""))), failing("w.a"), now=T)
    assert done.phase is Phase.Succeeded

    _, _, ran = retried(done.run, restart=compile_selector("displayName=c"))

    assert ran == ["w.c"]


CONDITIONS = ("{}", "{}.Succeeded", "{}.Failed", "({}.Succeeded || {}.Failed)", "!{}.Skipped")


@st.composite
def dags(draw: st.DrawFn) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 7))):
        task: dict[str, Any] = {"name": f"t{index}", "template": draw(st.sampled_from(["leaf", "flaky", "sub"]))}
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        if needs:
            forms = [draw(st.sampled_from(CONDITIONS)).replace("{}", f"t{need}") for need in needs]
            task["depends"] = draw(st.sampled_from([" && ", " || "])).join(forms)
        if draw(st.booleans()):
            task["withItems"] = draw(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3))
        tasks.append(task)
    sub = {"name": "sub", "steps": [[{"name": "x", "template": "leaf"}, {"name": "y", "template": "flaky"}]]}
    flaky = {**LEAF, "name": "flaky", "retryStrategy": {"limit": "1"}}
    extra = draw(st.sampled_from([{}, {"parallelism": 2}, {"onExit": "leaf"}]))
    return workflow({"name": "main", "dag": {"tasks": tasks}}, sub, flaky, **extra)


@settings(max_examples=150, deadline=None)
@given(dags(), st.integers(0, 99))
def test_any_dag_is_retried_to_an_end_with_a_whole_tree_and_no_step_twice(manifest: dict[str, Any], seed: int) -> None:
    def chance(task: Task) -> TaskResult:
        return fail(task) if crc32(f"{seed}{task.node_name}".encode()) % 3 == 0 else succeed(task)

    first = rehearse(start(manifest), chance, now=T)
    saved = kept_after_reset(first.run.nodes, first.run.children, "w")
    kept = saved.nodes

    assert all(child in kept for children in saved.edges.values() for child in children)
    assert all(not node.boundary_id or node.boundary_id in kept for node in kept.values())
    back, decision, ran = retried(first.run)
    assert decision.run.ended
    assert all(node.phase.fulfilled for node in decision.run.nodes.values())
    assert set(Counter(ran).values()) <= {1}
    good = {node.name for node in kept.values() if node.type == "Pod" and node.phase is Phase.Succeeded}
    assert not good & set(ran)
    reachable = {node.id for node in decision.run.nodes.values() if not node.boundary_id}
    reachable |= {child for children in decision.run.children.values() for child in children}
    assert reachable == set(decision.run.nodes)
    del back


# --- which nodes, and what they used ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("displayName=a", ["w.a"]),
        ("templateName==leaf,displayName!=a", ["w.b"]),
        ("phase=Succeeded,name=w.b", ["w.b"]),
        ("inputs.parameters.day.value=1", ["w.a"]),
        ("templateRef.name=x", []),
    ],
)
def test_a_node_selector_chooses_by_fields(text: str, found: list[str]) -> None:
    nodes = [
        Node("1", "w.a", "a", "Pod", Phase.Succeeded, template_name="leaf", inputs=Inputs({"day": "1"})),
        Node("2", "w.b", "b", "Pod", Phase.Succeeded, template_name="leaf"),
        Node("3", "w", "w", "DAG", Phase.Failed, template_name="main"),
    ]
    choose = compile_selector(text)

    assert [node.name for node in nodes if choose(node)] == found


@pytest.mark.parametrize(("text", "said"), [("a", "field=value"), ("size=1", "no field 'size'"), ("", "field=value")])
def test_a_node_selector_that_cannot_be_read_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compile_selector(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("500m", 0.5), ("2Gi", 2 * 1024**3), ("1.5k", 1500), ("1e3", 1000), ("x", None), ("1 Gi", None)],
)
def test_quantities_are_kubernetes_own(text: str, value: float | None) -> None:
    assert quantity(text) == value


def test_a_run_tells_what_its_steps_held_and_for_how_long() -> None:
    asked = {"requests": {"nvidia.com/gpu": "2", "memory": "200Mi"}, "limits": {"cpu": "500m", "nvidia.com/gpu": 9}}
    leaf = {"name": "main", "container": {"image": "x", "command": ["true"], "resources": asked}}
    assert amounts(leaf) == {"cpu": 0.5, "nvidia.com/gpu": 2, "memory": 2}
    first = step(start(workflow(leaf)), [], T)
    task, hour = first.start[0], timedelta(hours=1)

    done = TaskResult(task.node_id, Phase.Failed, exit_code=1, started_at=T + hour, finished_at=T + 2 * hour)
    ended = step(first.run, [done], T + 2 * hour)

    assert used(ended.run.nodes.values(), T) == {"cpu": 1800, "nvidia.com/gpu": 7200, "memory": 7200}
    assert used(ended.run.nodes.values(), T + 3 * hour) == {}
    assert Node.from_argo(ended.run.nodes["w"].to_argo()).resources["nvidia.com/gpu"] == 7200


def test_a_step_that_is_stopped_before_it_ran_has_used_nothing() -> None:
    asked = {"limits": {"cpu": "1"}}
    leaf = {"name": "main", "container": {"image": "x", "command": ["true"], "resources": asked}}
    first = step(start(workflow(leaf)), [], T)

    assert used(step(first.run, [Stop()], T + timedelta(hours=1)).run.nodes.values(), T) == {}
