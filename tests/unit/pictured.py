"""Workflow objects for tests of pictures: nodes by a few words each."""

from __future__ import annotations

from typing import Any

Words = tuple[Any, ...]
"""Name, type, phase, boundary, names of its children; then more fields of the node."""


def run_of(*nodes: Words, name: str = "wf", phase: str = "Succeeded") -> dict[str, Any]:
    """A Workflow object whose nodes began one second after the other and took two each."""
    found: dict[str, Any] = {}
    for second, (node_name, kind, node_phase, boundary, children, *more) in enumerate(nodes):
        fields: dict[str, Any] = more[0] if more else {}
        found[node_name] = {
            "id": node_name,
            "name": node_name,
            "displayName": node_name.rpartition(".")[2],
            "type": kind,
            "phase": node_phase,
            "boundaryID": boundary,
            "children": list(children),
            "templateName": "work",
            "startedAt": f"2026-11-21T10:{second // 60 % 60:02}:{second % 60:02}Z",
            "finishedAt": f"2026-11-21T10:{(second + 2) // 60 % 60:02}:{(second + 2) % 60:02}Z",
            **fields,
        }
    status = {"phase": phase, "nodes": found, "startedAt": "2026-11-21T10:00:00Z"}
    return {"metadata": {"name": name}, "spec": {}, "status": status}


def diamond() -> dict[str, Any]:
    """A DAG of four: a, then b and c, then d, which failed."""
    return run_of(
        ("wf", "DAG", "Failed", "", ["wf.a"]),
        ("wf.a", "Pod", "Succeeded", "wf", ["wf.b", "wf.c"]),
        ("wf.b", "Pod", "Succeeded", "wf", ["wf.d"]),
        ("wf.c", "Pod", "Succeeded", "wf", ["wf.d"]),
        ("wf.d", "Pod", "Failed", "wf", [], {"message": "main: Error (exit code 3)"}),
        phase="Failed",
    )


def steps() -> dict[str, Any]:
    """Two parallel steps, then one that was tried twice, then a loop of three after which nothing comes."""
    return run_of(
        ("wf", "Steps", "Succeeded", "", ["wf[0]"]),
        ("wf[0]", "StepGroup", "Succeeded", "wf", ["wf[0].a", "wf[0].b"]),
        ("wf[0].a", "Pod", "Succeeded", "wf", ["wf[1]"]),
        ("wf[0].b", "Pod", "Succeeded", "wf", ["wf[1]"]),
        ("wf[1]", "StepGroup", "Succeeded", "wf", ["wf[1].try"]),
        ("wf[1].try", "Retry", "Succeeded", "wf", ["wf[1].try(0)", "wf[1].try(1)"]),
        ("wf[1].try(0)", "Pod", "Failed", "wf", []),
        ("wf[1].try(1)", "Pod", "Succeeded", "wf", ["wf[2]"]),
        ("wf[2]", "StepGroup", "Succeeded", "wf", ["wf[2].l(0:x)", "wf[2].l(1:y)", "wf[2].l(10:z)"]),
        ("wf[2].l(0:x)", "Pod", "Succeeded", "wf", []),
        ("wf[2].l(1:y)", "Pod", "Succeeded", "wf", []),
        ("wf[2].l(10:z)", "Skipped", "Skipped", "wf", []),
    )
