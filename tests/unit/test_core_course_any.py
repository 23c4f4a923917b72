"""Any workflow ends, in order, within its limits; and it is the same however it is told, restored or tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.core.engine import Decision, Run, begin, restore, step, unfinished
from pipelines.core.happenings import Happening, Resume, Started, Task, TaskResult, Tick
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import World, fail, rehearse, succeed
from pipelines.core.reset import kept_after_reset, resubmitted

T = datetime(2026, 11, 20, tzinfo=UTC)
LEAF: dict[str, Any] = {
    "name": "leaf", "container": {"image": "busybox", "command": ["true"]},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o", "default": "d"}}]},
}  # fmt: skip
TEMPLATES: dict[str, dict[str, Any]] = {
    "leaf": LEAF,
    "flaky": {**LEAF, "name": "flaky", "retryStrategy": {"limit": "1"}},
    "locked": {**LEAF, "name": "locked", "synchronization": {"mutexes": [{"name": "one"}]}},
    "known": {**LEAF, "name": "known", "memoize": {"key": "k", "cache": {"configMap": {"name": "c"}}}},
    "server": {**LEAF, "name": "server", "daemon": True},
    "gate": {"name": "gate", "suspend": {}},
    "set": {"name": "set", "containerSet": {"containers": [{"name": "a", "image": "x"}, {
        "name": "main", "image": "x", "dependencies": ["a"]}]}},
    "sub": {"name": "sub", "steps": [[{"name": "x", "template": "leaf"}, {"name": "y", "template": "flaky"}], [
        {"name": "z", "template": "locked"}]]},
    "fast": {"name": "fast", "failFast": True, "parallelism": 1, "steps": [[
        {"name": "f", "template": "leaf", "withItems": ["a", "b", "c"]}]]},
    "graph": {"name": "graph", "parallelism": 1, "dag": {"failFast": False, "tasks": [
        {"name": "p", "template": "leaf"}, {"name": "q", "template": "leaf"},
        {"name": "r", "template": "known", "depends": "p.Succeeded || q.Failed"}]}},
}  # fmt: skip
HOOKS: Sequence[dict[str, Any]] = (
    {}, {}, {}, {"onExit": "leaf"},
    {"hooks": {"exit": {"template": "leaf", "expression": 'SELF.status == "Failed"'}}},
    {"hooks": {"run": {"template": "leaf", "expression": 'SELF.status == "Running"'}}},
)  # fmt: skip
CONDITIONS = ("{}", "{}.Succeeded", "{}.Failed", "({}.Succeeded || {}.Failed)", "!{}.Skipped", "({} || {}.Failed)")


def workflow(main: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [main, *TEMPLATES.values()], **spec},
    }  # fmt: skip


@st.composite
def steps_of(draw: st.DrawFn, name: str, prefix: str, *, limited: bool) -> dict[str, Any]:
    # A daemon keeps the place that it has: within a limit it may rightly leave none for others.
    templates = sorted(TEMPLATES.keys() - ({"server"} if limited else set()))
    step: dict[str, Any] = {"name": name, "template": draw(st.sampled_from(templates))}
    if draw(st.integers(0, 3)) == 0:
        step["withItems"] = draw(st.lists(st.sampled_from(["a", "b"]), max_size=3))
    if draw(st.integers(0, 4)) == 0:
        step["when"] = draw(st.sampled_from(["a == b", "a == a"]))
    hook = draw(st.sampled_from(HOOKS))
    if "hooks" in hook:
        hook = {"hooks": {key: {**h, "expression": h["expression"].replace("SELF", f"{prefix}.{name}")}
                          for key, h in hook["hooks"].items()}}  # fmt: skip
    return step | hook


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    extra = draw(st.sampled_from([{}, {"parallelism": 1}, {"parallelism": 2}, {"onExit": "leaf"}]))
    if draw(st.booleans()):
        groups: list[list[dict[str, Any]]] = []
        for i in range(draw(st.integers(1, 3))):
            names = [f"s{i}{j}" for j in range(draw(st.integers(1, 3)))]
            on = [draw(st.sampled_from([{}, {"continueOn": {"failed": True}}])) for _ in names]
            members = [draw(steps_of(name, "steps", limited="parallelism" in extra)) for name in names]
            groups.append([one | more for one, more in zip(members, on, strict=True)])
        return workflow({"name": "main", "steps": groups}, **extra)
    tasks: list[dict[str, Any]] = []
    limits = draw(st.sampled_from([{}, {"parallelism": 2}, {"failFast": True}]))
    for index in range(draw(st.integers(1, 6))):
        task = draw(steps_of(f"t{index}", "tasks", limited="parallelism" in {**extra, **limits}))
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        if needs:
            forms = [draw(st.sampled_from(CONDITIONS)).replace("{}", f"t{need}") for need in needs]
            task["depends"] = draw(st.sampled_from([" && ", " || "])).join(forms)
        tasks.append(task)
    fail_fast = draw(st.sampled_from([{}, {"failFast": False}]))
    return workflow({"name": "main", "dag": {"tasks": tasks, **fail_fast}, **limits}, **extra)


def start(manifest: dict[str, Any]) -> Run:
    return begin(manifest, name="w", uid="u", created=T, templates=Catalog())


def chance(seed: int) -> Callable[[Task], TaskResult]:
    def answer(task: Task) -> TaskResult:
        if task.template["name"] == "known":  # who of those with one key runs first is a matter of room
            return replace(succeed(task), parameters={"o": "k"})
        if crc32(f"{seed}{task.node_name}".encode()) % 3 == 0:
            return fail(task)
        return replace(succeed(task), parameters={"o": task.node_name})

    return answer


def resumes(run: Run) -> Sequence[Happening]:
    return [Resume()] if any(n.type == "Suspend" and not n.phase.fulfilled for n in run.nodes.values()) else []


def world(seed: int) -> World:
    return World(chance(seed), resumes)


def facts(run: Run) -> dict[str, Any]:
    return {
        node.name: (node.type, node.phase, node.message, node.inputs.parameters, node.outputs.parameters,
                    sorted(run.nodes[child].name for child in run.children.get(node.id, ())))
        for node in run.nodes.values()
    }  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(workflows(), st.integers(0, 99))
def test_any_workflow_ends_with_every_node_over_and_each_task_started_once(manifest: Any, seed: int) -> None:
    started: Counter[str] = Counter()
    limit = manifest["spec"].get("parallelism")

    def watch(decision: Decision) -> Run:
        started.update(task.node_id for task in decision.start)
        hooks = sum(n.hooked and not n.phase.fulfilled for n in decision.run.nodes.values())  # they wait for no room
        assert limit is None or decision.run.state.pods <= limit + hooks
        for name, template in TEMPLATES.items():
            if template.get("parallelism"):
                _within(decision.run, name, template["parallelism"])
        return decision.run

    decision = rehearse(start(manifest), now=T, after=watch, world=world(seed))

    assert decision.run.ended
    assert [n.name for n in decision.run.nodes.values() if not n.phase.fulfilled] == []
    assert set(started.values()) <= {1}
    assert decision.run.state.pods == 0
    assert not decision.run.state.frames
    reachable = {node.id for node in decision.run.nodes.values() if not node.boundary_id}
    reachable |= {child for children in decision.run.children.values() for child in children}
    assert reachable == set(decision.run.nodes)


def _within(run: Run, template: str, limit: int) -> None:
    around = [node.id for node in run.nodes.values() if node.template_name == template]
    active = Counter(node.boundary_id for node in run.nodes.values()
                     if node.type == "Pod" and not node.phase.fulfilled and not node.hooked)  # fmt: skip
    assert all(active[one] <= limit for one in around)


@settings(max_examples=60, deadline=None)
@given(workflows(), st.integers(0, 99))
def test_the_same_happenings_make_the_same_nodes(manifest: Any, seed: int) -> None:
    told: list[tuple[Sequence[Happening], datetime]] = []
    run, now = start(manifest), T
    around = world(seed)
    happened: Sequence[Happening] = (Tick(),)
    for _ in range(500):
        told.append((happened, now))
        decision = step(run, happened, now)
        happened = around.take(decision)
        if run.ended:
            break
        if not happened:
            task = around.next_task()
            happened = [around.answer(task)] if task else resumes(run) or [Tick()]  # type: ignore[list-item]

    again = start(manifest)
    for happened, at in told:
        step(again, happened, at)

    assert run.ended
    assert [node.to_argo() for node in again.nodes.values()] == [node.to_argo() for node in run.nodes.values()]
    assert again.children == run.children


AFTER_A_FAILED_GROUP = [
    {"name": "t0", "template": "fast", "withItems": []},
    {"name": "t1", "template": "fast", "withItems": ["a"]},
    {"name": "t2", "template": "fast", "withItems": ["a"]},
    {"name": "t3", "template": "flaky", "withItems": [], "depends": "t0 || t1 || t2"},
    {"name": "t4", "template": "fast"},
    {"name": "t5", "template": "fast", "withItems": [], "when": "a == b"},
]


@settings(max_examples=60, deadline=None)
@given(workflows(), st.integers(0, 99), st.integers(0, 30))
@example(workflow({"name": "main", "dag": {"tasks": AFTER_A_FAILED_GROUP}}), 0, 11)
def test_a_run_that_is_restored_after_any_prefix_goes_on_to_the_same_end(manifest: Any, seed: int, crash: int) -> None:
    whole = rehearse(start(manifest), now=T, world=world(seed))
    count = 0

    def reload(decision: Decision) -> Run:
        nonlocal count
        count += 1
        run = decision.run
        if run.ended or count != crash:
            return run
        saved = {key: node.to_argo() for key, node in run.nodes.items()}
        again = restore(
            manifest, saved, name="w", uid="u", created=T, templates=Catalog(), started_at=run.started_at,
            outputs=decision.outputs, edges={key: list(one) for key, one in run.children.items()},
        )  # fmt: skip
        assert {task.node_id for task in unfinished(again)} >= {
            task.node_id for task in unfinished(run) if run.nodes[task.node_id].phase is Phase.Running
        }
        return again

    crashed = rehearse(start(manifest), now=T, after=reload, world=world(seed))

    assert crashed.phase is whole.phase
    assert facts(crashed.run) == facts(whole.run)


@settings(max_examples=60, deadline=None)
@given(workflows(), st.integers(0, 99), st.booleans())
def test_a_retry_keeps_what_succeeded_and_ends_with_a_whole_tree(manifest: Any, seed: int, resubmit: bool) -> None:
    first = rehearse(start(manifest), now=T, world=world(seed)).run
    name = "w2" if resubmit else "w"
    saved = resubmitted(first.nodes, first.children, "w", "w2") if resubmit else (
        kept_after_reset(first.nodes, first.children, "w")
    )  # fmt: skip
    kept = {one.name for one in saved.nodes.values() if one.type == "Pod" and one.phase is Phase.Succeeded}
    again = restore(manifest, saved.to_argo(), name=name, uid="u", created=T, templates=Catalog(), started_at=T)
    ran: Counter[str] = Counter()

    def answer(task: Task) -> TaskResult:
        ran[task.node_name] += 1
        return succeed(task)

    end = rehearse(again, now=T, world=World(answer, resumes)).run

    assert end.ended
    assert [n.name for n in end.nodes.values() if not n.phase.fulfilled] == []
    assert not kept & set(ran)
    assert set(ran.values()) <= {1}
    assert all(one.name.startswith(name) for one in end.nodes.values())


@settings(max_examples=50, deadline=None)
@given(workflows(), st.integers(0, 99))
def test_being_told_twice_changes_nothing(manifest: Any, seed: int) -> None:
    whole = rehearse(start(manifest), now=T, world=world(seed))

    def twice(task: Task) -> Sequence[Happening]:
        result = chance(seed)(task)
        return [Started(task.node_id, T), Started(task.node_id, T), result, result]

    doubled = rehearse(start(manifest), now=T, world=World(twice, resumes))

    assert {name: fact[1] for name, fact in facts(doubled.run).items()} == {
        name: fact[1] for name, fact in facts(whole.run).items()
    }
