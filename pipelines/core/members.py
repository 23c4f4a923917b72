"""The members of a StepGroup or a TaskGroup, from the resolved step to the started node; and what both templates share.

Source: `resolveReferences`, `expandStepGroup` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.core import hooks
from pipelines.core.arguments import resolve_step, when_text
from pipelines.core.conditions import NoCondition, evaluate
from pipelines.core.expand import is_loop
from pipelines.core.launch import start
from pipelines.core.nodes import Node, Phase
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame, Group
from pipelines.core.walk import Walk

FAIL_FAST = "template has failed or errored children and failFast enabled"
EMPTY = "Skipped, empty params"


def resolved(step: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """A step with everything filled in but `{{item}}` and its hooks. If its `when` is false, only that is filled in.

    Raises:
        Unresolved: it reads an output that is not there.
        NoCondition: its `when` is no condition.
    """
    when = when_text(step, scope)
    if when:
        step = {**step, "when": when}
        try:
            if not evaluate(when):
                return dict(step)
        except NoCondition:
            if not is_loop(step):
                raise
    return resolve_step(step, scope)


def pump(walk: Walk, parent: Node, frame: Frame, call_of: Call, base: str) -> bool:
    """Start the members of a group that are not started, as far as there is room. False: some had to wait.

    `base` is put before a member's name to make its node's; `call_of` is what their calls have in common.
    """
    group = walk.state.groups[parent.id]
    if walk.adopting and group.next == 0:
        group = _saved_first(walk, group, base)
    at, error = group.next, group.error
    while at < len(group.members) and not error:
        step = group.members[at]
        call = replace(call_of, step=step, slot=group.slots[at], parent=parent.id, boundary=frame.node_id)
        name = base + str(step["name"])
        verdict = _start(walk, name, call)
        if verdict is False:
            walk.block(parent.id)
            break
        error = verdict if isinstance(verdict, str) else ""
        walk.add_children(parent.id, [walk.id_of(name)])
        at += 1
    walk.state.groups[parent.id] = replace(group, next=at, error=error)
    return at == len(group.members) or bool(error)


def _saved_first(walk: Walk, group: Group, base: str) -> Group:
    """The group with those in front that have a node: they run and use room, whoever of the others waits for it."""
    saved = [walk.get(base + str(step["name"])) is not None for step in group.members]
    order = sorted(range(len(saved)), key=lambda index: not saved[index])
    return replace(group, members=tuple(group.members[i] for i in order), slots=tuple(group.slots[i] for i in order))


def _start(walk: Walk, name: str, call: Call) -> bool | str:
    """True: started, or skipped. False: no room. A text: its `when` is no condition, and this is why."""
    step = call.step
    if walk.get(name) is None and not walk.adopting:
        try:
            if step.get(EMPTY):
                return skip(walk, name, call, EMPTY)
            if not evaluate(step.get("when") or ""):
                return skip(walk, name, call, f"when '{step['when']}' evaluated false")
        except NoCondition as error:
            skip(walk, name, call, str(error), Phase.Error)
            return str(error)
    return begin_step(walk, name, call)


def begin_step(walk: Walk, name: str, call: Call) -> bool:
    """Start what a step calls, and look at its hooks; adopt it, if it is there. False: no room."""
    saved = walk.get(name)
    if not start(walk, name, call):
        return False
    node = walk.get(name)
    if node is not None and saved is not None:
        hooks.adopt(walk, call, node)
    elif node is not None and call.step.get("hooks"):
        hooks.watch(walk, call, node.id)
    return True


def skip(walk: Walk, name: str, call: Call, message: str, phase: Phase = Phase.Skipped) -> bool:
    """A node in the place of a step that does not run; it is counted and told of like one that ran."""
    node = walk.create(name, "Skipped", call, phase, message)
    walk.state.open[call.parent] = walk.state.open.get(call.parent, 0) + 1
    walk.ended_at_once(call, node)
    return True


def failing_fast(walk: Walk, frame: Frame) -> bool:
    """`failFast` of the template (not of its dag): no child is started after one failed."""
    return bool(frame.template.get("failFast")) and walk.state.failed.get(frame.node_id, 0) > 0


def fresh_group(steps: Sequence[tuple[str, Sequence[Mapping[str, Any]], Mapping[str, Any]]]) -> Group:
    """Of `(slot, expanded, step)`: a loop over nothing leaves one member that is skipped."""
    members: list[Mapping[str, Any]] = []
    slots: list[str] = []
    for slot, expanded, step in steps:
        chosen = expanded or [{**step, EMPTY: True}]
        members += chosen
        slots += [slot] * len(chosen)
    return Group(tuple(members), tuple(slots))
