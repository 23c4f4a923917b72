"""The figures that are asked for when somebody reads `/metrics`: their names, and bounds for their labels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Literal

from retrain.telemetry.figures import LONGEST, MOST, OTHER

Labels = tuple[str, ...]
Rows = dict[str, Mapping[Labels, float]]
"""Series of figures by name: values of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One figure. `join`: how those are put together that have no series of their own."""

    name: str
    text: str
    labels: Labels = ()
    kind: Literal["gauge", "counter"] = "gauge"
    join: Literal["sum", "min", "max"] = "sum"


ASKED = (
    Asked("retrain_build_info", "1; its labels say what runs", ("version", "python")),
    Asked("retrain_part_ready", "1 while a part can work, 0 while it waits", ("part",), join="min"),
    Asked("retrain_bus_last_position", "Position of the newest event in the log"),
    Asked("retrain_bus_lag_events", "Events in the log that the sensors have not read"),
    Asked("retrain_bus_lag_seconds", "Age of the last event read, while others wait"),
    Asked(
        "retrain_source_up", "1 while a source receives here, or another replica does", ("source", "kind"), join="min"
    ),
    Asked("retrain_source_lag_events", "What waits outside, where the source can tell", ("source", "kind")),
    Asked("retrain_source_errors_total", "Failures of a source", ("source", "kind"), "counter"),
    Asked("retrain_source_deadletters_total", "Messages that a source could not take", ("source", "kind"), "counter"),
    Asked(
        "retrain_source_last_event_timestamp_seconds",
        "When the newest event was taken in (Unix)",
        ("source", "kind"),
        join="max",
    ),
    Asked("retrain_timers_total", "Timers of sensors that have happened", (), "counter"),
    Asked("retrain_open_keys", "Windows and joins that wait for more", ("sensor",)),
    Asked("retrain_held_matches", "Matches that are held back by limits", ("sensor",)),
    Asked("retrain_firings", "Firings that are to act, or do so now", ("state",)),
    Asked("retrain_runs", "Runs that wait or run", ("phase",)),
    Asked("retrain_promotions", "Promotions that are not over, and those that are unhealthy", ("state", "environment")),
    Asked(
        "retrain_promotion_oldest_seconds",
        "Age of the oldest promotion in an open state",
        ("state", "environment"),
        join="max",
    ),
    Asked("retrain_deadletters", "Dead letters that nobody has redriven (100,000: at least so many)"),
    Asked("retrain_queue_depth", "What waits for its turn (100,000: at least so many)", ("queue",)),
    Asked("retrain_leases", "Leases that somebody holds now"),
    Asked("retrain_slots", "What this machine has to give to steps", ("resource",)),
    Asked("retrain_slots_used", "What steps have taken of it", ("resource",)),
    Asked("retrain_crons", "CronWorkflows by state", ("state",)),
    Asked("retrain_cron_runs_total", "Runs of CronWorkflows that have ended", ("cron", "phase"), "counter"),
    Asked("retrain_store_size_bytes", "Bytes of the store's files", ("file",)),
    Asked("retrain_disk_free_bytes", "Bytes free where the data is"),
    Asked("retrain_disk_size_bytes", "Bytes of the disk where the data is"),
    Asked("retrain_workflow_metrics_refused_total", "Figures of workflows that were not taken", (), "counter"),
)

_JOIN: dict[str, Callable[[float, float], float]] = {"sum": operator.add, "min": min, "max": max}


def bounded(one: Asked, rows: Mapping[Labels, float]) -> dict[Labels, float]:
    """The rows of a figure. Where a label has more than MOST values, those that matter most keep theirs: the largest,
    of a `min` the smallest. The others are one row."""
    join = _JOIN[one.join]
    for place in range(len(one.labels)):
        rows = _joined(rows, join, lambda values, at=place: _cut(values, at))
        whole = _joined(rows, join, lambda values, at=place: (values[at],))
        if len(whole) > MOST:
            order = sorted(whole, key=lambda name: (whole[name] if one.join == "min" else -whole[name], name))
            kept = {name for (name,) in order[:MOST]}
            rows = _joined(rows, join, lambda values, at=place, kept=kept: _other(values, at, kept))
    return dict(rows)


def _joined(
    rows: Mapping[Labels, float], join: Callable[[float, float], float], name: Callable[[Labels], Labels]
) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    for values, value in rows.items():
        shown = name(values)
        found[shown] = join(found[shown], value) if shown in found else value
    return found


def _cut(values: Labels, at: int) -> Labels:
    return (*values[:at], values[at][:LONGEST], *values[at + 1 :])


def _other(values: Labels, at: int, kept: Set[str]) -> Labels:
    return values if values[at] in kept else (*values[:at], OTHER, *values[at + 1 :])
