"""Spans of firings and their actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from retrain.app.tracing.span import TEXT, Attributes, Made, Span
from retrain.store import firings, traces
from retrain.store.firings import FiringRow
from retrain.store.traces import Kind, Traced
from retrain.telemetry.ids import span_id

LINKED = 32
"""Other events of a firing that its span is linked to."""


def of_firings(connection: Connection, ids: list[str]) -> Made:
    """The spans of these firings: each, and its action."""
    keys = traces.events_of(connection, ids)
    others: list[traces.Ref] = [("event", key) for found in keys.values() for key in found[1 : LINKED + 1]]
    known = traces.trace_ids(connection, others)
    rows = {name: row for name in ids if (row := firings.get(connection, name)) is not None}
    return {name: _of_firing(row, keys.get(name, []), known) for name, row in rows.items()}


def _of_firing(row: FiringRow, keys: list[str], known: Mapping[tuple[Kind, str], Traced]) -> list[Span]:
    action: Mapping[str, Any] = row.action if isinstance(row.action, dict) else {}
    kind = str(action.get("kind") or "action")
    end = row.finished or row.created
    # One that died and is sent on its way again has another span then; what it leads to belongs to that one.
    dead = (str(row.attempts),) if row.state == "dead" else ()
    mine = span_id("firing", row.id, *dead)
    attributes: Attributes = {
        "retrain.firing": row.id,
        "retrain.sensor": row.sensor,
        "retrain.trigger": row.trigger,
        "retrain.key": row.key[:TEXT],
        "retrain.state": str(row.state),
        "retrain.attempts": row.attempts,
    }
    failed = (row.error or "dead")[:TEXT] if row.state == "dead" else None
    links = tuple((known["event", key].id, span_id("event", key)) for key in keys[1 : LINKED + 1])
    parent = span_id("decision", keys[0], row.sensor) if keys else None
    whole = Span(f"firing {row.trigger}", mine, parent, row.created, end, attributes, links=links, failed=failed)
    if row.state == "cancelled":
        return [whole]
    done = {"retrain.action": kind, "retrain.attempts": row.attempts}
    act = Span(
        f"act {kind}", span_id("action", row.id, *dead), mine, row.created, end, dict(done), "client", failed=failed
    )
    return [whole, act]
