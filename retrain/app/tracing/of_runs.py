"""Spans of runs and their steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from retrain.app.tracing.span import TEXT, Attributes, Made, Span
from retrain.store import runs
from retrain.store.runs import RunRow
from retrain.telemetry.ids import run_span, span_id, step_span

SHOWN = frozenset({"Pod", "Container", "HTTP", "Plugin", "Suspend", "DAG", "Steps", "Retry"})
"""Types of nodes that have a span: what does something, and what holds it together."""


def of_runs(connection: Connection, ids: list[str]) -> Made:
    """The spans of these runs, with their steps."""
    rows = {name: row for name in ids if (row := runs.get(connection, name)) is not None}
    return {name: [_of_run(row), *_steps(connection, row)] for name, row in rows.items()}


def _of_run(row: RunRow) -> Span:
    kind, _, name = (row.parent or "").partition("/")
    parent = {"Event": span_id("event", name), "Workflow": span_id("run", name)}.get(kind)
    attributes: Attributes = {
        "retrain.run": row.id,
        "retrain.run.name": row.name,
        "retrain.workflow": row.workflow,
        "retrain.namespace": row.namespace,
        "retrain.phase": row.phase,
    }
    if row.started is not None:
        attributes["retrain.queued_s"] = max(0.0, (row.started - row.created).total_seconds())
    end = row.finished or row.started or row.created
    failed = None if row.phase == "Succeeded" else (row.message or row.phase)[:TEXT]
    above = span_id("action", row.firing_id) if row.firing_id else parent
    return Span(
        f"run {row.workflow}",
        run_span(row.id, row.retries),
        above,
        row.created,
        max(end, row.created),
        attributes,
        failed=failed,
    )


def _steps(connection: Connection, row: RunRow) -> list[Span]:
    """A span for each step that has begun."""
    nodes, above = runs.load_nodes(connection, row.id), run_span(row.id, row.retries)
    shown = {name for name, node in nodes.items() if node.get("type") in SHOWN and node.get("startedAt")}
    return [_of_node(row, name, nodes, shown, above) for name in shown]


def _of_node(row: RunRow, name: str, nodes: Mapping[str, Any], shown: set[str], above: str) -> Span:
    node = nodes[name]
    start = datetime.fromisoformat(node["startedAt"])
    end = datetime.fromisoformat(node["finishedAt"]) if node.get("finishedAt") else row.finished or start
    bad = node.get("phase") in {"Failed", "Error"}
    boundary = node.get("boundaryID") or ""
    parent = step_span(row.id, boundary, row.retries) if boundary in shown and boundary != name else above
    return Span(
        f"step {node.get('templateName') or node.get('displayName') or name}",
        step_span(row.id, name, row.retries),
        parent,
        start,
        max(start, end),
        {
            "retrain.run": row.id,
            "retrain.node": name,
            "retrain.node.name": str(node.get("displayName") or name)[:TEXT],
            "retrain.node.type": str(node.get("type")),
            "retrain.phase": str(node.get("phase")),
        },
        failed=str(node.get("message") or node.get("phase"))[:TEXT] if bad else None,
    )
