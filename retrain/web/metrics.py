"""`/metrics`: what the store counts, and the process itself, in Prometheus' text form.

Counts are taken from the store when somebody asks, not kept beside it: right after a restart and in every replica.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import anyio
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from pipelines.host.metrics import WorkflowMetrics, buckets_of
from retrain.app import queries
from retrain.app.services import Services
from retrain.errors import BusError
from retrain.web import source_metrics

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUS_PATIENCE_S = 2.0
"""Seconds that the bus has to say how long its log is."""


async def page(services: Services) -> bytes:
    """All metrics of the platform as one text."""
    counts = await services.ask(queries.counts)
    last = await _last_position(services)
    cursor = await services.ask(queries.log_cursor)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    _plain(registry, "retrain_events", "Events seen", counts["events"])
    _plain(registry, "retrain_deadletters", "Dead letters that nobody has redriven", counts["deadletters"])
    if last is not None:
        _plain(registry, "retrain_log_last_position", "Position of the newest event in the log", last)
        unread = max(0, last - cursor)
        _plain(registry, "retrain_log_lag", "Events in the log that the sensors have not read", unread)
        _plain(
            registry,
            "retrain_log_lag_seconds",
            "Age of the last event read, while others wait",
            _lag_s(services, unread),
        )
    _sensing(registry, services)
    for kind, label in (("firings", "state"), ("runs", "phase"), ("promotions", "state")):
        _by(registry, f"retrain_{kind}", f"{kind.capitalize()} by {label}", label, counts[kind])
    await _crons(registry, services)
    parts = {state.name: int(state.ready) for state in services.states()}
    _by(registry, "retrain_part_ready", "1 while the part can work, 0 while it waits", "part", parts)
    source_metrics.add(registry, services.sources())
    registry.register(_Workflows(services.workflow_metrics, services.clock.now()))
    _plain(
        registry,
        "retrain_workflow_metrics_refused",
        "Figures of workflows that were not taken since the start",
        services.workflow_metrics.refused,
    )
    return generate_latest(registry)


class _Workflows:
    """`metrics.prometheus` of workflows, as they stand now."""

    def __init__(self, metrics: WorkflowMetrics, now: datetime) -> None:
        self._metrics = metrics
        self._now = now

    def collect(self) -> Iterator[Metric]:
        for family in self._metrics.families.values():
            names = list(family.label_names)
            if family.kind == "histogram":
                histogram = HistogramMetricFamily(family.name, family.help, labels=names)
                for labels, series in family.series.items():
                    values = [value for _, value in labels]
                    histogram.add_metric(values, list(buckets_of(family, series)), series.sum)
                yield histogram
                continue
            made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = made(family.name, family.help, labels=names)
            for labels, series in family.series.items():
                metric.add_metric([value for _, value in labels], series.at(self._now))
            yield metric


def _sensing(registry: CollectorRegistry, services: Services) -> None:
    figures = services.figures()
    _by(registry, "retrain_decisions", "Decisions since the start, by outcome", "outcome", dict(figures.decisions))
    _plain(registry, "retrain_timers", "Timers that have happened since the start", figures.timers)
    rows = services.sensing.rows()
    open_ = {one["name"]: one["open"] for one in rows if one["open"]}
    held = {one["name"]: one["held"] for one in rows if one["held"]}
    _by(registry, "retrain_open_keys", "Windows and joins that wait for more, by sensor", "sensor", open_)
    _by(registry, "retrain_held", "Matches that are held back, by sensor", "sensor", held)


async def _crons(registry: CollectorRegistry, services: Services) -> None:
    crons: list[dict[str, Any]] = (await services.actions["crons.list"]())["items"]
    states: dict[str, int] = {"active": 0, "suspended": 0, "stopped": 0}
    for one in crons:
        states["stopped" if one["phase"] == "Stopped" else "suspended" if one["suspended"] else "active"] += 1
    _by(registry, "retrain_crons", "CronWorkflows by state", "state", states)
    for ended in ("succeeded", "failed"):
        counts = {one["name"]: one[ended] for one in crons}
        _by(registry, f"retrain_cron_{ended}", f"Runs of CronWorkflows that {ended}", "cron", counts)


async def _last_position(services: Services) -> int | None:
    """None while the bus is away: the other figures are wanted then most of all."""
    with anyio.move_on_after(BUS_PATIENCE_S):
        try:
            return (await services.bus.bounds()).last
        except BusError:
            return None
    return None


def _lag_s(services: Services, unread: int) -> float:
    now = services.figures().now
    return max(0.0, (services.clock.now() - now).total_seconds()) if unread and now is not None else 0.0


def _plain(registry: CollectorRegistry, name: str, text: str, value: float) -> None:
    Gauge(name, text, registry=registry).set(value)


def _by(registry: CollectorRegistry, name: str, text: str, label: str, values: dict[str, Any]) -> None:
    gauge = Gauge(name, text, [label], registry=registry)
    for key, value in values.items():
        gauge.labels(key).set(value)
