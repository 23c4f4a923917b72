"""From a step's call to a node that runs: find the template, fill it in, pass its gates, begin by kind.

The order is upstream's: depth, template, arguments, room (parallelism), lock, memo, retry, kind. An error on the way is
an Error node of type Skipped, and the one that waits for it is told why.

Source: `executeTemplate`, `checkParallelism` of Argo's controller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.core import locks, memo
from pipelines.core.inputs import Filled, fill
from pipelines.core.naming import pod_name
from pipelines.core.nodes import Node, NodeType, Phase
from pipelines.core.state import Call, Frame
from pipelines.core.substitute import Unresolved
from pipelines.core.walk import LEAVES, Walk
from pipelines.core.wants import result_readers
from retrain.errors import ConfigError

MAX_DEPTH = 100
DISPLAY_NAME = "workflows.argoproj.io/display-name"
"""Annotation of a template."""
_DISPLAYABLE = re.compile("[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]")
TOO_DEEP = "Maximum recursion depth exceeded"
KINDS: Mapping[str, NodeType] = {
    "container": "Pod", "script": "Pod", "containerSet": "Pod", "data": "Pod", "resource": "Pod", "http": "HTTP",
    "suspend": "Suspend", "steps": "Steps", "dag": "DAG",
}  # fmt: skip


def start(walk: Walk, name: str, call: Call) -> bool:
    """Start what a step calls, under a parent that counts it. False: there is no room now."""
    node = walk.get(name)
    if node is not None and node.phase.fulfilled:
        return True
    if node is None and not has_room(walk, call):
        return False
    if node is None or not node.daemoned:
        walk.state.open[call.parent] = walk.state.open.get(call.parent, 0) + 1
    launch(walk, name, call)
    return True


def has_room(walk: Walk, call: Call) -> bool:
    """Whether one more node may be created under a boundary."""
    if walk.adopting or walk.full():
        return False
    frame = walk.frames.get(call.boundary)
    if frame is None or walk.state.halted:
        return True
    if frame.template.get("failFast") and walk.state.failed.get(call.boundary, 0) > 0:
        return False
    limit: int | None = frame.template.get("parallelism")
    return limit is None or walk.state.active.get(call.boundary, 0) < limit


def launch(walk: Walk, name: str, call: Call) -> None:
    """Create a node (or adopt the saved one) and set it going."""
    node = walk.get(name)
    try:
        if call.depth > MAX_DEPTH:
            _refuse(walk, name, call, node, TOO_DEEP, raised="")
            return
        template, holder = walk.plan.resolve(call.step, call.holder)
        filled = _filled(walk, name, call, template)
        shown = _shown(filled.template, call)
        kind = _kind(filled.template, call)
        gated = call.attempt is None and (locks.wanted(walk, filled.template) or memo.wanted(filled.template))
    except (ConfigError, Unresolved) as error:
        _refuse(walk, name, call, node, str(error), raised=str(error))
        return
    readers = result_readers(filled.template) if kind in ("Steps", "DAG") else frozenset[str]()
    frame = Frame(walk.id_of(name), name, kind, call, filled.template, holder, readers)
    if node is None or node.phase is Phase.Pending:
        node = _created(walk, frame, filled, node, gated=gated)
        node = walk.edit(node.id, display_name=shown) if shown and shown != node.display_name else node
    walk.frames[frame.node_id] = frame
    if gated and node.phase is Phase.Pending and not _may_not_run(walk, frame):
        pass_gates(walk, frame)
        return
    if gated:
        locks.keep(walk, frame)  # adopted: it runs, so it holds them
    begin(walk, frame)


def _shown(template: Mapping[str, Any], call: Call) -> str:
    """The display name that a template gives its nodes; of a retried one only the Retry node has it."""
    name = str((template.get("annotations") or {}).get(DISPLAY_NAME) or "")
    if name and not _DISPLAYABLE.fullmatch(name):
        raise ConfigError(f"displayName must match the regex ^{_DISPLAYABLE.pattern}$")
    return name if call.attempt is None else ""


def _refuse(walk: Walk, name: str, call: Call, node: Node | None, why: str, *, raised: str) -> None:
    """An Error node; `raised` is what the one that waits has to pass on (too deep a recursion is just an Error)."""
    if node is None:
        made = walk.create(name, "Skipped", call, Phase.Error, why)
    else:
        made = walk.put(replace(node, phase=Phase.Error, message=why, finished_at=walk.now))
    walk.ended_at_once(call, made, raised)


def _created(walk: Walk, frame: Frame, filled: Filled, node: Node | None, *, gated: bool) -> Node:
    """The node, Pending where it has to wait (for its process or at a gate), else Running."""
    if node is None:
        waits = gated or frame.kind in ("Pod", "HTTP", "Suspend")
        phase = Phase.Pending if waits else Phase.Running
        return walk.create(frame.name, frame.kind, frame.call, phase, inputs=filled.inputs)
    return node if node.inputs == filled.inputs else walk.edit(node.id, inputs=filled.inputs)


def _may_not_run(walk: Walk, frame: Frame) -> bool:
    return bool(walk.state.halted) and not frame.call.on_exit


def pass_gates(walk: Walk, frame: Frame) -> None:
    """Ask for what a node still needs before it may run: its lock, then what is remembered of it; then let it run."""
    node = walk.nodes[frame.node_id]
    try:
        if locks.ask(walk, frame, node) or memo.ask(walk, frame, node):
            return
    except ConfigError as error:
        walk.complete(frame, Phase.Error, str(error), raised=str(error))
        return
    if walk.adopting or walk.full():  # whether it was begun is not known: begun twice is begun once
        walk.block(node.id)
        return
    begin(walk, frame)


def begin(walk: Walk, frame: Frame) -> None:
    """Let a node do what its kind does. What holds others begins in its turn; a Retry node at once, for parallelism
    counts its attempt and not itself."""
    node = walk.nodes[frame.node_id]
    if node.phase is Phase.Pending and frame.kind in ("Steps", "DAG", "Retry"):
        walk.edit(node.id, phase=Phase.Running)
    if frame.kind in ("Steps", "DAG"):
        walk.state.open.setdefault(frame.node_id, 0)
        walk.enqueue(frame)
    else:
        walk.rules[frame.kind].begin(walk, frame)


def _filled(walk: Walk, name: str, call: Call, template: Mapping[str, Any]) -> Filled:
    local = {"node.name": name}
    if call.prefix and call.attempt is None:
        local[f"{call.prefix}.name"] = str(call.step.get("name", ""))
    is_leaf = not LEAVES.isdisjoint(template)
    if is_leaf and (call.attempt is not None or template.get("retryStrategy") is None):
        local["pod.name"] = pod_name(walk.plan.name, name, str(template.get("name", "")))
    if call.attempt is not None:
        local |= _last_try(walk, call)
    return fill(template, call.step.get("arguments") or {}, walk.known, local, walk.plan.catalog)


def _last_try(walk: Walk, call: Call) -> dict[str, str]:
    attempts = walk.attempts(call.parent)
    number = call.attempt or 0
    last = attempts[number - 1] if 0 < number <= len(attempts) else None
    if last is None:
        found = ("0", "", "0", "")
    else:
        ran = (last.finished_at or walk.now) - (last.started_at or walk.now)
        found = (last.outputs.exit_code or "0", str(last.phase), f"{ran.total_seconds():g}", last.message)
    names = ("exitCode", "status", "duration", "message")
    return {"retries": str(number)} | {f"lastRetry.{key}": value for key, value in zip(names, found, strict=True)}


def _kind(template: Mapping[str, Any], call: Call) -> NodeType:
    if template.get("retryStrategy") is not None and call.attempt is None:
        return "Retry"
    for key, kind in KINDS.items():
        if template.get(key) is not None:
            return kind
    raise ConfigError(f"Template '{template.get('name', '')}' missing specification")
