"""`suspend` templates: a node that waits for a person, or for a time; and the values that a person supplies.

Source: `executeSuspend` of Argo's controller, `ResumeWorkflow`, `StopWorkflow`, `SetWorkflow` of workflow/util.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pipelines.core.happenings import Happening, Resume, SetNodes, Stop
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.retry import duration_s
from pipelines.core.run import Run
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame, State
from pipelines.core.supplied import Supplied, check_supplied, defaults, supplied_outputs
from pipelines.core.tree import Tree
from pipelines.core.walk import Walk
from retrain.errors import ConfigError


class SuspendRules:
    """Wait; a time that rings ends the suspension."""

    def begin(self, walk: Walk, frame: Frame) -> None:
        node = walk.nodes[frame.node_id]
        if walk.state.halted and not frame.call.on_exit:
            walk.complete(frame, Phase.Failed, walk.short())
            return
        if node.phase is Phase.Pending:
            expected = supplied_outputs(frame.template, node.inputs)
            outputs = Outputs({one.name: None for one in expected})
            node = walk.edit(node.id, phase=Phase.Running, outputs=outputs, message="")
        try:
            _set_timer(walk, frame, node)
        except ConfigError as error:
            walk.complete(frame, Phase.Error, str(error), raised=str(error))

    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None:
        """Nobody tells a suspended node anything."""
        del walk, parent, call, raised

    def resume(self, walk: Walk, parent: Node) -> None:
        """Its duration is over."""
        frame = walk.frames[parent.id]
        missing = _end(walk, frame, parent, "")
        if missing:
            walk.complete(frame, Phase.Error, missing, raised=missing)

    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Scope | None:
        del walk, call, node


def _set_timer(walk: Tree, frame: Frame, node: Node) -> None:
    duration = frame.template["suspend"].get("duration")
    if duration and node.started_at is not None:
        walk.set_timer(node.id, node.started_at + timedelta(seconds=duration_s(duration)))


def _end(walk: Walk, frame: Frame, node: Node, message: str) -> str:
    """End a suspension well, unless a value is missing: then say which."""
    given = defaults(supplied_outputs(frame.template, node.inputs), node.outputs.parameters)
    missing = [name for name, value in given.items() if value is None]
    if missing:
        return f"raw output parameter '{missing[0]}' has not been set and does not have a default value"
    outputs = replace(node.outputs, parameters={**node.outputs.parameters, **given})
    walk.complete(frame, Phase.Succeeded, message, outputs)
    return ""


# --- what a person says ---------------------------------------------------------------------------------------------


def _chosen(state: State, selector: str) -> list[tuple[Frame, Node]]:
    """The suspended nodes that a selector matches; all of them for none.

    Raises:
        ConfigError: it cannot be read.
    """
    fits = compile_selector(selector) if selector else None
    suspended = [(f, state.nodes[f.node_id]) for f in state.frames.values() if f.kind == "Suspend"]
    return [(f, n) for f, n in suspended if n.phase is Phase.Running and (fits is None or fits(n))]


def resumed(walk: Walk, one: Resume) -> None:
    """End the suspension of the nodes that it means. One without a value that it needs goes on waiting."""
    said = one.message or (f"Resumed by: map[User:{one.by}]" if one.by else "")
    for frame, node in _chosen(walk.state, one.selector):
        message = "; ".join(part for part in (node.message, said) if part)
        missing = _end(walk, frame, node, message)
        if missing and node.message != missing:
            walk.edit(node.id, message=missing)


def stopped(walk: Walk, one: Stop) -> None:
    """Fail the suspended nodes that a selector means."""
    for frame, _ in _chosen(walk.state, one.selector):
        walk.complete(frame, Phase.Failed, one.message)


def set_nodes(walk: Walk, one: SetNodes) -> None:
    """Set outputs, message and phase of the suspended nodes that the selector means, where they may be set."""
    for frame, node in _chosen(walk.state, one.selector):
        if _wrong(frame, node, one):
            continue
        parameters = {**node.outputs.parameters, **one.outputs.parameters}
        node = walk.edit(
            node.id, outputs=replace(node.outputs, parameters=parameters), message=one.message or node.message
        )
        if one.phase is Phase.Succeeded:
            _end(walk, frame, node, node.message)
        elif one.phase is not None and one.phase.fulfilled:
            walk.complete(frame, one.phase, node.message)


def problems(run: Run, one: Happening) -> list[str]:
    """Why a Resume, a Stop with a selector or a SetNodes cannot be done as it is said; empty if it can.

    `step` passes over what cannot be done: ask before a wish is taken on.
    """
    if not isinstance(one, Resume | SetNodes | Stop) or not (one.selector or isinstance(one, Resume)):
        return []
    try:
        chosen = _chosen(run.state, one.selector)
    except ConfigError as error:
        return [str(error)]
    if not chosen:
        return [f"no suspended node matches: {one.selector}"] if one.selector else []
    found: list[str] = []
    for frame, node in chosen:
        wrong = _wrong(frame, node, one) if isinstance(one, SetNodes) else ""
        if isinstance(one, Resume):
            wrong = _unset(supplied_outputs(frame.template, node.inputs), node)
        found += [f"{node.display_name}: {wrong}"] if wrong else []
    return found


def _unset(expected: tuple[Supplied, ...], node: Node) -> str:
    missing = [name for name, value in defaults(expected, node.outputs.parameters).items() if value is None]
    return f"output parameter '{missing[0]}' has no value and no default: set it first" if missing else ""


def _wrong(frame: Frame, node: Node, one: SetNodes) -> str:
    expected = supplied_outputs(frame.template, node.inputs)
    try:
        check_supplied(expected, one.outputs.parameters)
    except ConfigError as error:
        return str(error)
    again = [name for name in one.outputs.parameters if node.outputs.parameters.get(name) is not None]
    if again:
        return f"output parameter '{again[0]}' was already set"
    if one.phase is Phase.Succeeded:
        after = replace(node, outputs=Outputs({**node.outputs.parameters, **one.outputs.parameters}))
        return _unset(expected, after)
    return ""
