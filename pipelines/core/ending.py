"""The workflow as a whole: its entry, its own hooks and exit handler, and what it is in the end.

Source: `operate` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pipelines.core import hooks
from pipelines.core.launch import launch
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Plan
from pipelines.core.retry import duration_s
from pipelines.core.run import Run
from pipelines.core.state import Call
from pipelines.core.status import failures, workflow_phase
from pipelines.core.walk import Ended, Walk


def entry_call(plan: Plan) -> Call:
    """The call of the entrypoint, with the workflow's own hooks."""
    step = {"template": plan.spec.get("entrypoint"), "arguments": plan.spec.get("arguments") or {},
            "hooks": plan.spec.get("hooks") or {}}  # fmt: skip
    return Call(step, plan.holder)


def begin_entry(walk: Walk) -> None:
    """Start the entry, or adopt the saved one."""
    call, name = entry_call(walk.plan), walk.plan.name
    saved = walk.get(name)
    launch(walk, name, call)
    if saved is not None:
        hooks.adopt(walk, call, saved)
    else:
        hooks.watch(walk, call, name)


def go_on(walk: Walk) -> None:
    """Start the entry if that has not been done; if it has ended and nobody has heard of it, tell."""
    root = walk.nodes.get(walk.plan.name)
    if root is None:
        begin_entry(walk)
    elif root.phase.fulfilled and not walk.frames:
        walk.ended.append(Ended(entry_call(walk.plan), root.id, ""))


def deadline_of(run: Run) -> datetime | None:
    """When the workflow must have ended; its exit handler need not."""
    limit = run.plan.spec.get("activeDeadlineSeconds")
    if limit is None or run.started_at is None:
        return None
    return run.started_at.replace(microsecond=0) + timedelta(seconds=duration_s(str(limit)))


def settle(walk: Walk, run: Run) -> None:
    """Let everything follow that follows; then, if the entry and its hooks have ended, the exit handler; then the
    end."""
    walk.run()
    while walk.ended:
        ended = walk.ended.pop(0)
        root = walk.nodes[run.plan.name]
        if root.daemoned:
            walk.stop_daemons("")  # nothing is left that would need it
            root = walk.nodes[root.id]
        if ended.call.hooked and not ended.call.of:
            _finish(run, walk, walk.nodes[ended.node_id], ended.raised)
        elif ended.raised and not ended.call.of:
            _finish(run, walk, None, ended.raised)
        elif hooks.is_over(walk, root) and not _start_exit(walk, run, root):
            _finish(run, walk, None, "")
        walk.run()


def exit_hook(plan: Plan) -> Mapping[str, Any] | None:
    """What runs after the workflow."""
    return hooks.exit_hook(plan.spec)


def _start_exit(walk: Walk, run: Run, root: Node) -> bool:
    """Start the exit handler, or adopt the saved one. False: there is none to wait for."""
    hook = exit_hook(walk.plan)
    name = f"{walk.plan.name}.onExit"
    saved = walk.get(name)
    if hook is None or (run.strategy == "Terminate" and saved is None):
        return False
    if saved is not None and saved.id in walk.frames:
        return True
    walk.set_status(workflow_phase(root.phase), failures(walk))
    step = {key: value for key, value in hook.items() if key != "expression"} | {"name": name}
    call = Call(step, walk.plan.holder, hooked=True, on_exit=True)
    if saved is not None and saved.phase.fulfilled:
        walk.ended.append(Ended(call, saved.id, ""))
    elif saved is not None or not walk.adopting:
        launch(walk, name, call)
    return True


def _finish(run: Run, walk: Walk, exit_node: Node | None, raised: str) -> None:
    if run.ended:
        return
    root = walk.nodes[run.plan.name]
    phase, message = _phase_of(root), root.message
    if phase.bad and run.strategy:
        message = f"Stopped with strategy '{run.strategy}'"
    elif raised and exit_node is None:
        phase, message = Phase.Error, f"error in entry template execution: {raised}"
    elif phase is Phase.Succeeded and exit_node is not None and exit_node.phase.bad:
        phase, message = exit_node.phase, exit_node.message
    if raised and exit_node is not None:
        phase, message = Phase.Error, f"error in exit template execution : {raised}"
    walk.state.status = str(phase)
    run.phase, run.message, run.finished_at = phase, message, walk.now
    if "" in walk.state.held:
        walk.release[""] = None
        del walk.state.held[""]


def _phase_of(node: Node) -> Phase:
    return node.phase if node.phase.bad else Phase.Succeeded


def never_began(run: Run, walk: Walk, phase: Phase, message: str) -> None:
    """End a run that waited for its lock, or could not ask for it."""
    run.phase, run.message, run.finished_at = phase, message, walk.now
    walk.state.wishes.pop("", None)
    walk.acquire.pop("", None)
    walk.release[""] = None
