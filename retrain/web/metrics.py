"""`/metrics`: what was counted since the start, and how things are now, in Prometheus' text form.

What grows without end is counted as it happens (`retrain.telemetry.meters`); what is asked for here costs the same
after a million events. Names, and what users may call things, are bounded: the largest have series of their own.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from pipelines.host.metrics import WorkflowMetrics, buckets_of
from retrain import __version__
from retrain.app.keeping import measures
from retrain.app.keeping.store_figures import StoreFigures, store_figures
from retrain.app.services import Services
from retrain.errors import BusError
from retrain.telemetry import meters
from retrain.telemetry.figures import Family, Histogram
from retrain.web import source_metrics
from retrain.web.metric_names import ASKED, Rows, bounded

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUS_PATIENCE_S = 2.0
"""Seconds that the bus has to say how long its log is."""


async def page(services: Services) -> bytes:
    """All metrics of the platform as one text."""
    now = services.clock.now()
    found = await services.ask(store_figures, now)
    rows: Rows = {
        **_of_process(services),
        **_of_store(found, now),
        **await _of_bus(services, found.cursor),
        **_of_sensing(services),
        **await _of_crons(services),
        **source_metrics.rows(services.sources()),
    }
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(rows, services.workflow_metrics, now))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


@dataclass(eq=False)
class _Page:
    """All families but those of the process."""

    rows: Rows
    workflows: WorkflowMetrics
    now: datetime

    def collect(self) -> Iterator[Metric]:
        yield from map(_counted, meters.ALL)
        for one in ASKED:
            if one.name in self.rows:
                made = CounterMetricFamily if one.kind == "counter" else GaugeMetricFamily
                metric = made(one.name, one.text, labels=one.labels)
                for values, value in bounded(one, self.rows[one.name]).items():
                    metric.add_metric(values, value)
                yield metric
        yield from _workflows(self.workflows, self.now)


def _counted(family: Family) -> Metric:
    if isinstance(family, Histogram):
        histogram = HistogramMetricFamily(family.name, family.text, labels=family.labels)
        for one in family.spreads():
            histogram.add_metric(one.labels, one.buckets, one.sum)
        return histogram
    made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = made(family.name, family.text, labels=family.labels)
    for labels, value in family.samples():
        metric.add_metric(labels, value)
    return metric


def _workflows(metrics: WorkflowMetrics, now: datetime) -> Iterator[Metric]:
    """`metrics.prometheus` of workflows, as they stand now."""
    for family in metrics.families.values():
        names = list(family.label_names)
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=names)
            for labels, series in family.series.items():
                histogram.add_metric([value for _, value in labels], list(buckets_of(family, series)), series.sum)
            yield histogram
            continue
        made = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = made(family.name, family.help, labels=names)
        for labels, series in family.series.items():
            metric.add_metric([value for _, value in labels], series.at(now))
        yield metric


# --- how things are now ----------------------------------------------------------------------------------------------


def _of_process(services: Services) -> Rows:
    built = (__version__, platform.python_version())
    parts = _of(_by_name((state.name, float(state.ready)) for state in services.states()))
    slots = services.slots()
    sizes = measures.files(services.store.path)
    return {
        "retrain_build_info": {built: 1.0},
        "retrain_part_ready": parts,
        "retrain_slots_used": {(name,): used for name, (used, _) in slots.items()},
        "retrain_slots": {(name,): of for name, (_, of) in slots.items()},
        "retrain_store_size_bytes": {("database",): sizes["bytes"], ("wal",): sizes["wal"]},
        **_disk(services.data),
        "retrain_workflow_metrics_refused_total": {(): services.workflow_metrics.refused},
    }


def _disk(data: Path) -> Rows:
    try:
        found = shutil.disk_usage(data)
    except OSError:
        return {}
    return {"retrain_disk_free_bytes": {(): found.free}, "retrain_disk_size_bytes": {(): found.total}}


def _of_store(found: StoreFigures, now: datetime) -> Rows:
    waits = {
        (one.state, one.environment): (now - one.oldest).total_seconds()
        for one in found.promotions
        if one.state != "unhealthy"
    }
    pending = {"firings": found.firings.get("pending", 0), "runs": found.runs.get("Pending", 0)}
    return {
        "retrain_firings": _of(found.firings),
        "retrain_runs": _of(found.runs),
        "retrain_promotions": {(one.state, one.environment): one.count for one in found.promotions},
        "retrain_promotion_oldest_seconds": waits,
        "retrain_deadletters": {(): found.deadletters},
        "retrain_queue_depth": _of({**pending, "outbox": found.outbox, "spans": found.spans}),
        "retrain_leases": {(): found.leases},
    }


async def _of_bus(services: Services, cursor: int) -> Rows:
    """Nothing while the bus is away: the other figures are wanted then most of all."""
    last: int | None = None
    with anyio.move_on_after(BUS_PATIENCE_S):
        try:
            last = (await services.bus.bounds()).last
        except BusError:
            return {}
    if last is None:
        return {}
    unread = max(0, last - cursor)
    return {
        "retrain_bus_last_position": {(): last},
        "retrain_bus_lag_events": {(): unread},
        "retrain_bus_lag_seconds": {(): _lag_s(services, unread)},
    }


def _lag_s(services: Services, unread: int) -> float:
    now = services.figures().now
    return max(0.0, (services.clock.now() - now).total_seconds()) if unread and now is not None else 0.0


def _of_sensing(services: Services) -> Rows:
    rows = services.sensing.rows()
    return {
        "retrain_timers_total": {(): services.figures().timers},
        "retrain_open_keys": {(one["name"],): one["open"] for one in rows if one["open"]},
        "retrain_held_matches": {(one["name"],): one["held"] for one in rows if one["held"]},
    }


async def _of_crons(services: Services) -> Rows:
    listing = services.actions.get("crons.list")
    if listing is None:
        return {}
    crons: list[dict[str, Any]] = (await listing())["items"]
    states = {"active": 0, "suspended": 0, "stopped": 0}
    for one in crons:
        states["stopped" if one["phase"] == "Stopped" else "suspended" if one["suspended"] else "active"] += 1
    ended = {(one["name"], phase): float(one[phase]) for one in crons for phase in ("succeeded", "failed")}
    return {"retrain_crons": _of(states), "retrain_cron_runs_total": ended}


def _of(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _by_name(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The worst of those of one name: what is not ready must not hide."""
    found: dict[str, float] = {}
    for name, value in values:
        found[name] = min(value, found.get(name, value))
    return found
