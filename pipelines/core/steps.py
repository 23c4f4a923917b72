"""`steps`: groups one after the other, the members of a group at the same time.

Every member of a group ends before the group is judged. One that fails, and may not (`continueOn`), fails the group,
and that the whole: Failed, even where the member was in Error.

Source: workflow/controller/steps.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.core.aggregate import AggregateError
from pipelines.core.expand import ExpandError, expand
from pipelines.core.members import FAIL_FAST, begin_step, failing_fast, fresh_group, pump, resolved
from pipelines.core.nodes import Node, Phase
from pipelines.core.outputs import template_outputs
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame, Group
from pipelines.core.substitute import Unresolved
from pipelines.core.walk import Walk
from retrain.errors import ConfigError


class StepsRules:
    """What Steps nodes and their StepGroups do."""

    def begin(self, walk: Walk, frame: Frame) -> None:
        """Enter the first group that has not ended."""
        index = 0
        while (group := walk.get(f"{frame.name}[{index}]")) is not None and group.phase is Phase.Succeeded:
            if walk.adopting:
                _adopt_daemons(walk, frame, index, group)
            index += 1
        _enter(walk, frame, index)

    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None:
        frame, group = walk.frames[parent.boundary_id], walk.state.groups[parent.id]
        if raised and not group.error:
            name = f"{parent.name}.{call.step.get('name')}"
            error = raised if call.hooked else f"step group deemed errored due to child {name} error: {raised}"
            walk.state.groups[parent.id] = replace(group, error=error)
        _proceed(walk, frame, parent)

    def resume(self, walk: Walk, parent: Node) -> None:
        if parent.type == "Steps":
            self.begin(walk, walk.frames[parent.id])
        else:
            _proceed(walk, walk.frames[parent.boundary_id], parent)

    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Scope | None:
        group = walk.nodes[call.parent]
        beside = {str(step["name"]): found for step in walk.state.groups[group.id].members
                  if (found := walk.get(f"{group.name}.{step['name']}")) is not None}  # fmt: skip
        own = {name: walk.last_attempt(found) for name, found in beside.items()} | {call.slot: node}
        return _scope(walk, walk.frames[call.boundary], _index(group), own)


def _index(group: Node) -> int:
    return int(group.name[group.name.rindex("[") + 1 : -1])


def _enter(walk: Walk, frame: Frame, index: int) -> None:
    groups: Sequence[Sequence[Mapping[str, Any]]] = frame.template["steps"]
    if index >= len(groups):
        _finish(walk, frame)
        return
    group = walk.get(f"{frame.name}[{index}]")
    if group is None and walk.adopting:
        walk.block(frame.node_id)
        return
    try:
        made = _members(walk, frame, index)
    except AggregateError as error:  # upstream reads what a loop gave as soon as that has ended: no group follows
        walk.complete(frame, Phase.Error, str(error), raised=str(error))
        return
    except (Unresolved, ConfigError, ExpandError) as error:
        _fail(walk, frame, group or _opened(walk, frame, index), Phase.Error, str(error))
        return
    group = group or _opened(walk, frame, index)
    walk.state.groups[group.id] = made
    walk.state.open[group.id] = 0
    _proceed(walk, frame, group)


def _opened(walk: Walk, frame: Frame, index: int) -> Node:
    group = walk.create(f"{frame.name}[{index}]", "StepGroup", _common(frame), Phase.Running)
    _connect(walk, frame, index, group)
    return group


def _members(walk: Walk, frame: Frame, index: int) -> Group:
    scope = _scope(walk, frame, index)
    ready = [(str(step["name"]), resolved(step, scope)) for step in frame.template["steps"][index]]
    return fresh_group([(slot, expand(step, scope), step) for slot, step in ready])


def _adopt_daemons(walk: Walk, frame: Frame, index: int, group: Node) -> None:
    """Daemons run on after their group has closed: they are stopped with the whole."""
    if not any(walk.nodes[child].daemoned for child in walk.children(group.id)):
        return
    made = _members(walk, frame, index)
    for slot, step in zip(made.slots, made.members, strict=True):
        node = walk.get(f"{group.name}.{step['name']}")
        if node is not None and node.daemoned:
            begin_step(walk, node.name, replace(_common(frame), step=step, slot=slot, parent=group.id))


def _common(frame: Frame) -> Call:
    call = frame.call
    return Call({}, frame.holder, boundary=frame.node_id, prefix="steps", depth=call.depth + 1, on_exit=call.on_exit)


def _connect(walk: Walk, frame: Frame, index: int, group: Node) -> None:
    """The group becomes a child of the last nodes of the group before."""
    if index == 0:
        walk.add_children(frame.node_id, [group.id])
        return
    before = walk.nodes[walk.id_of(f"{frame.name}[{index - 1}]")]
    members = [one for one in walk.children(before.id) if not walk.nodes[one].hooked]
    ends = [end for child in members for end in walk.outbound(child)] or [before.id]
    for end in ends:
        walk.add_children(end, [group.id])


def _proceed(walk: Walk, frame: Frame, group: Node) -> None:
    """Start who can be started; if everyone has ended, judge."""
    if failing_fast(walk, frame) and not walk.adopting:
        if walk.busy(frame.node_id) == 0:
            walk.close_inside(frame.node_id, FAIL_FAST)
            walk.complete(frame, Phase.Failed, FAIL_FAST)
        return
    started = pump(walk, walk.nodes[group.id], frame, _common(frame), f"{group.name}.")
    if started and walk.state.open.get(group.id, 0) == 0:
        _judge(walk, frame, walk.nodes[group.id])


def _judge(walk: Walk, frame: Frame, group: Node) -> None:
    found = walk.state.groups[group.id]
    if found.error:
        _fail(walk, frame, group, Phase.Error, found.error)
        return
    forgiving = {walk.id_of(f"{group.name}.{step['name']}"): step.get("continueOn") or {} for step in found.members}
    for child in walk.children(group.id):
        node = walk.nodes[child]
        if node.phase.bad and not forgives(forgiving.get(child, {}), node.phase):
            _fail(walk, frame, group, Phase.Failed, f"child '{child}' failed")
            return
    _close(walk, group, Phase.Succeeded, "")
    _enter(walk, frame, _index(group) + 1)


def forgives(continue_on: Mapping[str, Any], phase: Phase) -> bool:
    """Whether `continueOn` lets this phase pass."""
    return bool(continue_on.get("failed" if phase is Phase.Failed else "error")) and phase.bad


def _close(walk: Walk, group: Node, phase: Phase, message: str) -> None:
    walk.put(replace(walk.nodes[group.id], phase=phase, message=message, finished_at=walk.now))
    for table in (walk.state.groups, walk.state.open, walk.state.blocked):
        table.pop(group.id, None)


def _fail(walk: Walk, frame: Frame, group: Node, phase: Phase, message: str) -> None:
    _close(walk, group, phase, message)
    _outbound(walk, frame)
    walk.complete(frame, Phase.Failed, message)


def _outbound(walk: Walk, frame: Frame) -> None:
    groups = [g for i in range(len(frame.template["steps"])) if (g := walk.get(f"{frame.name}[{i}]")) is not None]
    ends = [end for child in walk.children(groups[-1].id) for end in walk.outbound(child)] if groups else []
    walk.put(replace(walk.nodes[frame.node_id], outbound_nodes=tuple(ends)))


def _finish(walk: Walk, frame: Frame) -> None:
    _outbound(walk, frame)
    try:
        outputs = template_outputs(frame.template, _scope(walk, frame, len(frame.template["steps"])))
    except (Unresolved, ConfigError) as error:
        walk.complete(frame, Phase.Error, str(error), raised=str(error))
        return
    walk.complete(frame, Phase.Succeeded, outputs=outputs)


def _scope(walk: Walk, frame: Frame, before: int, own: Mapping[str, Node] | None = None) -> Scope:
    """What the groups before an index gave; and `own`, the steps that a hook sees besides."""
    groups: Sequence[Sequence[Mapping[str, Any]]] = frame.template["steps"][: before + bool(own)]
    where = {str(step["name"]): (index, step) for index, steps in enumerate(groups) for step in steps}

    def node_of(name: str) -> tuple[Node, Sequence[Node] | None] | None:
        if own and name in own:
            return own[name], None
        if name not in where or where[name][0] >= before:
            return None
        group = walk.nodes[walk.id_of(f"{frame.name}[{where[name][0]}]")]
        node = walk.get(f"{group.name}.{name}")
        if node is not None:
            return walk.last_attempt(node), None
        start = f"{group.name}.{name}("
        members = [node for child in walk.children(group.id) if (node := walk.nodes[child]).name.startswith(start)]
        return group, [node for node in members if node.type != "Skipped"]

    def declared(name: str) -> Mapping[str, Any]:
        try:
            return walk.plan.resolve(where[name][1], frame.holder)[0]
        except ConfigError:
            return {}

    return Scope("steps", node_of, declared, walk.known, walk.nodes[frame.node_id].inputs, lambda: list(where))
