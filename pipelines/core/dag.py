"""`dag`: tasks that start when what they depend on has ended as they wish.

A task whose condition does not hold is Omitted, and passes on how its branch ended. `failFast` stops nothing that runs.

Source: workflow/controller/dag.go of Argo Workflows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pipelines.core.depends import Depends, depends_of, tolerant_of
from pipelines.core.expand import ExpandError, expand, is_loop
from pipelines.core.members import (
    EMPTY,
    FAIL_FAST,
    failing_fast,
    fresh_group,
    last_attempt,
    outputs_of,
    pump,
    resolved,
    self_scope,
    skip,
)
from pipelines.core.nodes import Node, Phase
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame
from pipelines.core.steps import forgives
from pipelines.core.substitute import Lookup, Unresolved
from pipelines.core.walk import Walk
from retrain.errors import ConfigError
from retrain.expressions.govaluate import ExpressionError, evaluate

OMITTED = "omitted: depends condition not met"


@dataclass(frozen=True, slots=True)
class Graph:
    """The tasks of one dag template, and who waits for whom."""

    tasks: Mapping[str, Mapping[str, Any]]
    depends: Mapping[str, Depends | None]
    dependents: Mapping[str, tuple[str, ...]]
    targets: tuple[str, ...]
    wanted: tuple[str, ...]
    """What the targets need, in the order written."""

    def ancestors(self, task: str) -> frozenset[str]:
        found: set[str] = set()
        stack = list(self.needs(task))
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack += self.needs(name)
        return frozenset(found)

    def needs(self, task: str) -> tuple[str, ...]:
        depends = self.depends.get(task)
        return depends.tasks if depends else ()


class _Key:
    """A template by identity, so that a graph is made once for each frame."""

    __slots__ = ("dag",)

    def __init__(self, dag: Mapping[str, Any]) -> None:
        self.dag = dag

    def __hash__(self) -> int:
        return id(self.dag)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.dag is self.dag


@lru_cache(maxsize=512)
def _graph(key: _Key) -> Graph:
    return graph_of(key.dag)


def graph_of(dag: Mapping[str, Any]) -> Graph:
    """Compile a `dag`.

    Raises:
        ConfigError: a `depends` cannot be read, or names no task.
    """
    tasks = {str(task["name"]): task for task in dag["tasks"]}
    tolerant = tolerant_of(tasks)
    depends = {name: depends_of(task, tolerant) for name, task in tasks.items()}
    dependents: dict[str, list[str]] = {name: [] for name in tasks}
    for name, one in depends.items():
        for other in one.tasks if one else ():
            if other not in tasks:
                raise ConfigError(f"tasks.{name} dependency '{other}' not defined")
            dependents[other].append(name)
    leaves = tuple(sorted(name for name, waiting in dependents.items() if not waiting))
    targets = tuple(str(dag["target"]).split(" ")) if dag.get("target") else leaves
    if missing := [name for name in targets if name not in tasks]:
        raise ConfigError(f"target '{missing[0]}' is not defined")
    graph = Graph(tasks, depends, {k: tuple(v) for k, v in dependents.items()}, targets, ())
    needed = set(targets).union(*(graph.ancestors(target) for target in targets))
    return replace(graph, wanted=tuple(name for name in tasks if name in needed))


class DagRules:
    """What DAG nodes and their TaskGroups do."""

    def begin(self, walk: Walk, frame: Frame) -> None:
        try:
            graph = _graph(_Key(frame.template["dag"]))
        except ConfigError as error:
            walk.complete(frame, Phase.Error, str(error), raised=str(error))
            return
        for task in graph.wanted:
            _attempt(walk, frame, graph, task)
        _assess(walk, frame, graph)

    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None:
        if raised and not call.hooked:
            node = walk.nodes[walk.id_of(f"{walk.frames[call.boundary].name}.{call.step.get('name')}")]
            walk.put(replace(node, phase=Phase.Error, message=f"task '{node.name}' errored: {raised}"))
        if parent.type == "TaskGroup":
            _group(walk, walk.frames[parent.boundary_id], parent)
            return
        frame = walk.frames[parent.id]
        graph = _graph(_Key(frame.template["dag"]))
        if not failing_fast(walk, frame):
            for task in graph.dependents[call.slot]:
                if task in graph.wanted:
                    _attempt(walk, frame, graph, task)
        _assess(walk, frame, graph)

    def resume(self, walk: Walk, parent: Node) -> None:
        if parent.type == "TaskGroup":
            _group(walk, walk.frames[parent.boundary_id], parent)
        else:
            self.begin(walk, walk.frames[parent.id])

    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Lookup:
        frame = walk.frames[call.boundary]
        scope = _scope(walk, frame, _graph(_Key(frame.template["dag"])), call.slot)
        return self_scope(walk, "tasks", call.slot, last_attempt(walk, node), scope)


def _node(walk: Walk, frame: Frame, task: str) -> Node | None:
    return walk.get(f"{frame.name}.{task}")


def _over(walk: Walk, node: Node | None) -> bool:
    return node is not None and node.phase.fulfilled and not walk.hook_open(node)


def _attempt(walk: Walk, frame: Frame, graph: Graph, task: str) -> None:
    """Start a task if it can be; nothing happens if it has been."""
    node = _node(walk, frame, task)
    if node is not None and not walk.adopting:
        return
    needs = graph.needs(task)
    if node is None and not all(_over(walk, _node(walk, frame, need)) for need in needs):
        return
    call = _call(frame, graph.tasks[task], task)
    if node is None and walk.adopting:
        walk.block(frame.node_id)
        return
    if node is None and not _holds(walk, frame, graph, task):
        skip(walk, f"{frame.name}.{task}", call, OMITTED, Phase.Omitted)
        _connect(walk, frame, graph, task)
        return
    if node is None or not node.phase.fulfilled:
        _begin(walk, frame, graph, task, call)
    else:
        walk.start(node.name, call)  # adopted: its exit hook may run


def _call(frame: Frame, step: Mapping[str, Any], task: str) -> Call:
    return Call(
        step, frame.holder, parent=frame.node_id, boundary=frame.node_id, slot=task, prefix="tasks",
        depth=frame.call.depth + 1, on_exit=frame.call.on_exit,
    )  # fmt: skip


def _holds(walk: Walk, frame: Frame, graph: Graph, task: str) -> bool:
    depends = graph.depends[task]

    def answer(name: str, result: str) -> bool:
        node = _node(walk, frame, name)
        return node is not None and _result(walk, node, result)

    return depends is None or depends.holds(answer)


def _result(walk: Walk, node: Node, result: str) -> bool:
    match result:
        case "Errored":
            return node.phase is Phase.Error
        case "Daemoned":
            return False
        case "AnySucceeded" | "AllFailed":
            if node.type != "TaskGroup":
                return False
            phases = [walk.nodes[child].phase for child in node.children]
            return Phase.Succeeded in phases if result == "AnySucceeded" else all(p is Phase.Failed for p in phases)
        case _:
            return str(node.phase) == result


def _begin(walk: Walk, frame: Frame, graph: Graph, task: str, call: Call) -> None:
    name = f"{frame.name}.{task}"
    try:
        step = resolved(graph.tasks[task], _scope(walk, frame, graph, task))
        members = expand(step, walk.variable)
    except (Unresolved, ConfigError, ExpandError) as error:
        skip(walk, name, call, str(error), Phase.Error)
        _connect(walk, frame, graph, task)
        return
    if not is_loop(step):
        _single(walk, frame, graph, replace(call, step=members[0]))
    elif members:
        _expanded(walk, frame, graph, replace(call, step=step), members)
    else:
        skip(walk, name, call, EMPTY)
        _connect(walk, frame, graph, task)


def _single(walk: Walk, frame: Frame, graph: Graph, call: Call) -> None:
    name = f"{frame.name}.{call.slot}"
    if walk.get(name) is None:
        try:
            runs = evaluate(call.step.get("when") or "")
        except ExpressionError as error:
            skip(walk, name, call, str(error), Phase.Error)
            _connect(walk, frame, graph, call.slot)
            return
        if not runs:
            skip(walk, name, call, f"when '{call.step['when']}' evaluated false")
            _connect(walk, frame, graph, call.slot)
            return
    if walk.start(name, call):
        _connect(walk, frame, graph, call.slot)
    else:
        walk.block(frame.node_id)


def _expanded(
    walk: Walk, frame: Frame, graph: Graph, call: Call, members: Sequence[Mapping[str, Any]]
) -> None:  # fmt: skip
    group = _node(walk, frame, call.slot)
    if group is None:
        if not walk._room(call) and failing_fast(walk, frame):  # pyright: ignore[reportPrivateUsage]
            walk.block(frame.node_id)
            return
        group = walk.create(f"{frame.name}.{call.slot}", "TaskGroup", call, Phase.Running)
        _connect(walk, frame, graph, call.slot)
    walk.groups[group.id] = fresh_group([(call.slot, members, call.step)])
    walk.open[group.id] = 0
    walk.open[frame.node_id] = walk.open.get(frame.node_id, 0) + 1
    _group(walk, frame, group)


def _connect(walk: Walk, frame: Frame, graph: Graph, task: str) -> None:
    """A task is a child of the last nodes of what it depends on; of the DAG if it depends on nothing."""
    name = walk.id_of(f"{frame.name}.{task}")
    needs = graph.needs(task)
    if not needs:
        walk.add_children(frame.node_id, [name])
    for need in needs:
        for end in walk.outbound(walk.id_of(f"{frame.name}.{need}")):
            walk.add_children(end, [name])


def _group(walk: Walk, frame: Frame, group: Node) -> None:
    """Start what members of a fan-out can be started; end it when all have ended."""
    if failing_fast(walk, frame):
        _assess(walk, frame, _graph(_Key(frame.template["dag"])))
        return
    common = replace(_call(frame, {}, ""), parent=group.id)
    started = pump(walk, walk.nodes[group.id], frame, common, f"{frame.name}.")
    if not started or walk.open.get(group.id, 0) > 0:
        return
    group = walk.nodes[group.id]
    bad = [node.phase for child in group.children if (node := walk.nodes[child]).phase.bad]
    phase = bad[-1] if bad else Phase.Succeeded
    group = walk.put(replace(group, phase=phase, finished_at=walk.now))
    slot = walk.groups.pop(group.id).slots[0]
    walk.open.pop(group.id, None)
    walk.ended_at_once(_call(frame, {"name": slot}, slot), group)


def _assess(walk: Walk, frame: Frame, graph: Graph) -> None:
    """End the DAG if nothing of it runs or waits."""
    if failing_fast(walk, frame):
        if walk.active.get(frame.node_id, 0) == 0:
            walk.complete(frame, Phase.Failed, FAIL_FAST)
        return
    if walk.open.get(frame.node_id, 0) > 0 or frame.node_id in walk.blocked:
        return
    phase = Phase.Failed if walk.halted and not frame.call.on_exit else _phase(walk, frame, graph)
    ends = [end for t in graph.targets if (n := _node(walk, frame, t)) is not None for end in walk.outbound(n.id)]
    walk.put(replace(walk.nodes[frame.node_id], outbound_nodes=tuple(ends)))
    if phase.bad:
        walk.complete(frame, phase)
        return
    try:
        outputs = outputs_of(frame, _scope(walk, frame, graph, ""))
    except (Unresolved, ConfigError) as error:
        walk.complete(frame, Phase.Error, str(error), raised=str(error))
        return
    walk.complete(frame, Phase.Succeeded, outputs=outputs)


def _phase(walk: Walk, frame: Frame, graph: Graph) -> Phase:
    """How the targets ended, where one that was omitted ended as its branch did: breadth first over the nodes."""
    branch = _branches(walk, frame, {walk.id_of(f"{frame.name}.{target}") for target in graph.targets})
    fail_fast = frame.template["dag"].get("failFast") is not False
    result = Phase.Succeeded
    for target in graph.targets:
        phase = branch.get(walk.id_of(f"{frame.name}.{target}"), Phase.Succeeded)
        if phase.bad and not forgives(graph.tasks[target].get("continueOn") or {}, phase):
            result = phase
            if fail_fast:
                break
    return result


def _branches(walk: Walk, frame: Frame, targets: set[str]) -> dict[str, Phase]:
    found: dict[str, Phase] = {}
    queue = deque((child, Phase.Succeeded) for child in walk.nodes[frame.node_id].children)
    seen = set(queue)
    while queue:
        node_id, phase = queue.popleft()
        node = walk.nodes[node_id]
        phase = node.phase if node.phase.completed else phase
        if node_id in targets and not found.get(node_id, Phase.Succeeded).bad:
            found[node_id] = phase
        for step in ((child, phase) for child in node.children):
            if step not in seen:
                seen.add(step)
                queue.append(step)
    return found


def _scope(walk: Walk, frame: Frame, graph: Graph, task: str) -> Scope:
    """What the ancestors of a task gave; everything, for no task."""
    seen: list[frozenset[str]] = []  # found when first asked for: most tasks read little

    def visible() -> frozenset[str]:
        if not seen:
            seen.append(graph.ancestors(task) if task else frozenset(graph.tasks))
        return seen[0]

    def node_of(name: str) -> tuple[Node, Sequence[Node] | None] | None:
        node = _node(walk, frame, name) if name in visible() else None
        if node is None:
            return None
        if node.type == "TaskGroup":
            return node, [walk.nodes[child] for child in node.children]
        return last_attempt(walk, node), None

    def declared(name: str) -> Mapping[str, Any]:
        try:
            return walk.plan.resolve(graph.tasks[name], frame.holder)[0]
        except ConfigError:
            return {}

    return Scope("tasks", node_of, declared, walk.variable)
