"""The spans of what was noted, with the trace that each belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from retrain.app.tracing.of_events import of_events
from retrain.app.tracing.of_firings import of_firings
from retrain.app.tracing.of_promotions import of_promotions
from retrain.app.tracing.of_runs import of_runs
from retrain.app.tracing.span import Made, Span
from retrain.store import traces
from retrain.store.span_feed import Kind, Over

MAKERS: dict[Kind, Callable[[Connection, list[str]], Made]] = {
    "event": of_events,
    "firing": of_firings,
    "run": of_runs,
    "promotion": of_promotions,
}


def spans_of(connection: Connection, over: Sequence[Over]) -> list[Span]:
    """The spans of these things; one whose row is gone has none."""
    spans: list[Span] = []
    for kind, make in MAKERS.items():
        names = list(dict.fromkeys(one.ref for one in over if one.kind == kind))
        known = traces.trace_ids(connection, [(kind, name) for name in names])
        for name, made in make(connection, names).items() if names else ():
            trace = known[kind, name]
            spans += [replace(one, trace=trace.id, sampled=trace.sampled) for one in made]
    return spans
