"""Life-cycle hooks of steps and tasks: templates that run because of how a node is, beside it or after it.

`hooks.exit` (or `onExit`) runs once a node has ended that ran, if its `expression` holds. Any other hook runs when its
expression is first true, looked at each time that the node comes to another phase. A node counts as over when its hooks
are; how they end changes nothing for it. An expression that cannot be had yet (an output before the end) is not true.

Source: workflow/controller/hooks.go and exit_handler.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.core.arguments import located, mark_absent
from pipelines.core.expressions import evaluate_bool
from pipelines.core.launch import launch
from pipelines.core.nodes import Node, Phase
from pipelines.core.state import Call
from pipelines.core.status import failures, workflow_phase
from pipelines.core.substitute import Unresolved
from pipelines.core.substitute import replace as replace_tags
from pipelines.core.variables import Known, Layered, Variables
from pipelines.core.walk import Walk
from retrain.errors import ConfigError

EXIT = "exit"


def exit_hook(step: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What runs after a step, a task or the workflow."""
    hook = (step.get("hooks") or {}).get(EXIT)
    return hook or ({"template": step["onExit"]} if step.get("onExit") else None)


def others(step: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The hooks that have a moment of their own."""
    hooks: Mapping[str, Any] = step.get("hooks") or {}
    return {name: hook for name, hook in hooks.items() if name != EXIT} if hooks else hooks


def hook_name(node: str, hook: str) -> str:
    return f"{node}.hooks.{hook}"


def watch(walk: Walk, call: Call, node_id: str) -> None:
    """Look at the hooks of a node from now on, and at once."""
    if others(call.step) and node_id not in walk.state.watched:
        walk.state.watched[node_id] = call
        walk.turned.append((node_id, walk.nodes[node_id].phase))


def adopt(walk: Walk, call: Call, node: Node) -> None:
    """Go on with the hooks of a saved node that had begun; those that have not are looked at when it changes."""
    if others(call.step) and not node.phase.fulfilled:
        walk.state.watched[node.id] = call
    named = {hook_name(node.name, name): (hook, False) for name, hook in others(call.step).items()}
    last = exit_hook(call.step)
    if last is not None:
        named[f"{node.name}.onExit"] = (last, True)
    for name, (hook, is_exit) in named.items():
        saved = walk.get(name)
        if saved is not None and not saved.phase.fulfilled:
            arguments = _as_saved(saved)
            _run(walk, call, node, name, {**hook, "arguments": arguments}, is_exit=is_exit)


def _as_saved(node: Node) -> dict[str, Any]:
    parameters = [{"name": name, "value": value} for name, value in node.inputs.parameters.items()]
    return {"parameters": parameters, "artifacts": [dict(one) for one in node.inputs.artifacts]}


def is_over(walk: Walk, node: Node | None) -> bool:
    """A node that others need not wait for: it has ended (or is a daemon that is ready), and so have its hooks."""
    return node is not None and (node.phase.fulfilled or node.daemoned) and walk.state.hooks.get(node.id, 0) <= 0


class Hooks:
    """The rules of `Walk`: see its `HookRules`."""

    def look(self, walk: Walk, node_id: str, phase: Phase) -> None:
        """Run those hooks of a node whose expression is true now, with the node in this phase."""
        call = walk.state.watched.get(node_id)
        if call is None or walk.adopting:
            return
        if call.boundary and call.boundary not in walk.frames:
            del walk.state.watched[node_id]
            return
        node = walk.nodes[node_id]
        if not call.parent:
            walk.set_status(workflow_phase(phase), failures(walk))
        left = False
        for name, hook in others(call.step).items():
            full = hook_name(node.name, name)
            if walk.get(full) is not None:
                continue
            scope = _scope(walk, call, node, phase)
            if _is_true(hook, scope):
                _begin(walk, call, node, full, hook, scope)
            else:
                left = True
        if not left or phase.fulfilled:
            walk.state.watched.pop(node_id, None)

    def after(self, walk: Walk, call: Call, node: Node) -> str:
        """Run the exit hook of a node that has ended. Returns the error of its expression, if it has one."""
        hook = exit_hook(call.step) if call.parent else None
        name = f"{node.name}.onExit"
        if hook is None or not node.phase.completed or "Terminate" in walk.state.halted or walk.get(name) is not None:
            return ""
        scope = _scope(walk, call, node, node.phase)
        try:
            if hook.get("expression") and not evaluate_bool(hook["expression"], scope):
                return ""
        except ConfigError as error:
            return f"{name}: {error}"
        _begin(walk, call, node, name, hook, scope, is_exit=True)
        return ""


def _scope(walk: Walk, call: Call, node: Node, phase: Phase) -> Variables:
    """What the step sees, and itself."""
    if not call.parent:
        return walk.known
    around = walk.rules[walk.nodes[call.parent].type].hook_scope(walk, call, walk.last_attempt(node))
    own = Known({f"{call.prefix}.{call.slot}.status": str(phase)})
    return Layered(own, around) if around is not None else Layered(own, walk.known)


def _is_true(hook: Mapping[str, Any], scope: Variables) -> bool:
    try:
        return evaluate_bool(str(hook.get("expression") or "false"), scope)
    except ConfigError:
        return False  # it reads what is not there yet; `lint` has seen that it can be read at all


def _begin(  # noqa: PLR0913 - whose hook, which, and what it may read
    walk: Walk, call: Call, node: Node, name: str, hook: Mapping[str, Any], scope: Variables, *, is_exit: bool = False
) -> None:
    arguments: Mapping[str, Any] = hook.get("arguments") or {}
    try:
        arguments = _resolved(arguments, scope) if call.parent else arguments
    except (Unresolved, ConfigError) as error:
        made = walk.create(name, "Skipped", _call(call, node, name, hook, is_exit=is_exit), Phase.Error, str(error))
        walk.add_children(node.id, [made.id])
        return
    _run(walk, call, node, name, {**hook, "arguments": arguments}, is_exit=is_exit)


def _resolved(arguments: Mapping[str, Any], scope: Variables) -> Mapping[str, Any]:
    """Unlike those of a step, a tag that nobody knows may stay."""
    filled: Mapping[str, Any] = replace_tags(mark_absent(arguments, scope), scope)
    return {**filled, "artifacts": located(filled["artifacts"], scope)} if filled.get("artifacts") else filled


def _call(call: Call, node: Node, name: str, hook: Mapping[str, Any], *, is_exit: bool) -> Call:
    step = {key: value for key, value in hook.items() if key != "expression"} | {"name": name}
    return replace(call, step=step, hooked=True, of=node.id, prefix="", attempt=None, deadline=None,
                   on_exit=is_exit or call.on_exit)  # fmt: skip


def _run(walk: Walk, call: Call, node: Node, name: str, hook: Mapping[str, Any], *, is_exit: bool) -> None:
    walk.state.hooks[node.id] = walk.state.hooks.get(node.id, 0) + 1
    if call.parent:
        walk.state.open[call.parent] = walk.state.open.get(call.parent, 0) + 1
    launch(walk, name, _call(call, node, name, hook, is_exit=is_exit))
    walk.add_children(node.id, [walk.id_of(name)])
