"""A run as Argo's tools read it: the `status` of the Workflow object, and what exit handlers read of the whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipelines.core import resources
from pipelines.core.happenings import LockWish
from pipelines.core.naming import go_json, pod_name
from pipelines.core.nodes import Node, Outputs, Phase, to_rfc3339
from pipelines.core.tree import Tree

if TYPE_CHECKING:
    from pipelines.core.run import Run


def workflow_phase(phase: Phase) -> str:
    """What a workflow is whose entry is in this phase."""
    return str(Phase.Succeeded if phase in (Phase.Skipped, Phase.Omitted) else phase)


def failures(walk: Tree) -> str:
    """`{{workflow.failures}}`: a JSON list, quoted once more, for it is meant to stand inside a JSON text."""
    found = [
        {
            "displayName": node.display_name,
            "message": node.message,
            "templateName": _template_of(node),
            "phase": str(node.phase),
            "podName": pod_name(walk.plan.name, node.name, _template_of(node)),
            "finishedAt": to_rfc3339(node.finished_at),
        }
        for node in walk.nodes.values()
        if node.phase.bad
    ]
    return json.dumps(go_json(found or None), ensure_ascii=False)


def _template_of(node: Node) -> str:
    return str((node.template_ref or {}).get("template") or node.template_name)


def status(run: Run) -> dict[str, Any]:
    """Argo's `status` of the Workflow object. Empty parts are left out."""
    state, parts = run.state, dict[str, Any]()
    done, of = state.progress
    parts |= {
        "phase": str(run.phase),
        "message": run.message,
        "startedAt": to_rfc3339(run.started_at),
        "finishedAt": to_rfc3339(run.finished_at),
        "progress": f"{done}/{of}",
        "conditions": conditions(run.phase, state.nodes.values()),
        "resourcesDuration": resources.used(state.nodes.values(), run.started_at),
        "synchronization": synchronization(state.held.values(), state.wishes.values()),
        "outputs": outputs(run).to_argo(),
        "nodes": {key: node.to_argo(state.children.get(key, ())) for key, node in state.nodes.items()},
    }
    return {key: value for key, value in parts.items() if value}


def outputs(run: Run) -> Outputs:
    """What the workflow gave by global names."""
    return Outputs(run.state.exports, artifacts=tuple(run.state.artifacts.values()))


def conditions(phase: Phase, nodes: Iterable[Node]) -> list[dict[str, str]]:
    """Argo's `status.conditions`: whether a pod runs, and whether all is over."""
    runs = any(node.type == "Pod" and node.phase is Phase.Running for node in nodes)
    found = [{"type": "PodRunning", "status": str(runs)}]
    return [*found, {"type": "Completed", "status": "True"}] if phase.fulfilled else found


def synchronization(held: Iterable[LockWish], waiting: Iterable[LockWish]) -> dict[str, Any]:
    """Argo's `status.synchronization`: who holds which lock, and who waits."""
    found: dict[str, Any] = {}
    for state, wishes in (("holding", held), ("waiting", waiting)):
        for wish in wishes:
            for lock in wish.locks:
                kind = "mutex" if "/Mutex/" in lock.name else "semaphore"
                entries: list[dict[str, Any]] = found.setdefault(kind, {}).setdefault(state, [])
                _add(entries, kind, lock.name, wish.holder)
    return found


def _add(entries: list[dict[str, Any]], kind: str, name: str, holder: str) -> None:
    if kind == "mutex":
        entries.append({"mutex": name, "holder": holder})
        return
    for entry in entries:
        if entry["semaphore"] == name:
            entry["holders"].append(holder)
            return
    entries.append({"semaphore": name, "holders": [holder]})
