"""`dag`: tasks that start when what they depend on has ended as they wish.

A task whose condition does not hold is Omitted, and passes on how its branch ended. `failFast` stops nothing that runs.
Each task counts those of its needs that are not over: the end of one touches those that wait for it, and no others.

Source: workflow/controller/dag.go of Argo Workflows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.core import hooks
from pipelines.core.conditions import NoCondition, evaluate
from pipelines.core.expand import ExpandError, expand, is_loop
from pipelines.core.graph import Graph, graph_at
from pipelines.core.launch import has_room
from pipelines.core.members import EMPTY, FAIL_FAST, begin_step, failing_fast, fresh_group, pump, resolved, skip
from pipelines.core.nodes import Node, Phase
from pipelines.core.outputs import template_outputs
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Course, Frame
from pipelines.core.steps import forgives
from pipelines.core.substitute import Unresolved
from pipelines.core.walk import Walk
from retrain.errors import ConfigError

OMITTED = "omitted: depends condition not met"


class DagRules:
    """What DAG nodes and their TaskGroups do."""

    def begin(self, walk: Walk, frame: Frame) -> None:
        try:
            graph = graph_at(frame.template["dag"])
        except ConfigError as error:
            walk.complete(frame, Phase.Error, str(error), raised=str(error))
            return
        walk.state.courses[frame.node_id] = Course({})
        for task in graph.wanted:
            if (node := _node(walk, frame, task)) is not None:
                _adopt(walk, frame, graph, task, node)
        # Only now is it known which of the saved tasks have hooks that still run.
        course = walk.state.courses[frame.node_id] = _course(walk, frame, graph)
        course.ready.extend(task for task, missing in course.missing.items()
                            if missing == 0 and _node(walk, frame, task) is None)  # fmt: skip
        _advance(walk, frame, graph)

    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None:
        frame = walk.frames[call.boundary]
        if raised and not call.hooked:
            node = walk.nodes[walk.id_of(f"{frame.name}.{call.step.get('name')}")]
            walk.edit(node.id, phase=Phase.Error, message=f"task '{node.name}' errored: {raised}")
        if parent.type == "TaskGroup":
            _group(walk, frame, parent)
            return
        graph = graph_at(frame.template["dag"])
        _count_down(walk, frame, graph, call.slot)
        _advance(walk, frame, graph)

    def resume(self, walk: Walk, parent: Node) -> None:
        if parent.type == "TaskGroup":
            _group(walk, walk.frames[parent.boundary_id], parent)
        else:
            frame = walk.frames[parent.id]
            _advance(walk, frame, graph_at(frame.template["dag"]))

    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Scope | None:
        frame = walk.frames[call.boundary]
        return _scope(walk, frame, graph_at(frame.template["dag"]), call.slot, node)


def _node(walk: Walk, frame: Frame, task: str) -> Node | None:
    return walk.get(f"{frame.name}.{task}")


def _course(walk: Walk, frame: Frame, graph: Graph) -> Course:
    over = {task for task in graph.wanted if hooks.is_over(walk, _node(walk, frame, task))}
    missing = {task: sum(need not in over for need in graph.needs(task)) for task in graph.wanted}
    return Course(missing, over=over)


def _count_down(walk: Walk, frame: Frame, graph: Graph, task: str) -> None:
    """If a task is over, with its hooks, those that wait for it wait for one less."""
    course = walk.state.courses[frame.node_id]
    if task in course.over or not hooks.is_over(walk, _node(walk, frame, task)):
        return
    course.over.add(task)
    for waiting in graph.dependents[task]:
        if waiting in course.missing:
            course.missing[waiting] -= 1
            if course.missing[waiting] == 0 and _node(walk, frame, waiting) is None:
                course.ready.append(waiting)


def _advance(walk: Walk, frame: Frame, graph: Graph) -> None:
    """Start who can start, as far as there is room; then see whether the DAG has ended."""
    course = walk.state.courses[frame.node_id]
    while course.ready and not failing_fast(walk, frame):
        if walk.adopting or not _attempt(walk, frame, graph, course.ready[0]):
            walk.block(frame.node_id)
            break
        course.ready.popleft()
    _assess(walk, frame, graph)


def _attempt(walk: Walk, frame: Frame, graph: Graph, task: str) -> bool:
    """Start a task whose needs are all over. False: there is no room."""
    call = _call(frame, graph.tasks[task], task)
    if not _holds(walk, frame, graph, task):
        skip(walk, f"{frame.name}.{task}", call, OMITTED, Phase.Omitted)
        _connect(walk, frame, graph, task)
        return True
    return _begin(walk, frame, graph, task, call)


def _adopt(walk: Walk, frame: Frame, graph: Graph, task: str, node: Node) -> None:
    """Go on with a task that has a node."""
    call = _call(frame, graph.tasks[task], task)
    if not node.phase.fulfilled:
        _begin(walk, frame, graph, task, call)
    else:
        begin_step(walk, node.name, call)  # its hooks may run
        if node.type == "TaskGroup" and any(walk.nodes[one].daemoned for one in walk.children(node.id)):
            _adopt_daemons(walk, frame, graph, replace(call, parent=node.id))


def _adopt_daemons(walk: Walk, frame: Frame, graph: Graph, call: Call) -> None:
    """Daemons run on after their group has closed: they are stopped with the whole."""
    scope = _scope(walk, frame, graph, call.slot)
    for member in expand(resolved(graph.tasks[call.slot], scope), scope):
        node = walk.get(f"{frame.name}.{member['name']}")
        if node is not None and node.daemoned:
            begin_step(walk, node.name, replace(call, step=member))


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
            return node.daemoned and node.phase is not Phase.Pending
        case "AnySucceeded" | "AllFailed":
            if node.type != "TaskGroup":
                return False
            phases = [child.phase for one in walk.children(node.id) if not (child := walk.nodes[one]).hooked]
            return Phase.Succeeded in phases if result == "AnySucceeded" else all(p is Phase.Failed for p in phases)
        case _:
            return str(node.phase) == result


def _begin(walk: Walk, frame: Frame, graph: Graph, task: str, call: Call) -> bool:
    name = f"{frame.name}.{task}"
    try:
        scope = _scope(walk, frame, graph, task)
        step = resolved(graph.tasks[task], scope)
        members = expand(step, scope)
    except (Unresolved, ConfigError, ExpandError) as error:
        skip(walk, name, call, str(error), Phase.Error)
        _connect(walk, frame, graph, task)
        return True
    if not is_loop(step):
        return _single(walk, frame, graph, replace(call, step=members[0]))
    if members:
        return _expanded(walk, frame, graph, replace(call, step=step), members)
    skip(walk, name, call, EMPTY)
    _connect(walk, frame, graph, task)
    return True


def _single(walk: Walk, frame: Frame, graph: Graph, call: Call) -> bool:
    name = f"{frame.name}.{call.slot}"
    if walk.get(name) is None:
        try:
            message, phase = f"when '{call.step.get('when')}' evaluated false", Phase.Skipped
            runs = evaluate(call.step.get("when") or "")
        except NoCondition as error:
            runs, message, phase = False, str(error), Phase.Error
        if not runs:
            skip(walk, name, call, message, phase)
            _connect(walk, frame, graph, call.slot)
            return True
    if not begin_step(walk, name, call):
        return False
    _connect(walk, frame, graph, call.slot)
    return True


def _expanded(
    walk: Walk, frame: Frame, graph: Graph, call: Call, members: Sequence[Mapping[str, Any]]
) -> bool:  # fmt: skip
    group = _node(walk, frame, call.slot)
    adopted = group is not None
    if group is None:
        if failing_fast(walk, frame) and not has_room(walk, call):
            return False
        group = walk.create(f"{frame.name}.{call.slot}", "TaskGroup", call, Phase.Running)
        _connect(walk, frame, graph, call.slot)
    walk.state.groups[group.id] = fresh_group([(call.slot, _with_exit_hooks_only(members), call.step)])
    walk.state.open[group.id] = 0
    walk.state.open[frame.node_id] = walk.state.open.get(frame.node_id, 0) + 1
    if adopted:
        hooks.adopt(walk, _group_call(call), group)
    else:
        hooks.watch(walk, _group_call(call), group.id)
    _group(walk, frame, group)
    return True


def _with_exit_hooks_only(members: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if not members[0].get("hooks"):
        return members
    return [{**one, "hooks": {key: h for key, h in one["hooks"].items() if key == hooks.EXIT}} for one in members]


def _group_call(call: Call) -> Call:
    """A loop's hooks look at its TaskGroup; its exit hook runs for each member."""
    step = {key: value for key, value in call.step.items() if key != "onExit"}
    return replace(call, step={**step, "hooks": hooks.others(step)})


def _connect(walk: Walk, frame: Frame, graph: Graph, task: str) -> None:
    """A task is a child of the last nodes of what it depends on; of the DAG if it depends on nothing."""
    name = walk.id_of(f"{frame.name}.{task}")
    if walk.adopting and name in walk.nodes:
        return  # it is, and a second look could find other last nodes: those of what came after a group that failed
    needs = graph.needs(task)
    if not needs:
        walk.add_children(frame.node_id, [name])
    for need in needs:
        before = walk.id_of(f"{frame.name}.{need}")
        # One that failed fast has no last nodes: upstream leaves the task unconnected, and the DAG never ends.
        for end in walk.outbound(before) or [before]:
            walk.add_children(end, [name])


def _group(walk: Walk, frame: Frame, group: Node) -> None:
    """Start what members of a fan-out can be started; end it when all have ended."""
    graph = graph_at(frame.template["dag"])
    made = walk.state.groups[group.id]
    if failing_fast(walk, frame) and made.next < len(made.members) and not walk.adopting:
        _assess(walk, frame, graph)
        return
    common = replace(_call(frame, {}, ""), parent=group.id)
    started = pump(walk, group, frame, common, f"{frame.name}.")
    if not started or walk.state.open.get(group.id, 0) > 0:
        return
    members = [node for child in walk.children(group.id) if not (node := walk.nodes[child]).hooked]
    bad = [node.phase for node in members if node.phase.bad]
    phase = bad[-1] if bad else Phase.Succeeded
    slot = walk.state.groups.pop(group.id).slots[0]
    walk.state.open.pop(group.id, None)
    group = walk.edit(group.id, phase=phase, finished_at=walk.now)
    walk.ended_at_once(_call(frame, {"name": slot}, slot), group)


def _assess(walk: Walk, frame: Frame, graph: Graph) -> None:
    """End the DAG if nothing of it runs or waits."""
    if failing_fast(walk, frame):
        if walk.busy(frame.node_id) == 0:
            walk.close_inside(frame.node_id, FAIL_FAST)
            walk.complete(frame, Phase.Failed, FAIL_FAST)
        return
    if walk.state.open.get(frame.node_id, 0) > 0 or walk.state.courses[frame.node_id].ready:
        return
    phase = Phase.Failed if walk.state.halted and not frame.call.on_exit else _phase(walk, frame, graph)
    ends = [end for t in graph.targets if (n := _node(walk, frame, t)) is not None for end in walk.outbound(n.id)]
    walk.edit(frame.node_id, outbound_nodes=tuple(ends))
    if phase.bad:
        walk.complete(frame, phase)
        return
    try:
        outputs = template_outputs(frame.template, _scope(walk, frame, graph, ""))
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
    queue = deque((child, Phase.Succeeded) for child in walk.children(frame.node_id))
    seen = set(queue)
    while queue:
        node_id, phase = queue.popleft()
        node = walk.nodes[node_id]
        phase = node.phase if node.phase.completed else phase
        if node_id in targets and not found.get(node_id, Phase.Succeeded).bad:
            found[node_id] = phase
        for step in ((child, phase) for child in _after(walk, node)):
            if step not in seen:
                seen.add(step)
                queue.append(step)
    return found


def _after(walk: Walk, node: Node) -> Sequence[str]:
    """Where a branch goes on; from a Retry node at what came after its last attempt, for the others do not count."""
    children = walk.children(node.id)
    if node.type != "Retry":
        return children
    hooked = [child for child in children if walk.nodes[child].hooked]
    attempts = walk.attempts(node.id)
    return [*hooked, *(walk.children(attempts[-1].id) if attempts else ())]


def _scope(walk: Walk, frame: Frame, graph: Graph, task: str, own: Node | None = None) -> Scope:
    """What the ancestors of a task gave (everything, for no task); and itself, for its hooks."""

    def node_of(name: str) -> tuple[Node, Sequence[Node] | None] | None:
        if own is not None and name == task:
            return own, None
        visible = graph.is_above(name, task) if task else name in graph.tasks
        node = _node(walk, frame, name) if visible else None
        if node is None:
            return None
        if node.type == "TaskGroup":
            return node, [walk.nodes[child] for child in walk.children(node.id)]
        return walk.last_attempt(node), None

    def declared(name: str) -> Mapping[str, Any]:
        try:
            return walk.plan.resolve(graph.tasks[name], frame.holder)[0]
        except ConfigError:
            return {}

    def names() -> Iterable[str]:
        return sorted(graph.ancestors(task) if task else graph.tasks)

    return Scope("tasks", node_of, declared, walk.known, walk.nodes[frame.node_id].inputs, names)
