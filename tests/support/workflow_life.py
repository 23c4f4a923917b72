"""The life of a Workflow on a cluster as its watchers see it: one object after the other, each with a later version."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN_ID = "r-1"
UID = "6b1e"


def stamp(second: int) -> str:
    """A time of the life, in seconds from its begin."""
    return (BEGAN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def workflow(version: int, **status: Any) -> dict[str, Any]:
    """The object of run `r-1` at a version, with this status."""
    labels = {"retrain.dev/run": RUN_ID, "app.kubernetes.io/managed-by": "retrain"}
    if "phase" in status:
        labels["workflows.argoproj.io/phase"] = status["phase"]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": "w-1",
            "namespace": "ml",
            "uid": UID,
            "resourceVersion": str(version),
            "labels": labels,
            "managedFields": [{"manager": "controller"}],
        },
        "spec": {"entrypoint": "main", "arguments": {"parameters": [{"name": "lr", "value": "0.1"}]}},
        "status": status,
    }


def node(name: str, phase: str, *children: str, kind: str = "Pod") -> dict[str, Any]:
    """A node of a status."""
    body: dict[str, Any] = {"id": name, "name": name, "displayName": name, "type": kind, "phase": phase}
    return {**body, **({"children": list(children)} if children else {})}


def life(steps: int, end: str, *, retried: bool = False) -> list[dict[str, Any]]:
    """A workflow of so many steps one after the other, that ends so; with `retried` it ends, and is tried again."""
    found = [workflow(10), workflow(11, phase="Pending")]
    nodes: dict[str, Any] = {"w-1": node("w-1", "Running", kind="Steps")}
    for number in range(steps):
        name = f"s{number}"
        nodes["w-1"].setdefault("children", []).append(name)
        for phase in ("Pending", "Running", "Succeeded"):
            nodes[name] = node(name, phase)
            found.append(_at(found, nodes, phase="Running", startedAt=stamp(1)))
    if retried:
        nodes["w-1"]["phase"] = "Failed"
        found.append(_at(found, nodes, phase="Failed", startedAt=stamp(1), finishedAt=stamp(50), message="bad"))
        nodes = {"w-1": node("w-1", "Running", "s9", kind="Steps"), "s9": node("s9", "Running")}
        found.append(_at(found, nodes, phase="Running", startedAt=stamp(60)))
        nodes["s9"]["phase"] = "Succeeded"
    nodes["w-1"]["phase"] = end
    began = stamp(60 if retried else 1)
    found.append(_at(found, nodes, phase=end, startedAt=began, finishedAt=stamp(99), resourcesDuration={"cpu": 7}))
    return found


def _at(found: list[dict[str, Any]], nodes: dict[str, Any], **status: Any) -> dict[str, Any]:
    return workflow(10 + len(found), **status, nodes=copy.deepcopy(nodes))
