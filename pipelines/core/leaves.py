"""What a node does whose work is done outside of the engine: it asks for a task, and takes what is reported of it.

Pods are `container`, `script`, `containerSet`, `data` and `resource` templates; `http` is a node type of its own.

Source: `assessNodeStatus`, `executeContainerSet` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pipelines.core import locks
from pipelines.core.happenings import ContainerNews, Progressed, Ready, Started, Task, TaskKind, TaskResult
from pipelines.core.naming import pod_name, task_name
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.outputs import constant_parameters
from pipelines.core.retry import duration_s
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame
from pipelines.core.walk import Walk
from retrain.errors import ConfigError

LATE = "Pod was active on the node longer than the specified deadline"
_ASKED: dict[str, TaskKind] = {"http": "http", "data": "data", "resource": "resource"}


class LeafRules:
    """Ask once; the rest is news."""

    def begin(self, walk: Walk, frame: Frame) -> None:
        node = walk.nodes[frame.node_id]
        if walk.state.halted and not frame.call.on_exit:
            message = walk.state.halted if frame.kind == "Pod" else walk.short()
            walk.complete(frame, Phase.Failed, message)
            return
        try:
            frame = replace(frame, deadline_s=_deadline_s(frame.template, frame.call, walk.now))
        except ConfigError as error:
            walk.complete(frame, Phase.Error, str(error), raised=str(error))
            return
        walk.frames[node.id] = frame
        if frame.kind == "Pod":
            walk.count_pod(+1)
        if node.phase is Phase.Pending:
            locks.wait_at_most(walk, frame, node)
        _containers(walk, frame)
        if node.daemoned:  # adopted: it is ready
            walk.state.daemons.setdefault(frame.call.boundary, {})[node.id] = None
        walk.tasks[node.id] = task_of(walk, frame)

    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None:
        """Nobody tells a leaf anything."""
        del walk, parent, call, raised

    def resume(self, walk: Walk, parent: Node) -> None:
        """A leaf waits for nothing but its task."""
        del walk, parent

    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Scope | None:
        del walk, call, node


def end_late(walk: Walk, frame: Frame) -> None:
    """A node was Pending longer than its `timeout` or `pendingTimeout` lets it."""
    if not walk.at_gate(frame.node_id):
        walk.stops[frame.node_id] = None
        walk.count_pod(-1 if frame.kind == "Pod" else 0)
    walk.complete(frame, Phase.Failed, LATE)


def task_of(walk: Walk, frame: Frame) -> Task:
    """What the executor is asked for."""
    template = frame.template
    pod = pod_name(walk.plan.name, frame.name, str(template.get("name", "")))
    inputs = walk.nodes[frame.node_id].inputs
    asked: list[TaskKind] = [kind for key, kind in _ASKED.items() if template.get(key) is not None]
    return Task(frame.node_id, frame.name, pod, template, inputs, frame.deadline_s, asked[0] if asked else "pod")


def _deadline_s(template: Mapping[str, Any], call: Call, now: datetime) -> float | None:
    """The nearest of the limits that a leaf has.

    Raises:
        ConfigError: one is no duration.
    """
    limits = [
        duration_s(template[key]) for key in ("activeDeadlineSeconds", "timeout") if template.get(key) is not None
    ]
    if call.deadline is not None:
        limits.append(max((call.deadline - now) / timedelta(seconds=1), 0.001))
    return min(limits) if limits else None


# --- news -----------------------------------------------------------------------------------------------------------


def started(walk: Walk, one: Started) -> None:
    node = walk.nodes.get(one.node_id)
    if node is not None and node.phase is Phase.Pending and one.node_id in walk.frames:
        walk.clear_timer(node.id)
        walk.edit(node.id, phase=Phase.Running, started_at=one.at, message="")


def progressed(walk: Walk, one: Progressed) -> None:
    node = walk.nodes.get(one.node_id)
    if node is not None and one.node_id in walk.frames and node.progress != one.progress:
        walk.edit(node.id, progress=one.progress)


def ready(walk: Walk, one: Ready) -> None:
    """A daemon can be used: those who wait for it go on."""
    frame, node = walk.frames.get(one.node_id), walk.nodes.get(one.node_id)
    if frame is None or node is None or node.daemoned or not frame.template.get("daemon"):
        return
    walk.clear_timer(node.id)
    node = walk.edit(node.id, phase=Phase.Running, daemoned=True, pod_ip=one.ip)
    walk.state.daemons.setdefault(frame.call.boundary, {})[node.id] = None
    walk.announce(frame.call, node)


def result(walk: Walk, one: TaskResult) -> None:
    """How a task ended. What is reported of a node that has ended already changes nothing."""
    frame = walk.frames.get(one.node_id)
    if frame is None or frame.kind not in ("Pod", "HTTP"):
        return
    node = walk.nodes[frame.node_id]
    begun = not walk.at_gate(node.id)  # a restored run hears of the end of a process before it has its lock again
    if node.phase is Phase.Pending and (one.exit_code is not None or one.phase is Phase.Succeeded):
        node = walk.edit(node.id, phase=Phase.Running, started_at=one.started_at or node.started_at)
    elif one.started_at is not None and node.started_at != one.started_at:
        node = walk.edit(node.id, started_at=one.started_at)
    outputs = Outputs(
        {**constant_parameters(frame.template), **one.parameters},
        one.result if is_read(walk, frame) else None,
        None if one.exit_code is None else str(one.exit_code),
        tuple(one.artifacts),
    )
    phase = one.phase
    if frame.template.get("daemon") and phase is Phase.Succeeded:
        phase = Phase.Failed  # a daemon runs until it is stopped
    if begun and frame.kind == "Pod":
        walk.count_pod(-1)
    _close_containers(walk, frame, one)
    walk.complete(frame, phase, one.message, outputs, finished_at=one.finished_at, usage=one.usage)
    if node.daemoned and frame.call.attempt is not None:
        walk.wake(frame.call.parent)


def is_read(walk: Walk, frame: Frame) -> bool:
    """Whether the output of a step is kept: the template around it reads it, or it is no process (http, data)."""
    if frame.kind == "HTTP" or frame.template.get("data") is not None:
        return True
    around = walk.frames.get(frame.call.boundary)
    return around is not None and task_name(frame.name) in around.readers


# --- containers of a set --------------------------------------------------------------------------------------------


def _set_of(frame: Frame) -> list[Mapping[str, Any]]:
    return list((frame.template.get("containerSet") or {}).get("containers") or ())


def _containers(walk: Walk, frame: Frame) -> None:
    """The nodes of a containerSet: each a child of those that it depends on."""
    members = _set_of(frame)
    for one in members:
        name = f"{frame.name}.{one['name']}"
        if walk.get(name) is None and not walk.adopting:
            call = replace(frame.call, boundary=frame.node_id)
            walk.create(name, "Container", call, Phase.Pending)
    if walk.adopting:
        return
    for one in members:
        child = [walk.id_of(f"{frame.name}.{one['name']}")]
        for need in one.get("dependencies") or ():
            walk.add_children(walk.id_of(f"{frame.name}.{need}"), child)
        if not one.get("dependencies"):
            walk.add_children(frame.node_id, child)


def container_news(walk: Walk, one: ContainerNews) -> None:
    """A container of a set has started or ended."""
    frame = walk.frames.get(one.node_id)
    node = None if frame is None else walk.get(f"{frame.name}.{one.container}")
    if node is None or node.type != "Container" or node.phase.fulfilled:
        return
    finished = (one.finished_at or walk.now) if one.phase.fulfilled else None
    began = one.started_at or node.started_at
    walk.edit(node.id, phase=one.phase, message=one.message, started_at=began, finished_at=finished)


def _close_containers(walk: Walk, frame: Frame, one: TaskResult) -> None:
    """Containers of which nothing was heard ended with their pod."""
    for member in _set_of(frame):
        node = walk.get(f"{frame.name}.{member['name']}")
        if node is not None and not node.phase.fulfilled:
            good = one.phase is Phase.Succeeded
            phase = Phase.Succeeded if good else Phase.Failed
            message = "" if good else "Pod Failed whilst container running"
            walk.edit(node.id, phase=phase, message=message, finished_at=one.finished_at or walk.now)
