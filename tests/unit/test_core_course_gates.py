"""Locks, memos and what waits for a person or for a time: the engine with a world in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.core.engine import Decision, Run, begin, restore, status, step
from pipelines.core.happenings import (
    LockNews,
    MemoNews,
    Resume,
    SetNodes,
    Started,
    Stop,
    Task,
    TaskResult,
    Tick,
)
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import Locks, World, fail, rehearse, succeed
from pipelines.core.suspend import problems

T = datetime(2026, 11, 20, tzinfo=UTC)
LIMITS = Catalog.of([{"kind": "ConfigMap", "metadata": {"name": "limits"}, "data": {"gpu": "2", "bad": "many"}}])
LEAF: dict[str, Any] = {
    "name": "leaf",
    "container": {"image": "busybox", "command": ["true"]},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o", "default": "d"}}]},
}


def workflow(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [*templates, LEAF], **spec},
    }


def steps(*groups: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"name": "main", "steps": [[{"template": "leaf", **one} for one in group] for group in groups], **more}


def start(manifest: dict[str, Any]) -> Run:
    return begin(manifest, name="w", uid="u", created=T, templates=LIMITS)


def node(run: Run, name: str) -> Node:
    return next(one for one in run.nodes.values() if one.name == name)


def started(decision: Decision) -> list[str]:
    return [task.node_name for task in decision.start]


def back(run: Run) -> Run:
    """The run as its next life finds it."""
    saved = {key: one.to_argo(run.children.get(key, ())) for key, one in run.nodes.items()}
    return restore(run.plan.manifest, saved, name="w", uid="u", created=T, templates=LIMITS, started_at=run.started_at)


# --- locks (research 2.12) -------------------------------------------------------------------------------------------

LOCKED = {**LEAF, "name": "locked", "synchronization": {"mutexes": [{"name": "deploy"}]}}


def test_a_node_waits_for_its_mutex_and_gives_it_back() -> None:
    run = start(workflow(steps([{"name": "a", "template": "locked"}]), LOCKED))

    first = step(run, [], T)
    waits = step(run, [LockNews(first.acquire[0].holder, False, "default/Mutex/deploy", "0/1")], T)
    shown = node(run, "w[0].a")
    granted = step(run, [LockNews(first.acquire[0].holder, True)], T)
    ended = step(run, [succeed(granted.start[0])], T)

    assert [lock.name for lock in first.acquire[0].locks] == ["default/Mutex/deploy"]
    assert (started(first), started(waits), started(granted)) == ([], [], ["w[0].a"])
    assert (shown.type, shown.phase, shown.message) == (
        "Pod", Phase.Pending, "Waiting for default/Mutex/deploy lock. Lock status: 0/1"
    )  # fmt: skip
    assert shown.to_argo()["synchronizationStatus"] == {"waiting": "default/Mutex/deploy"}
    assert ended.release == (shown.id,)
    assert node(run, "w[0].a").message == ""


def test_members_of_a_loop_hold_a_mutex_one_after_the_other() -> None:
    fan = {"name": "f", "template": "locked", "withItems": [1, 2, 3]}
    running: list[int] = []
    run = start(workflow(steps([fan]), LOCKED))

    def watch(decision: Decision) -> Run:
        running.append(len(decision.start))
        return decision.run

    decision = rehearse(run, now=T, after=watch)

    assert decision.phase is Phase.Succeeded
    assert max(running) == 1
    assert sum(running) == 3


def test_a_semaphore_has_the_limit_of_its_config_map() -> None:
    gpu = {
        **LEAF,
        "name": "gpu",
        "synchronization": {"semaphore": {"configMapKeyRef": {"name": "limits", "key": "gpu"}}},
    }
    run = start(workflow(steps([{"name": "a", "template": "gpu"}]), gpu))

    (wish,) = step(run, [], T).acquire

    assert [(lock.name, lock.limit) for lock in wish.locks] == [("default/ConfigMap/limits/gpu", 2)]


def test_a_limit_that_is_no_number_is_an_error_of_the_node() -> None:
    bad = {
        **LEAF,
        "name": "bad",
        "synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "bad"}}]},
    }

    decision = rehearse(start(workflow(steps([{"name": "a", "template": "bad"}]), bad)), now=T)

    assert decision.phase is Phase.Failed
    assert "the limit of a semaphore is a whole number" in decision.message


def test_the_whole_workflow_waits_pending_for_its_own_lock() -> None:
    run = start(workflow(steps([{"name": "a"}]), synchronization={"mutexes": [{"name": "one"}]}))

    first = step(run, [], T)
    waits = step(run, [LockNews("", False, "default/Mutex/one", "0/1")], T)
    begun = step(run, [LockNews("", True)], T + timedelta(seconds=9))
    shown = status(run)["synchronization"]
    ended = step(run, [succeed(begun.start[0])], T + timedelta(seconds=10))

    assert first.acquire[0].holder == ""
    assert (waits.phase, waits.message) == (
        Phase.Pending, "Waiting for default/Mutex/one lock. Lock status: 0/1"
    )  # fmt: skip
    assert run.started_at == T + timedelta(seconds=9)
    assert shown == {"mutex": {"holding": [{"mutex": "default/Mutex/one", "holder": ""}]}}
    assert (ended.phase, ended.release) == (Phase.Succeeded, ("",))


@pytest.mark.parametrize("strategy", ["Stop", "Terminate"])
def test_a_workflow_that_waits_for_its_lock_can_be_stopped(strategy: Any) -> None:
    run = start(workflow(steps([{"name": "a"}]), synchronization={"mutexes": [{"name": "one"}]}))
    step(run, [], T)

    stopped = step(run, [Stop(strategy)], T)

    assert (stopped.phase, stopped.message) == (Phase.Failed, f"Stopped with strategy '{strategy}'")
    assert stopped.release == ("",)


def test_a_stop_ends_what_waits_for_a_lock_and_gives_it_up() -> None:
    run = start(workflow(steps([{"name": "a", "template": "locked"}]), LOCKED))
    (wish,) = step(run, [], T).acquire

    stopped = step(run, [Stop()], T)

    assert stopped.release == (wish.holder,)
    assert stopped.stop == ()
    assert node(run, "w[0].a").message == "Stopped with strategy 'Stop'"


def test_what_waits_longer_than_its_timeout_fails() -> None:
    slow = {**LOCKED, "timeout": "30s"}
    run = start(workflow(steps([{"name": "a", "template": "locked"}]), slow))

    first = step(run, [], T)
    late = step(run, [Tick()], T + timedelta(seconds=31))

    assert first.wake_at == T + timedelta(seconds=30)
    assert late.phase is Phase.Failed
    assert late.release == (first.acquire[0].holder,)


def test_a_restored_run_asks_again_for_what_is_unanswered_and_no_process_starts_without_its_lock() -> None:
    run = start(workflow(steps([{"name": "a", "template": "locked"}]), LOCKED))
    step(run, [], T)

    again = back(run)
    first = step(again, [Tick()], T)

    assert [wish.holder for wish in first.acquire] == [node(run, "w[0].a").id]
    assert started(first) == []
    assert started(step(again, [LockNews(first.acquire[0].holder, True)], T)) == ["w[0].a"]


def test_the_result_of_a_process_that_outlived_a_crash_counts_before_its_lock_is_answered() -> None:
    run = start(workflow(steps([{"name": "a", "template": "locked"}]), LOCKED))
    (wish,) = step(run, [], T).acquire
    (task,) = step(run, [LockNews(wish.holder, True)], T).start

    again = back(run)
    ended = step(again, [Tick(), succeed(task)], T)

    assert ended.phase is Phase.Succeeded
    assert ended.release == (wish.holder,)


def test_one_who_holds_a_lock_gives_it_back_after_its_last_attempt() -> None:
    flaky = {**LOCKED, "retryStrategy": {"limit": 1}}
    world = World(answer=fail)

    decision = rehearse(start(workflow(steps([{"name": "a", "template": "locked"}]), flaky)), now=T, world=world)

    assert node(decision.run, "w[0].a").type == "Retry"
    assert len([n for n in decision.run.nodes.values() if n.retried]) == 2
    assert world.locks.holders == {"default/Mutex/deploy": []}


def test_a_lock_that_somebody_else_holds_keeps_a_run_waiting() -> None:
    world = World(locks=Locks(taken={"default/Mutex/deploy": 1}))

    decision = rehearse(start(workflow(steps([{"name": "a", "template": "locked"}]), LOCKED)), now=T, world=world)

    assert not decision.run.ended
    assert node(decision.run, "w[0].a").phase is Phase.Pending


def test_parallelism_holds_for_those_that_come_from_their_locks() -> None:
    fan = {"name": "f", "template": "gpu", "withItems": [1, 2, 3, 4]}
    gpu = {
        **LEAF,
        "name": "gpu",
        "synchronization": {"semaphore": {"configMapKeyRef": {"name": "limits", "key": "gpu"}}},
    }
    run = start(workflow(steps([fan]), gpu, parallelism=1))
    pods: list[int] = []

    def watch(decision: Decision) -> Run:
        pods.append(decision.run.state.pods)
        return decision.run

    assert rehearse(run, now=T, after=watch).phase is Phase.Succeeded
    assert max(pods) == 1


# --- memos (research 2.12) -------------------------------------------------------------------------------------------


def memoized(**more: Any) -> dict[str, Any]:
    said = {"key": "k-1", "maxAge": "1h", "cache": {"configMap": {"name": "cache"}}}
    return {**LEAF, "name": "known", "memoize": said, **more}


def test_what_is_known_is_not_run_again() -> None:
    run = start(workflow(steps([{"name": "a", "template": "known"}]), memoized()))

    (wish,) = step(run, [], T).look_up
    hit = step(run, [MemoNews(wish.node_id, {"parameters": [{"name": "o", "value": "7"}]})], T)

    assert (wish.cache, wish.key, wish.max_age_s) == ("cache", "k-1", 3600)
    assert (hit.phase, hit.start, hit.remember) == (Phase.Succeeded, (), ())
    found = node(run, "w[0].a")
    assert (found.type, found.outputs.parameters) == ("Pod", {"o": "7"})
    assert found.to_argo()["memoizationStatus"] == {"hit": True, "key": "k-1", "cacheName": "cache"}


def test_what_is_not_known_runs_and_is_remembered_if_it_succeeds() -> None:
    good = rehearse(start(workflow(steps([{"name": "a", "template": "known"}]), memoized())), now=T)
    world = World(answer=fail)
    rehearse(start(workflow(steps([{"name": "a", "template": "known"}]), memoized())), now=T, world=world)

    assert node(good.run, "w[0].a").memoized == {"hit": False, "key": "k-1", "cacheName": "cache"}
    assert world.memos == {}


def test_the_outputs_of_steps_are_remembered_as_they_are() -> None:
    """Upstream v3.7 remembers empty ones: docs/compatibility.md."""
    inner = {
        "name": "inner",
        "steps": [[{"name": "x", "template": "leaf"}]],
        "outputs": {"parameters": [{"name": "p", "valueFrom": {"parameter": "{{steps.x.outputs.parameters.o}}"}}]},
        "memoize": {"key": "inner", "cache": {"configMap": {"name": "cache"}}},
    }
    world = World(answer=lambda task: TaskResult(task.node_id, Phase.Succeeded, exit_code=0, parameters={"o": "5"}))
    manifest = workflow(steps([{"name": "a", "template": "inner"}], [{"name": "b", "template": "inner"}]), inner)

    decision = rehearse(start(manifest), now=T, world=world)

    assert decision.phase is Phase.Succeeded
    assert node(decision.run, "w[1].b").outputs.parameters == {"p": "5"}
    assert "w[1].b[0]" not in {n.name for n in decision.run.nodes.values()}


def test_a_key_that_no_cache_takes_is_an_error() -> None:
    wrong = memoized(memoize={"key": "-x/y", "cache": {"configMap": {"name": "cache"}}})

    decision = rehearse(start(workflow(steps([{"name": "a", "template": "known"}]), wrong)), now=T)

    assert "invalid cache key" in decision.message


def test_a_lock_comes_before_the_memo() -> None:
    both = memoized(synchronization={"mutexes": [{"name": "deploy"}]})
    run = start(workflow(steps([{"name": "a", "template": "known"}]), both))

    first = step(run, [], T)
    second = step(run, [LockNews(first.acquire[0].holder, True)], T)
    third = step(run, [MemoNews(second.look_up[0].node_id, None)], T)

    assert (len(first.acquire), first.look_up, len(second.look_up), started(third)) == (1, (), 1, ["w[0].a"])


# --- suspend (research 2.11) -----------------------------------------------------------------------------------------

GATE: dict[str, Any] = {
    "name": "gate",
    "suspend": {},
    "inputs": {"parameters": [{"name": "approve", "default": "NO", "enum": ["YES", "NO"]}]},
    "outputs": {"parameters": [{"name": "approve", "valueFrom": {"supplied": {}}}]},
}


def gated() -> Run:
    use = {"name": "b", "when": "{{steps.a.outputs.parameters.approve}} == YES"}
    run = start(workflow(steps([{"name": "a", "template": "gate"}], [use]), GATE))
    step(run, [], T)
    return run


def test_a_gate_opens_with_what_a_person_says() -> None:
    run = gated()

    waits = node(run, "w[0].a")
    step(run, [SetNodes("displayName=a", outputs=Outputs({"approve": "YES"}))], T)
    ended = step(run, [Resume(by="ann")], T)

    assert (waits.type, waits.phase, waits.to_argo()["outputs"]) == (
        "Suspend", Phase.Running, {"parameters": [{"name": "approve"}]}
    )  # fmt: skip
    assert node(run, "w[0].a").message == "Resumed by: map[User:ann]"
    assert started(ended) == ["w[1].b"]


def test_what_nobody_says_has_its_default() -> None:
    run = gated()

    step(run, [Resume()], T)

    assert node(run, "w[0].a").outputs.parameters == {"approve": "NO"}
    assert node(run, "w[1].b").phase is Phase.Skipped


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SetNodes("displayName=a", outputs=Outputs({"approve": "MAYBE"})), "it must be one of YES, NO"),
        (SetNodes("displayName=a", outputs=Outputs({"other": "1"})), "not expecting output parameter 'other'"),
        (SetNodes("displayName=zzz", phase=Phase.Failed), "no suspended node matches"),
        (Stop(selector="color=red"), "nodes have no field 'color'"),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_reason_and_changes_nothing(said: Any, why: str) -> None:
    run = gated()

    assert why in problems(run, said)[0]
    if "color" not in str(said):
        step(run, [said], T)
        assert node(run, "w[0].a").phase is Phase.Running


def test_a_person_can_fail_a_gate() -> None:
    run = gated()

    ended = step(run, [Stop(selector="displayName=a", message="not today")], T)

    assert (ended.phase, node(run, "w[0].a").message) == (Phase.Failed, "not today")


def test_a_gate_with_a_duration_opens_by_itself_also_after_a_crash() -> None:
    run = start(workflow(steps([{"name": "a", "template": "pause"}]), {"name": "pause", "suspend": {"duration": "20"}}))
    first = step(run, [], T)

    again = back(run)

    assert first.wake_at == T + timedelta(seconds=20)
    assert step(again, [Tick()], T).wake_at == T + timedelta(seconds=20)
    assert step(again, [Tick()], T + timedelta(seconds=20)).phase is Phase.Succeeded


def test_a_run_in_which_only_a_person_can_move_is_parked() -> None:
    run = gated()

    assert run.parked
    step(run, [SetNodes("displayName=a", outputs=Outputs({"approve": "YES"})), Resume()], T)
    assert not run.parked


def test_a_workflow_that_is_written_suspended_begins_when_it_is_resumed() -> None:
    run = start(workflow(steps([{"name": "a"}]), suspend=True))

    first = step(run, [], T)

    assert (first.phase, first.start, run.nodes) == (Phase.Running, (), {})
    assert started(step(run, [Resume()], T)) == ["w[0].a"]


def test_a_pod_that_stays_pending_too_long_fails_and_is_stopped() -> None:
    slow = {**LEAF, "name": "slow", "pendingTimeout": "10s"}
    run = start(workflow(steps([{"name": "a", "template": "slow"}]), slow))
    first = step(run, [], T)
    other = start(workflow(steps([{"name": "a", "template": "slow"}]), slow))
    task: Task = step(other, [], T).start[0]
    step(other, [Started(task.node_id, T)], T)

    late = step(run, [Tick()], T + timedelta(seconds=11))

    assert (late.phase, late.stop) == (Phase.Failed, (first.start[0].node_id,))
    assert step(other, [Tick()], T + timedelta(seconds=11)).phase is Phase.Running
