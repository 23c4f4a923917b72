"""A run as a tree of its steps, for people: phase, name, template, how long, and why where it went wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

MARKS = {
    "Succeeded": ("✔", "green"),
    "Failed": ("✖", "red"),
    "Error": ("⚠", "red"),
    "Running": ("●", "cyan"),
    "Pending": ("◷", "yellow"),
    "Skipped": ("○", "dim"),
    "Omitted": ("○", "dim"),
}
INNER = frozenset({"StepGroup", "TaskGroup", "Retry"})
"""Nodes that only group others: a retry with one try is shown as that try."""


def tree_of(run: dict[str, Any]) -> Tree:
    """Draw a Workflow object with its status."""
    status = run["status"]
    nodes: dict[str, Any] = status.get("nodes") or {}
    name = run["metadata"]["name"]
    root = Tree(_line(name, status))
    top = nodes.get(name) or next((n for n in nodes.values() if n["name"] == name), None)
    if top is not None:
        _grow(root, top, nodes, {top["id"]})
    for key, value in _outputs(status):
        root.add(Text.assemble(("→ ", "dim"), f"{key}: ", (_short(value), "bold")))
    return root


def _grow(tree: Tree, node: dict[str, Any], nodes: dict[str, Any], seen: set[str]) -> None:
    """Add a node's members: those whose boundary it is, or its children where it only groups."""
    members = [n for n in nodes.values() if n.get("boundaryID") == node["id"] and n["id"] not in seen]
    if node["type"] in INNER:
        members = [nodes[c] for c in node.get("children") or () if c in nodes and c not in seen]
    inner = {c for m in members if m["type"] in INNER for c in m.get("children") or ()}
    order = _order(node, nodes)
    for member in sorted(members, key=lambda n: (order.get(n["id"], len(order)), n["name"])):
        if member["id"] in seen or (member["id"] in inner and node["type"] not in INNER):
            continue
        seen.add(member["id"])
        only = [nodes[c] for c in member.get("children") or () if c in nodes]
        if member["type"] == "Retry" and len(only) == 1 and member["phase"] == only[0]["phase"]:
            seen.add(only[0]["id"])
            tree.add(_line(member["displayName"], only[0]))
            continue
        branch = tree if member["type"] == "StepGroup" else tree.add(_line(member["displayName"], member))
        _grow(branch, member, nodes, seen)


def _order(node: dict[str, Any], nodes: dict[str, Any]) -> dict[str, int]:
    """In which order nodes follow from one: a step comes after all that leads to it. Times are too coarse for that."""
    depth = {node["id"]: 0}
    waiting = [node["id"]]
    for one in waiting:
        for child in nodes[one].get("children") or ():
            if child in nodes and depth.get(child, -1) < depth[one] + 1 <= len(nodes):
                depth[child] = depth[one] + 1
                waiting.append(child)
    return depth


def _line(name: str, node: dict[str, Any]) -> Text:
    phase = node.get("phase") or "Pending"
    mark, style = MARKS.get(phase, ("?", ""))
    line = Text.assemble((f"{mark} ", style), name)
    if took := lasted(node):
        line.append(f"  {took}", "dim")
    if phase not in {"Succeeded", "Running"}:
        line.append(f"  {phase}", style)
    if message := node.get("message"):
        line.append(f"  {_short(message)}", "dim")
    return line


def lasted(status: dict[str, Any]) -> str:
    """How long a run or node took, or takes so far."""
    if not status.get("startedAt"):
        return ""
    end = datetime.fromisoformat(status["finishedAt"]) if status.get("finishedAt") else datetime.now(UTC)
    seconds = max(0.0, (end - datetime.fromisoformat(status["startedAt"])).total_seconds())
    if seconds < 60:
        return f"{seconds:.1f}s"
    return (
        f"{int(seconds // 60)}m{int(seconds % 60)}s"
        if seconds < 3600
        else f"{int(seconds // 3600)}h{int(seconds % 3600 // 60)}m"
    )


def _outputs(status: dict[str, Any]) -> list[tuple[str, str]]:
    parameters = (status.get("outputs") or {}).get("parameters") or []
    if isinstance(parameters, dict):
        return [(str(k), str(v)) for k, v in parameters.items()]
    return [(p["name"], str(p.get("value", ""))) for p in parameters]


def _short(text: str, limit: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
