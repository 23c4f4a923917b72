"""Spans of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from retrain.app.tracing.span import TEXT, Attributes, Made, Span
from retrain.events import OWN_SOURCE, Event
from retrain.store import events, promotions, runs
from retrain.store.tables import decisions as decisions_table
from retrain.store.tables import events as events_table
from retrain.telemetry.ids import TRACEPARENT, read_parent, run_span, span_id

ARRIVING = timedelta(seconds=10)
"""What an event's own time may lie before its arrival at the bus to be taken for the moment it came in."""


def of_events(connection: Connection, keys: list[str]) -> Made:
    """The spans of these events: how each came in, and what sensors made of it."""
    found = events.get_many(connection, keys)
    one = events_table.c
    times = connection.execute(select(one.key, one.received).where(one.key.in_(keys)))
    received = {row.key: row.received for row in times}
    decided = _decided(connection, keys)
    causes = _causes(connection, found.values())
    return {key: _of_event(key, event, received[key], decided.get(key, []), causes) for key, event in found.items()}


def _decided(connection: Connection, keys: list[str]) -> dict[str, list[Any]]:
    one = decisions_table.c
    query = select(one.event_key, one.sensor, one.outcome, one.reason, one.time).where(one.event_key.in_(keys))
    found: dict[str, list[Any]] = {}
    for row in connection.execute(query.order_by(one.id)):
        found.setdefault(row.event_key, []).append(row)
    return found


def _of_event(key: str, event: Event, received: datetime, decided: list[Any], causes: Mapping[str, str]) -> list[Span]:
    ours = event.source == OWN_SOURCE
    early = event.time is not None and timedelta() <= received - event.time <= ARRIVING
    start = event.time if early and event.time is not None else received
    ends = [row.time for row in decided]
    name = (
        event.subject
        if ours and event.subject
        else f"{event.source}/{event.subject}"
        if event.subject
        else event.source
    )
    attributes: Attributes = {
        "messaging.system": "retrain",
        "messaging.message.id": event.id,
        "cloudevents.event_id": event.id,
        "cloudevents.event_source": event.source,
        "cloudevents.event_type": event.type,
        "retrain.event.key": key,
    }
    mine = span_id("event", key)
    outside = read_parent(event.extensions.get(TRACEPARENT))
    parent = causes.get(str(event.extensions.get("retraincause"))) if ours else outside.span if outside else None
    root = Span(
        f"publish {name}" if ours else f"receive {name}", mine, parent, start, max([received, *ends]), attributes
    )
    by_sensor: dict[str, list[Any]] = {}
    for row in decided:
        by_sensor.setdefault(row.sensor, []).append(row)
    publish = Span("publish", span_id("event", key, "publish"), mine, start, received, role="producer")
    return [replace(root, role="consumer"), publish, *(_decision(key, name, rows) for name, rows in by_sensor.items())]


def _decision(key: str, sensor: str, rows: list[Any]) -> Span:
    wrong = next((row.reason for row in rows if row.outcome == "error"), None)
    attributes: Attributes = {
        "retrain.sensor": sensor,
        "retrain.outcome": ",".join(dict.fromkeys(row.outcome for row in rows)),
        "retrain.reason": "; ".join(dict.fromkeys(row.reason for row in rows if row.reason))[:TEXT],
    }
    mine, at = span_id("decision", key, sensor), rows[0].time
    end = max(row.time for row in rows)
    return Span(f"decide {sensor}", mine, span_id("event", key), at, end, attributes, failed=wrong)


def _causes(connection: Connection, found: Iterable[Event]) -> dict[str, str]:
    """The spans of what events of ours tell of, by its id."""
    ids = {str(one.extensions["retraincause"]) for one in found if "retraincause" in one.extensions}
    known = {row.id: run_span(row.id, row.retries) for name in ids if (row := runs.get(connection, name))}
    known |= {
        name: span_id("promotion", name) for name in ids if name not in known and promotions.get(connection, name)
    }
    return {name: known.get(name, span_id("firing", name)) for name in ids}
