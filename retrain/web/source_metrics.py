"""Event sources at `/metrics`, by their entry's name and kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from retrain.web.metric_names import Labels, Rows

_FIGURES = (
    ("retrain_source_deadletters_total", "deadLetters"),
    ("retrain_source_errors_total", "errors"),
    ("retrain_source_lag_events", "lag"),
)
UP = frozenset({"listening", "standby"})


def rows(sources: Sequence[dict[str, Any]]) -> Rows:
    """The figures of these sources."""
    found: Rows = {
        name: {_labels(one): float(one[field]) for one in sources if one[field] is not None} for name, field in _FIGURES
    }
    found["retrain_source_up"] = {_labels(one): float(one["state"] in UP) for one in sources}
    found["retrain_source_last_event_timestamp_seconds"] = {
        _labels(one): datetime.fromisoformat(one["lastEvent"]).timestamp() for one in sources if one["lastEvent"]
    }
    return found


def _labels(one: dict[str, Any]) -> Labels:
    return f"{one['source']}/{one['event']}", one["kind"]
