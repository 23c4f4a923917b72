"""The members of a StepGroup or a TaskGroup, from the resolved step to the started node; and what both templates share.

Source: `resolveReferences`, `expandStepGroup`, `getTemplateOutputsFromScope` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.core import substitute
from pipelines.core.expand import is_loop
from pipelines.core.inputs import mark_absent
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame, Group
from pipelines.core.substitute import ABSENT, Unresolved, sole_tag
from pipelines.core.walk import Walk
from retrain.errors import ConfigError
from retrain.expressions.govaluate import ExpressionError, evaluate

STRICT = ("steps", "tasks")
FAIL_FAST = "template has failed or errored children and failFast enabled"
EMPTY = "Skipped, empty params"


def resolved(step: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """A step with everything filled in but `{{item}}` and its hooks. If its `when` is false, only that is filled in.

    Raises:
        Unresolved: it reads an output that is not there.
        ExpressionError: its `when` is no condition.
    """
    hooks = {key: step[key] for key in ("hooks", "onExit") if key in step}
    bare = {key: value for key, value in step.items() if key not in hooks}
    if bare.get("when"):
        bare["when"] = substitute.replace(bare["when"], scope, strict=STRICT)
        try:
            if not evaluate(bare["when"]):
                return {**bare, **hooks}
        except ExpressionError:
            if not is_loop(step):
                raise
    if bare.get("arguments"):
        bare["arguments"] = mark_absent(bare["arguments"], scope)
    return {**substitute.replace(bare, scope, strict=STRICT), **hooks}


def pump(walk: Walk, parent: Node, frame: Frame, call_of: Call, base: str) -> bool:
    """Start the members of a group that are not started, as far as there is room. False: some had to wait.

    `base` is put before a member's name to make its node's; `call_of` is what their calls have in common.
    """
    group = walk.groups[parent.id]
    at, born = group.next, [""][:0]
    while at < len(group.members) and not group.error:
        step = group.members[at]
        call = replace(call_of, step=step, slot=group.slots[at], parent=parent.id, boundary=frame.node_id)
        name = base + str(step["name"])
        verdict = _start(walk, name, call)
        if verdict is False:
            walk.block(parent.id)
            break
        if isinstance(verdict, str):
            group = replace(group, error=verdict)
        born.append(walk.id_of(name))
        at += 1
    walk.add_children(parent.id, born)
    walk.groups[parent.id] = replace(group, next=at)
    return at == len(group.members) or bool(group.error)


def _start(walk: Walk, name: str, call: Call) -> bool | str:
    """True: started, or skipped. False: no room. A text: its `when` is no condition, and this is why."""
    step = call.step
    if walk.get(name) is None and not walk.adopting:
        try:
            if step.get(EMPTY):
                return skip(walk, name, call, EMPTY)
            if not evaluate(step.get("when") or ""):
                return skip(walk, name, call, f"when '{step['when']}' evaluated false")
        except ExpressionError as error:
            skip(walk, name, call, str(error), Phase.Error)
            return str(error)
    return walk.start(name, call)


def skip(walk: Walk, name: str, call: Call, message: str, phase: Phase = Phase.Skipped) -> bool:
    """A node in the place of a step that does not run; it is counted and told of like one that ran."""
    node = walk.create(name, "Skipped", call, phase, message)
    walk.open[call.parent] = walk.open.get(call.parent, 0) + 1
    walk.ended_at_once(call, node)
    return True


def failing_fast(walk: Walk, frame: Frame) -> bool:
    """`failFast` of the template (not of its dag): no child is started after one failed."""
    return bool(frame.template.get("failFast")) and walk.failed.get(frame.node_id, 0) > 0


def outputs_of(frame: Frame, scope: Scope) -> Outputs:
    """The outputs that a `steps` or `dag` template declares.

    Raises:
        ConfigError: one cannot be had.
    """
    declared: Sequence[Mapping[str, Any]] = (frame.template.get("outputs") or {}).get("parameters") or ()
    return Outputs({parameter["name"]: _output(parameter, scope) for parameter in declared})


def _output(parameter: Mapping[str, Any], scope: Scope) -> str:
    source: Mapping[str, Any] | None = parameter.get("valueFrom")
    if source is None:
        if parameter.get("value") is not None:
            return parameter["value"]
        raise ConfigError("output parameters must have a valueFrom specified")
    text = str(source.get("parameter") or "")
    tag = sole_tag(text)
    default: str | None = source.get("default")
    try:
        found = scope(tag) if tag is not None else substitute.replace(text, scope, all_strict=True)
    except (Unresolved, ConfigError):
        if default is None:
            raise
        found = default
    if (found is None or found is ABSENT) and default is not None:
        return default
    if found is ABSENT:
        raise ConfigError(f'output parameter "{parameter["name"]}": "{text}" is an absent optional '
                          "(skipped/omitted node output with no default)")  # fmt: skip
    if found is None:
        raise ConfigError(f"Unable to resolve: {text}")
    return found


def self_scope(walk: Walk, prefix: str, slot: str, node: Node, scope: Scope) -> Scope:
    """A scope in which a step also sees itself, as its exit hook does."""

    def node_of(name: str) -> tuple[Node, None] | None:
        return (node, None) if name == slot else None

    own = Scope(prefix, node_of, lambda _name: {}, walk.variable)

    class Both(Scope):
        def __call__(self, tag: str) -> substitute.Found:
            found = own(tag)
            return scope(tag) if found is None else found

    return Both(prefix, node_of, lambda _name: {}, walk.variable)


def last_attempt(walk: Walk, node: Node) -> Node:
    """What is read of a retried step is what its last attempt gave."""
    attempts = [child for one in node.children if (child := walk.nodes[one]).retried] if node.type == "Retry" else []
    return attempts[-1] if attempts else node


def fresh_group(steps: Sequence[tuple[str, Sequence[Mapping[str, Any]], Mapping[str, Any]]]) -> Group:
    """Of `(slot, expanded, step)`: a loop over nothing leaves one member that is skipped."""
    members: list[Mapping[str, Any]] = []
    slots: list[str] = []
    for slot, expanded, step in steps:
        chosen = expanded or [{**step, EMPTY: True}]
        members += chosen
        slots += [slot] * len(chosen)
    return Group(tuple(members), tuple(slots))
