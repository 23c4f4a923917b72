"""Says in the log what was decided on each event: at the level `debug`, for it is a line for each event and firing."""

from __future__ import annotations

import logging

import structlog
from sqlalchemy import Connection

from retrain.store import traces
from retrain.telemetry.ids import span_id
from sensors.host.batch import Batch

log = structlog.get_logger()


def say(connection: Connection, batch: Batch) -> None:
    """Say a batch that is being written down, with the trace of each thing."""
    if not log.is_enabled_for(logging.DEBUG):
        return
    events: list[traces.Ref] = [("event", one.key or one.event.key) for one in batch.seen]
    firings: list[traces.Ref] = [("firing", row.id) for row in (*batch.firings, *batch.lost)]
    known = traces.trace_ids(connection, [*events, *firings])
    for ref, seen in zip(events, batch.seen, strict=True):
        ids = {"trace_id": known[ref].id, "span_id": span_id("event", ref[1])}
        name = f"{seen.event.source}/{seen.event.subject}" if seen.event.subject else seen.event.source
        log.debug("event.read", event_id=seen.event.id, event_key=ref[1], name=name, position=seen.position, **ids)
    for ref, row in zip(firings, (*batch.firings, *batch.lost), strict=True):
        ids = {"trace_id": known[ref].id, "span_id": span_id("firing", row.id)}
        log.debug("firing.made", firing_id=row.id, sensor=row.sensor, trigger=row.trigger, key=row.key, **ids)
