"""`Experiment` of Katib (kubeflow.org/v1beta1): a search for hyperparameters.

The best trial becomes its outputs: each parameter and each metric under its own name, and `bestTrial`. An Experiment
that has succeeded may go on when its `maxTrialCount` is raised; the run has ended then, and stays so.

Source: pkg/apis/controller/experiments/v1beta1 of kubeflow/katib, 2026-06.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.kubernetes.kinds.controls import by_removal
from pipelines.kubernetes.kinds.port import Kind, Object, Phase, Reading
from pipelines.kubernetes.kinds.status import (
    Part,
    count,
    counted,
    holding,
    items,
    mapping,
    metadata_of,
    parameters,
    spec_of,
    status_of,
    texts,
    time_of,
    with_nodes,
    word,
)

LISTS: tuple[tuple[str, Phase, str], ...] = (
    ("succeededTrialList", "Succeeded", ""),
    ("earlyStoppedTrialList", "Succeeded", "stopped early"),
    ("failedTrialList", "Failed", ""),
    ("killedTrialList", "Failed", "killed"),
    ("metricsUnavailableTrialList", "Failed", "its metrics are unavailable"),
    ("runningTrialList", "Running", ""),
    ("pendingTrialList", "Pending", ""),
)
STRATEGIES = ("latest", "max", "min")
UNAVAILABLE = "unavailable"
"""What Katib writes for a metric without a value."""


def read(found: Object) -> Reading:
    """What an Experiment says, with its trials as parts."""
    status = status_of(found)
    trials = [Part(name, phase, text) for key, phase, text in LISTS for name in texts(status.get(key))]
    return with_nodes(found, _whole(found, status), trials)


def _whole(found: Object, status: Mapping[str, Any]) -> Reading:
    holds, started = holding(found), time_of(status.get("startTime"))
    finished, outputs, pods = time_of(status.get("completionTime")), _outputs(found), _trials(status)
    if over := holds.get("Failed"):
        return Reading("Failed", over.text, started, finished or over.at, outputs, pods=pods)
    if done := holds.get("Succeeded"):
        return Reading("Succeeded", done.text, started, finished or done.at, outputs, pods=pods)
    if "Running" in holds or "Restarting" in holds:
        return Reading("Running", _progress(found, status), started, outputs=outputs, pods=pods)
    return Reading("Pending", "", started, pods=pods)


def _trials(status: Mapping[str, Any]) -> str:
    ended = ("trialsSucceeded", "trialsFailed", "trialsKilled", "trialsEarlyStopped", "trialMetricsUnavailable")
    return counted(
        count(status.get("trialsPending")),
        count(status.get("trialsRunning")),
        sum(count(status.get(key)) for key in ended),
    )


def _progress(found: Object, status: Mapping[str, Any]) -> str:
    most, made = count(spec_of(found).get("maxTrialCount")), count(status.get("trials"))
    return f"{made} of {most} trials" if most else ""


def _outputs(found: Object) -> Any:
    best = mapping(status_of(found).get("currentOptimalTrial"))
    return parameters(_best(found, best)) if word(best.get("bestTrialName")) else None


def _best(found: Object, best: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "bestTrial", word(best.get("bestTrialName"))
    for one in items(best.get("parameterAssignments")):
        yield word(one.get("name")), word(one.get("value"))
    strategies = _strategies(found)
    for one in items(mapping(best.get("observation")).get("metrics")):
        name = word(one.get("name"))
        if (value := word(one.get(strategies.get(name, "latest")))) not in {"", UNAVAILABLE}:
            yield name, value


def _strategies(found: Object) -> dict[str, str]:
    """Metric -> which of its values counts, as the Experiment says it or, for the objective, as Katib's default is."""
    objective = mapping(spec_of(found).get("objective"))
    best = {"minimize": "min", "maximize": "max"}.get(word(objective.get("type")), "latest")
    default = {word(objective.get("objectiveMetricName")): best}
    default |= dict.fromkeys(texts(objective.get("additionalMetricNames")), best)
    said = {word(one.get("name")): word(one.get("value")) for one in items(objective.get("metricStrategies"))}
    return default | {name: value for name, value in said.items() if value in STRATEGIES}


def pods_of(found: Object) -> str:
    return f"katib.kubeflow.org/experiment={metadata_of(found).get('name')}"


KIND = Kind("kubeflow.org", "v1beta1", "Experiment", "experiments", read, pods_of, by_removal())
