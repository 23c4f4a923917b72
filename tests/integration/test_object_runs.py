"""Objects of a real API server that are followed to their end as runs. Their controllers' status is written here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.happenings import Resume, Stop, Suspend
from pipelines.kubernetes.requests import ClusterRequests
from retrain.clock import SystemClock
from retrain.errors import Refused
from retrain.store import runs
from tests.integration.object_world import World, install, world
from tests.servers.kube_server import KubeApi

pytestmark = pytest.mark.integration

START, END = "2026-11-22T08:00:00Z", "2026-11-22T09:00:00Z"


def holds(kind: str, at: str = END, **more: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "lastTransitionTime": at, **more}


TRAINED = {"startTime": START, "completionTime": END, "conditions": [holds("Running", START), holds("Succeeded")]}
BROKEN = {"startTime": START, "completionTime": END, "conditions": [holds("Failed", reason="Bad", message="of memory")]}
REPLICAS = {"pytorchReplicaSpecs": {"Worker": {"replicas": 2}}}
BEST = {
    "bestTrialName": "search-1",
    "parameterAssignments": [{"name": "lr", "value": "0.01"}],
    "observation": {"metrics": [{"name": "loss", "min": "0.1", "max": "2", "latest": "0.2"}]},
}
SEARCH = {"objective": {"type": "minimize", "objectiveMetricName": "loss"}}
SPARK = {"driverInfo": {"podName": "d"}, "lastSubmissionAttemptTime": START, "terminationTime": END}
RAY = {"startTime": START, "endTime": END}
SERVED = {"url": "http://m", "modelStatus": {"transitionStatus": "UpToDate"}, "conditions": [holds("Ready")]}
UNSERVED = {"modelStatus": {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "of memory"}}}

CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    *(
        ("kubeflow.org/v1", kind, REPLICAS, TRAINED, BROKEN)
        for kind in ("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob")
    ),
    (
        "trainer.kubeflow.org/v1alpha1", "TrainJob", {}, {"conditions": [holds("Complete")]},
        {"conditions": [holds("Failed", reason="Bad", message="of memory")]},
    ),
    ("kubeflow.org/v1beta1", "Experiment", SEARCH, {**TRAINED, "currentOptimalTrial": BEST}, BROKEN),
    (
        "ray.io/v1", "RayJob", {}, {**RAY, "jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"},
        {**RAY, "jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": "of memory"},
    ),
    (
        "sparkoperator.k8s.io/v1beta2", "SparkApplication", {}, {**SPARK, "applicationState": {"state": "COMPLETED"}},
        {**SPARK, "applicationState": {"state": "FAILED", "errorMessage": "of memory"}},
    ),
    ("serving.kserve.io/v1beta1", "InferenceService", {}, SERVED, UNSERVED),
    (
        "batch.volcano.sh/v1alpha1", "Job", {}, {"state": {"phase": "Completed", "lastTransitionTime": END}},
        {"state": {"phase": "Failed", "message": "of memory", "lastTransitionTime": END}},
    ),
]  # fmt: skip


@pytest.fixture
async def here(kube_api: KubeApi, tmp_path: Path) -> AsyncIterator[World]:
    install(kube_api)
    async with world(kube_api, tmp_path, follow=True) as found:
        yield found


def over(row: runs.RunRow) -> bool:
    return row.phase not in runs.OPEN


@pytest.mark.parametrize(("api", "kind", "spec", "good", "bad"), CASES, ids=[f"{one[0]} {one[1]}" for one in CASES])
async def test_an_object_is_followed_to_its_end(
    here: World, api: str, kind: str, spec: Any, good: Any, bad: Any
) -> None:
    body: dict[str, Any] = {"apiVersion": api, "kind": kind, "metadata": {"generateName": "train-"}, "spec": spec}
    first, second = await here.fire(body), await here.fire(body)

    await here.say(api, kind, first.result["object"], good)
    await here.say(api, kind, second.result["object"], bad)
    well, badly = await here.run(first, over), await here.run(second, over)

    assert well.phase == "Succeeded", well.message
    assert badly.phase == "Failed"
    assert "of memory" in badly.message
    told = await here.told()
    assert sorted(name for name in told if name != "run.started") == ["run.failed", "run.succeeded"]


async def test_the_best_trial_becomes_outputs(here: World) -> None:
    body: dict[str, Any] = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": "search"},
        "spec": SEARCH,
    }
    row = await here.fire(body)

    await here.say(body["apiVersion"], body["kind"], "search", {**TRAINED, "currentOptimalTrial": BEST})
    run = await here.run(row, over)

    given = {one["name"]: one["value"] for one in run.outputs["parameters"]}
    assert given == {"bestTrial": "search-1", "lr": "0.01", "loss": "0.1"}


async def test_any_object_that_says_when_it_ends_is_a_run(here: World) -> None:
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"generateName": "batch-"},
        "data": {"state": "busy"},
    }
    ends: dict[str, Any] = {
        "successCondition": "data.state == done",
        "failureCondition": "data.state in (broken, lost)",
    }
    ends |= {"outputs": {"model": "{.data.model}"}}
    first, second = await here.fire(body, **ends), await here.fire(body, **ends)
    maps = await here.cluster.resource("v1", "ConfigMap")

    path = maps.at(here.space, first.result["object"])
    await here.cluster.patch(path, {"data": {"state": "done", "model": "m-7"}})
    await here.cluster.patch(maps.at(here.space, second.result["object"]), {"data": {"state": "lost"}})
    well, badly = await here.run(first, over), await here.run(second, over)

    assert (well.phase, well.outputs) == ("Succeeded", {"parameters": [{"name": "model", "value": "m-7"}]})
    assert badly.phase == "Failed"
    assert "failure condition '{data.state in [broken lost]}' evaluated true" in badly.message


async def test_one_that_is_deleted_before_its_end_has_failed(here: World) -> None:
    body: dict[str, Any] = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "ray"}, "spec": {}}
    row = await here.fire(body)
    await here.say("ray.io/v1", "RayJob", "ray", {"startTime": START, "jobDeploymentStatus": "Running"})
    await here.run(row, lambda one: one.phase == "Running")

    await here.fire(body, "delete")
    run = await here.run(row, over)

    assert run.phase == "Error"
    assert "was deleted from the cluster" in run.message


async def test_a_run_that_is_over_stays_so(here: World) -> None:
    """Katib takes an Experiment up again when its maxTrialCount is raised."""
    body: dict[str, Any] = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": "search"},
        "spec": SEARCH,
    }
    row = await here.fire(body)
    await here.say(body["apiVersion"], body["kind"], "search", TRAINED)
    await here.run(row, over)
    again = {"conditions": [holds("Restarting", END), holds("Running", END)], "completionTime": None}
    await here.say(body["apiVersion"], body["kind"], "search", again)

    other = await here.fire({**body, "metadata": {"name": "other"}})
    await here.say(body["apiVersion"], body["kind"], "other", TRAINED)
    await here.run(other, over)  # what was said before has been seen by then

    assert (await here.run(row)).phase == "Succeeded"
    assert await here.told() == ["run.started", "run.succeeded"] * 2


async def test_one_that_can_only_be_deleted_has_failed_when_it_is_stopped(here: World) -> None:
    body: dict[str, Any] = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "t"},
        "spec": {},
    }
    row = await here.fire(body)
    await here.say(body["apiVersion"], "TrainJob", "t", {"jobsStatus": [{"name": "node", "active": 1}]})
    running = await here.run(row, lambda one: one.phase == "Running")
    requests = ClusterRequests(here.store, SystemClock(), here.connection)

    await requests.ask(running, Suspend())
    # What was asked is written at once, what comes of it by the watch.
    suspended = await here.run(row, lambda one: one.control == "suspend" and one.phase != "Running")
    with pytest.raises(Refused, match="is no Workflow"):
        await requests.ask(running, Resume(selector="name=x"))
    await requests.ask(running, Stop("Stop"))
    run = await here.run(row, over)

    assert suspended.phase == "Pending"
    assert (run.phase, run.control) == ("Failed", "stop")
    assert run.message == f"stop: the TrainJob {here.space}/t was deleted"
    assert await here.told() == ["run.started", "run.failed"]
