"""Figures that workflows keep of themselves: taken once for each end, bounded, and never from a broken declaration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.core import engine
from pipelines.core.happenings import Started, TaskResult
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.host.metrics import MAX_SERIES, WorkflowMetrics, buckets_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNTER = {
    "name": "ended",
    "help": "h",
    "labels": [{"key": "status", "value": "{{status}}"}],
    "counter": {"value": "1"},
}


def play(metrics: WorkflowMetrics, declared: list[dict[str, Any]], *, whole: bool = False, uid: str = "u") -> None:
    """One run of one step that takes 7 seconds and gives 0.9."""
    leaf: dict[str, Any] = {
        "name": "main",
        "container": {"image": "x", "command": ["true"]},
        "outputs": {"parameters": [{"name": "acc", "valueFrom": {"path": "/acc"}}]},
    }
    spec: dict[str, Any] = {"entrypoint": "main", "templates": [leaf]}
    (spec if whole else leaf)["metrics"] = {"prometheus": [{"help": "h", **one} for one in declared]}
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": spec}
    run = engine.begin(manifest, name="w", uid=uid, created=NOW, templates=Catalog())
    end = NOW + timedelta(seconds=7)
    decision = engine.step(run, [], NOW)
    metrics.see(decision, NOW)
    metrics.see(engine.step(run, [Started("w", NOW)], NOW), NOW + timedelta(seconds=3))
    result = TaskResult("w", Phase.Succeeded, 0, parameters={"acc": "0.9"}, started_at=NOW, finished_at=end)
    decision = engine.step(run, [result], end)
    metrics.see(decision, end)


def value_of(metrics: WorkflowMetrics, name: str, now: datetime = NOW) -> dict[tuple[str, ...], float]:
    family = metrics.families[f"argo_workflows_{name}"]
    return {tuple(value for _, value in labels): series.at(now) for labels, series in family.series.items()}


def test_a_counter_counts_each_end_once_by_its_labels() -> None:
    metrics = WorkflowMetrics()
    play(metrics, [COUNTER])
    play(metrics, [COUNTER], uid="v")

    assert value_of(metrics, "ended") == {("Succeeded",): 2.0}


def test_a_gauge_holds_an_output_and_when_decides() -> None:
    metrics = WorkflowMetrics()
    gauge = {"name": "acc", "gauge": {"value": "{{outputs.parameters.acc}}"}}
    play(
        metrics, [{**gauge, "when": "{{status}} == Succeeded"}, {**gauge, "name": "no", "when": "{{status}} == Failed"}]
    )

    assert value_of(metrics, "acc") == {(): 0.9}
    assert "argo_workflows_no" not in metrics.families


def test_a_histogram_of_the_whole_workflow_counts_into_buckets() -> None:
    metrics = WorkflowMetrics()
    histogram = {"name": "took", "histogram": {"value": "{{workflow.duration}}", "buckets": [10, 5]}}
    play(metrics, [histogram], whole=True)

    (family,) = metrics.families.values()
    (series,) = family.series.values()
    assert list(buckets_of(family, series)) == [("5.0", 0.0), ("10.0", 1.0), ("+Inf", 1.0)]
    assert series.sum == 7.0


def test_a_realtime_gauge_ends_with_its_node_and_stays_at_the_last_value() -> None:
    metrics = WorkflowMetrics()
    play(metrics, [{"name": "live", "gauge": {"realtime": True, "value": "{{duration}}"}}])

    assert value_of(metrics, "live", NOW + timedelta(days=1)) == {(): 7.0}


def test_what_cannot_be_taken_is_counted_and_harms_nothing() -> None:
    metrics = WorkflowMetrics()
    broken = [
        {"name": "a", "gauge": {"value": "{{=nobody}}"}},
        {"name": "a", "gauge": {"value": "words"}},
        {"name": "a", "counter": {"value": "-1"}},
        {"name": "a", "gauge": {"value": "nan"}},
    ]
    play(metrics, broken)
    play(metrics, [{**COUNTER, "labels": [{"key": "other", "value": "1"}]}, COUNTER], uid="v")

    assert metrics.refused == 5


def test_a_label_of_ids_cannot_grow_the_page_without_end() -> None:
    metrics = WorkflowMetrics()
    for number in range(MAX_SERIES + 5):
        play(metrics, [{**COUNTER, "labels": [{"key": "id", "value": f"{number}"}]}], uid=f"u{number}")

    assert len(value_of(metrics, "ended")) == MAX_SERIES
    assert metrics.refused == 5
