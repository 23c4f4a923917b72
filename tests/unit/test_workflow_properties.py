"""Random workflows with random answers, played in time: tasks run beside one another and end when they like."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.happenings import Resume, Stop, Suspend, Task
from pipelines.core.nodes import Node, Phase
from pipelines.core.tree import COUNTED
from tests.unit.workflow_play import Answers, Life, Play, again, begun, fits

GIVEN = {"parameters": [{"name": "o", "valueFrom": {"path": "/o", "default": "d"}}]}
LEAVES: dict[str, dict[str, Any]] = {
    "plain": {"outputs": GIVEN},
    "flaky": {"outputs": GIVEN, "retryStrategy": {"limit": 2}},
    "patient": {"retryStrategy": {"limit": 2, "retryPolicy": "Always", "backoff": {"duration": "3", "factor": 2}}},
    "hasty": {"activeDeadlineSeconds": 2},
    "locked": {"synchronization": {"mutexes": [{"name": "one"}]}},
    "pause": {"suspend": {"duration": "4"}},
}
ITEMS = st.one_of(st.just({}), st.just({}), st.lists(st.sampled_from(["p", "q"]), min_size=1, max_size=3).map(
    lambda items: {"withItems": items}), st.just({"withParam": "[]"}))  # fmt: skip
WHEN = st.sampled_from([{}, {}, {}, {"when": "x == y"}, {"when": "x == x"}])
HOOK = st.sampled_from([{}, {}, {}, {"hooks": {"exit": {"template": "plain"}}}])
FORMS = ("{}", "{}", "{}.Succeeded", "{}.Failed", "({}.Succeeded || {}.Failed)", "!{}.Skipped", "{}.Omitted")


class Script(Answers):
    """Answers by chance, the same for the same name: most tasks succeed; how long one takes is chance, too."""

    def __init__(self, seed: int, bad: int) -> None:
        super().__init__({})
        self.seed, self.bad = seed, bad

    def of(self, task: Task) -> Mapping[str, Any]:
        dice = crc32(f"{self.seed} {task.node_name}".encode())
        said: dict[str, Any] = {"after": 1 + dice % 4, "parameters": {"o": str(dice % 100)}}
        if dice // 4 % 12 < self.bad:
            return said | ({"exit": 1} if dice % 3 else {"phase": "Error", "message": "gone"})
        return said


@st.composite
def templates(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Inner templates, each of which calls only those before it."""
    made = dict(LEAVES)
    for index in range(draw(st.integers(0, 3))):
        made[f"inner{index}"] = draw(bodies(sorted(made)))
    made["root"] = draw(bodies(sorted(made)))
    return made


@st.composite
def bodies(draw: st.DrawFn, callable_names: list[str]) -> dict[str, Any]:
    limits = draw(st.sampled_from([{}, {}, {"parallelism": 1}, {"parallelism": 2}, {"retryStrategy": {"limit": 1}}]))
    call = st.builds(lambda template, *more: {"template": template, **{k: v for one in more for k, v in one.items()}},
                     st.sampled_from(callable_names), ITEMS, WHEN, HOOK)  # fmt: skip
    if draw(st.booleans()):
        groups = draw(st.lists(st.lists(call, min_size=1, max_size=3), min_size=1, max_size=3))
        forgiving = st.sampled_from([{}, {"continueOn": {"failed": True, "error": True}}])
        return {**limits, "steps": [[{"name": f"s{i}{j}", **one, **draw(forgiving)} for j, one in enumerate(group)]
                                    for i, group in enumerate(groups)]}  # fmt: skip
    tasks: list[dict[str, Any]] = []
    for index, one in enumerate(draw(st.lists(call, min_size=1, max_size=5))):
        task = {"name": f"t{index}", **one}
        needs = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        if needs:
            parts = [draw(st.sampled_from(FORMS)).replace("{}", f"t{need}") for need in needs]
            task["depends"] = draw(st.sampled_from([" && ", " || "])).join(parts)
        tasks.append(task)
    return {**limits, "dag": {"tasks": tasks, **draw(st.sampled_from([{}, {"failFast": False}]))}}


WORKFLOWS = st.builds(
    lambda made, extra: {"entrypoint": "root", "templates": made, **extra}, templates(),
    st.sampled_from([{}, {}, {"parallelism": 1}, {"parallelism": 3}, {"onExit": "plain"}]),
)  # fmt: skip
NEXT = st.sampled_from([{"do": "retry"}, {"do": "resubmit", "memoized": True}])
SEEDS, BAD = st.integers(0, 999), st.sampled_from([0, 2, 5])


def life_of(short: dict[str, Any], seed: int, bad: int) -> Life:
    life = begun(short, "w", (), {})
    life.answers = Script(seed, bad)
    return life


async def played(short: dict[str, Any], seed: int, bad: int, play: Play | None = None) -> Life:
    play, life = play or Play(), life_of(short, seed, bad)
    play.enter(life)
    await play.on()
    return life


def over(life: Life) -> bool:
    """The run has ended, every node with it, and nothing is left anywhere."""
    assert life.run.ended
    assert [node.name for node in life.run.nodes.values() if not node.phase.fulfilled] == []
    assert not life.tasks
    state = life.run.state
    assert (state.pods, state.frames, state.wishes, state.held) == (0, {}, {}, {})
    return True


def forgiven(short: Mapping[str, Any], life: Life, node: Node) -> bool:
    """Whether a step around a node has `continueOn`: then a stop that cuts the node fails nobody, as upstream."""
    nodes = life.run.nodes
    while node.boundary_id:
        around = nodes[node.boundary_id]
        steps = [one for group in short["templates"][around.template_name].get("steps", ()) for one in group]
        own = node.name.removeprefix(around.name)
        if any(re.match(rf"\[\d+\]\.{one['name']}\b", own) and one.get("continueOn") for one in steps):
            return True
        node = around
    return False


def facts(life: Life) -> dict[str, Any]:
    nodes, children = life.run.nodes, life.run.children
    return {
        one.name: (one.type, one.phase, one.message, one.inputs.parameters, one.outputs.parameters,
                   sorted(nodes[child].name for child in children.get(one.id, ())))
        for one in nodes.values()
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(WORKFLOWS, SEEDS, BAD)
async def test_every_workflow_ends_within_its_limits_at_every_moment(short: Any, seed: int, bad: int) -> None:
    def limits(life: Life) -> None:
        nodes = life.run.nodes
        running = [nodes[one] for one in life.tasks if not nodes[one].hooked]
        assert len(running) <= short.get("parallelism", len(running))
        active = Counter(node.boundary_id for node in nodes.values() if not node.phase.fulfilled and not node.hooked
                         and node.type in COUNTED)  # fmt: skip
        for boundary, count in active.items():
            template = short["templates"].get(nodes[boundary].template_name, {}) if boundary else {}
            assert count <= template.get("parallelism", count), nodes[boundary].name
        held = [node for node in running if node.template_name == "locked"]
        assert len(held) <= 1

    life = await played(short, seed, bad, Play(watch=limits))

    assert over(life)
    assert max(Counter(life.started).values(), default=1) == 1


@settings(max_examples=60, deadline=None)
@given(WORKFLOWS, SEEDS, BAD)
async def test_nothing_starts_before_what_it_waits_for_has_ended(short: Any, seed: int, bad: int) -> None:
    life = await played(short, seed, bad)

    nodes = {node.name: node for node in life.run.nodes.values()}
    for node in nodes.values():
        template = short["templates"].get(node.template_name, {}) if node.type in ("Steps", "DAG") else {}
        for index in range(1, len(template.get("steps", ()))):
            before, group = nodes.get(f"{node.name}[{index - 1}]"), nodes.get(f"{node.name}[{index}]")
            assert group is None or before.finished_at <= group.started_at  # type: ignore[union-attr, operator]
        for task in template.get("dag", {}).get("tasks", ()):
            made = nodes.get(f"{node.name}.{task['name']}")
            for need in re.findall(r"t\d+", task.get("depends", "")) if made is not None else ():
                assert nodes[f"{node.name}.{need}"].finished_at <= made.started_at  # type: ignore[operator, union-attr]


@settings(max_examples=60, deadline=None)
@given(WORKFLOWS, SEEDS, BAD, SEEDS)
async def test_a_platform_that_dies_at_any_moments_comes_to_the_same_end(
    short: Any, seed: int, bad: int, moments: int
) -> None:
    # Not st.randoms: a draw in here may end the example by a BaseException, and with it the event loop's runner.
    dice = random.Random(moments)
    whole = await played(short, seed, bad)

    crashed = await played(short, seed, bad, Play(crash=True, dies=lambda: dice.random() < 0.4))

    assert over(crashed)
    assert crashed.run.phase is whole.run.phase
    assert facts(crashed) == facts(whole)
    assert sorted(crashed.started) == sorted(whole.started)


@settings(max_examples=60, deadline=None)
@given(WORKFLOWS, SEEDS, st.integers(0, 12), st.sampled_from(["Stop", "Terminate"]), st.booleans())
async def test_a_stop_at_any_moment_ends_everything(
    short: Any, seed: int, at: int, how: Any, suspended: bool
) -> None:  # fmt: skip
    play, life = Play(), life_of(short, seed, 2)
    play.enter(life)
    if suspended:
        await play.on(at / 2)
        play.tell("w", Suspend())
    await play.on(at)
    before, ended = list(life.started), life.run.ended

    play.tell("w", Stop(how))
    await play.on()

    assert over(life)
    nodes = {node.name: node for node in life.run.nodes.values()}
    good = all(nodes[name].hooked or forgiven(short, life, nodes[name]) for name in life.stopped)
    assert ended or good or life.run.phase is not Phase.Succeeded
    assert [one for one in life.started[len(before) :] if how == "Terminate" or "onExit" not in one] == []


@settings(max_examples=40, deadline=None)
@given(WORKFLOWS, SEEDS, BAD, st.integers(0, 12))
async def test_a_suspension_starts_nothing_and_changes_no_end(short: Any, seed: int, bad: int, at: int) -> None:
    whole = await played(short, seed, bad)
    play, life = Play(), life_of(short, seed, bad)
    play.enter(life)
    await play.on(at)
    play.tell("w", Suspend())
    await play.on(at)
    before = list(life.started)

    await play.on(at + 40)
    held = list(life.started)
    play.tell("w", Resume())
    await play.on()

    assert held == before
    assert over(life)
    assert {name: fact[:2] for name, fact in facts(life).items()} == {n: fact[:2] for n, fact in facts(whole).items()}


@settings(max_examples=60, deadline=None)
@given(WORKFLOWS, SEEDS, st.sampled_from([2, 5]), NEXT)
async def test_a_next_life_keeps_what_succeeded(short: Any, seed: int, bad: int, how: Any) -> None:
    play = Play()
    first = await played(short, seed, bad, play)

    second = again(play, first, how, {})
    kept = {node.name for node in second.run.nodes.values() if node.type == "Pod" and node.phase is Phase.Succeeded}
    play.enter(second)
    await play.on()

    assert over(second)
    assert not kept & set(second.started)
    assert all(fits(f"{second.name}*", name) for name in second.started)
