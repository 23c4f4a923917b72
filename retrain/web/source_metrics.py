"""Event sources at `/metrics`: one label, the entry's name, for at most MOST entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

MOST = 1000
"""Entries that have figures of their own: a project with more would drown who reads them."""

_FIGURES = (
    ("retrain_source_received", "Events taken in since the process started", "received"),
    ("retrain_source_filtered", "Events that filter.expression did not want, since the process started", "filtered"),
    ("retrain_source_deadletters", "Messages that could not be taken, since the process started", "deadLetters"),
    ("retrain_source_errors", "Failures since the process started", "errors"),
    ("retrain_source_lag", "What waits outside, where the source can tell", "lag"),
)


def add(registry: CollectorRegistry, rows: Sequence[dict[str, Any]]) -> None:
    """Put the figures of these sources into a registry."""
    rows = rows[:MOST]
    for name, text, field in _FIGURES:
        _gauge(registry, name, text, {_name(one): one[field] for one in rows if one[field] is not None})
    listening = {_name(one): int(one["state"] == "listening") for one in rows}
    _gauge(registry, "retrain_source_listening", "1 while the source receives here", listening)
    last = {_name(one): datetime.fromisoformat(one["lastEvent"]).timestamp() for one in rows if one["lastEvent"]}
    _gauge(registry, "retrain_source_last_event_timestamp_seconds", "When the newest event was taken in", last)


def _name(one: dict[str, Any]) -> str:
    return f"{one['source']}/{one['event']}"


def _gauge(registry: CollectorRegistry, name: str, text: str, values: dict[str, Any]) -> None:
    gauge = Gauge(name, text, ["source"], registry=registry)
    for source, value in values.items():
        gauge.labels(source).set(value)
