"""What a Retry node does: one attempt after the other, until one succeeds or its strategy says that it is enough.

An attempt is a child `name(0)`, `name(1)`, ... with the boundary of the Retry node itself.

Source: `processNodeRetries` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pipelines.core.launch import launch
from pipelines.core.nodes import Node, Phase
from pipelines.core.retry import Again, End, Wait, decide
from pipelines.core.scope import Scope
from pipelines.core.state import Call, Frame
from pipelines.core.tree import COUNTED
from pipelines.core.walk import LEAVES, Walk
from retrain.errors import ConfigError


class RetryRules:
    """One verdict after each attempt."""

    def begin(self, walk: Walk, frame: Frame) -> None:
        if walk.nodes[frame.node_id].daemoned:  # adopted
            walk.state.daemons.setdefault(frame.call.boundary, {})[frame.node_id] = None
        _next(walk, frame)

    def told(self, walk: Walk, parent: Node, call: Call, raised: str) -> None:
        """An attempt has ended, or is a daemon that is ready: then its Retry node is one, too."""
        del raised
        frame = walk.frames[parent.id]
        last = walk.attempts(parent.id)[-1]
        if not last.daemoned:
            _next(walk, frame)
        elif not parent.daemoned:
            walk.edit(parent.id, daemoned=True, pod_ip=last.pod_ip)
            walk.state.daemons.setdefault(call.boundary, {})[parent.id] = None
            walk.announce(frame.call, walk.nodes[parent.id])

    def resume(self, walk: Walk, parent: Node) -> None:
        _next(walk, walk.frames[parent.id])

    def hook_scope(self, walk: Walk, call: Call, node: Node) -> Scope | None:
        del walk, call, node


def _next(walk: Walk, frame: Frame) -> None:
    node = walk.nodes[frame.node_id]
    attempts = walk.attempts(node.id)
    if attempts and not attempts[-1].phase.fulfilled:
        if attempts[-1].id not in walk.frames:  # adopted
            _attempt(walk, frame, len(attempts) - 1, None)
        return
    verdict = _verdict(walk, frame, attempts) if attempts else Again()
    match verdict:
        case End():
            walk.complete(frame, verdict.phase, verdict.message, attempts[-1].outputs, raised=verdict.raised)
        case Wait():
            if node.message != verdict.message:
                walk.edit(node.id, message=verdict.message)
            walk.set_timer(node.id, verdict.until)
        case Again():
            if walk.adopting or not _has_room(walk, frame):
                walk.block(node.id)
            else:
                _attempt(walk, frame, len(attempts), verdict.deadline)


def _has_room(walk: Walk, frame: Frame) -> bool:
    """Whether an attempt may run now: a limit holds for every attempt, not for the first alone.

    Upstream asks for room in the template only when the Retry node is created, so that what comes back from its backoff
    runs beside whoever took its place. Daemons that serve take no room here: nobody waits for their end.
    """
    if walk.full() and not LEAVES.isdisjoint(frame.template):
        return False
    boundary = frame.call.boundary
    around = walk.frames.get(boundary)
    limit: int | None = around.template.get("parallelism") if around is not None else None
    if limit is None or walk.state.halted:
        return True
    serving = [one for one in walk.state.daemons.get(boundary, ()) if walk.nodes[one].type in COUNTED]
    return walk.state.active.get(boundary, 0) - len(serving) < limit


def _verdict(walk: Walk, frame: Frame, attempts: Sequence[Node]) -> Again | Wait | End:
    last = attempts[-1]
    if walk.adopting and last.phase.bad:
        return Again()  # the first step after it decides, and knows the time
    if walk.state.halted and last.phase.bad and not frame.call.on_exit:
        return End(last.phase, walk.short() if "shutdown" in walk.state.halted else _late(walk))
    try:
        return decide(frame.template.get("retryStrategy") or {}, attempts, walk.now)
    except ConfigError as error:
        return End(Phase.Error, str(error), str(error))


def _late(walk: Walk) -> str:
    at = f" {walk.deadline:%Y-%m-%d %H:%M:%S} +0000 UTC" if walk.deadline is not None else ""
    return f"retry exceeded workflow deadline{at}"


def _attempt(walk: Walk, frame: Frame, number: int, deadline: datetime | None) -> None:
    node = walk.nodes[frame.node_id]
    name = f"{frame.name}({number})"
    if node.message:
        walk.edit(node.id, message="")
    walk.clear_timer(node.id)
    call = replace(frame.call, parent=frame.node_id, attempt=number, deadline=deadline)
    launch(walk, name, call)
    walk.add_children(node.id, [walk.id_of(name)])
