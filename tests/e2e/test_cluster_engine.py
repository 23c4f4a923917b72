"""The engine `argo` of a platform: sensors, schedules and annotations lead to Workflows on a real cluster, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.platform_driver import Platform
from tests.servers.cluster_server import ClusterServer
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{0}/workflows"
LONG_S = 180.0
"""Pods come to life in seconds on an idle machine, and in many more on one that has much to do."""
TRAIN: dict[str, Any] = {
    "entrypoint": "main",
    "arguments": {"parameters": [{"name": "object", "value": ""}]},
    "templates": [
        {
            "name": "main",
            "steps": [[{"name": "fit", "template": "fit"}]],
            "outputs": {
                "parameters": [{"name": "auc", "valueFrom": {"parameter": "{{steps.fit.outputs.parameters.auc}}"}}]
            },
        },
        {
            "name": "fit",
            "container": {
                "image": "busybox",
                "command": ["sh", "-c"],
                "args": ["echo {{workflow.parameters.object}}; echo 0.93 > /tmp/auc"],
                "resources": {"requests": {"cpu": "50m"}},
            },
            "outputs": {"parameters": [{"name": "auc", "valueFrom": {"path": "/tmp/auc"}}]},
        },
    ],
}
QUICK: dict[str, Any] = {"entrypoint": "m", "templates": [{"name": "m", "suspend": {"duration": "1"}}]}


def workflow(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "train-", **metadata},
        "spec": spec,
    }


def sensor(name: str, event: str, template: dict[str, Any], source: str = "shop", **metadata: Any) -> dict[str, Any]:
    """A Sensor that does this for each event of a source."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Sensor",
        "metadata": {"name": name, **metadata},
        "spec": {
            "dependencies": [{"name": "it", "eventSourceName": source, "eventName": event}],
            "triggers": [{"template": {"name": "act", **template}}],
        },
    }


def submits(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    resource = {"resource": workflow(spec, **metadata)}
    parameters = [{"src": {"dependencyName": "it", "dataKey": "object"}, "dest": "spec.arguments.parameters.0.value"}]
    more = {"parameters": parameters} if "arguments" in spec else {}
    return {"argoWorkflow": {"operation": "submit", "source": resource, **more}}


class Place:
    """A platform, and a namespace of its own on the cluster."""

    def __init__(self, cluster: ClusterServer, space: str, folder: Path, *, engine: str = "argo") -> None:
        self.cluster, self.space = cluster, space
        environment = {
            "KUBECONFIG": str(cluster.kubeconfig),
            "RETRAIN_PIPELINES_ENGINE": engine,
            "RETRAIN_KUBERNETES_NAMESPACE": space,
            "NO_PROXY": "127.0.0.1,localhost,10.244.0.0/24",
        }
        self.platform = Platform(folder, environment={**os.environ, **environment})

    def write(self, *documents: dict[str, Any]) -> None:
        self.platform.write("all.yaml", yaml.safe_dump_all(documents))

    def emit(self, name: str, **data: Any) -> None:
        event = {
            "specversion": "1.0",
            "id": f"{name}-{data}",
            "source": "shop",
            "subject": name,
            "type": name,
            "data": data,
        }
        assert self.platform.emit(event).taken

    def objects(self) -> list[dict[str, Any]]:
        return self.cluster.ask("GET", WORKFLOWS.format(self.space))["items"]

    def object(self, name: str) -> dict[str, Any]:
        """The object as `kubectl get` shows it: without who manages which field."""
        found = self.cluster.ask("GET", f"{WORKFLOWS.format(self.space)}/{name}")
        found["metadata"].pop("managedFields")
        return found

    def ended(self, count: int = 1) -> list[dict[str, Any]]:
        """The runs, once so many are over."""

        def found() -> list[dict[str, Any]]:
            over = [
                one for one in self.platform.items("runs") if one["status"]["phase"] in {"Succeeded", "Failed", "Error"}
            ]
            return over if len(over) >= count else []

        return self.platform.wait(found, f"{count} runs are over", LONG_S)

    def told(self) -> list[str]:
        events = self.platform.items("events")
        return sorted(one["subject"] for one in events if str(one.get("subject", "")).startswith("run."))


@pytest.fixture
def place(argo_cluster: ClusterServer, tmp_path: Path) -> Iterator[Place]:
    with argo_cluster.space("a-engine") as space:
        yield Place(argo_cluster, space, tmp_path)


def test_an_event_becomes_pods_and_their_end_is_an_event_for_the_next_sensor(place: Place) -> None:
    place.write(
        sensor("train", "uploaded", submits(TRAIN)),
        sensor("judge", "run.succeeded", {"log": {}}, source="retrain"),
    )
    with place.platform as platform:
        place.emit("uploaded", object="s3://data/1")
        run = place.ended()[0]
        platform.wait(lambda: len(platform.items("firings")) == 2, "the second sensor fires")
        name = run["metadata"]["name"]
        found = place.object(name)
        # The controller may still write something after the end.
        same = platform.wait(lambda: platform.get(f"/api/v1/runs/{name}") == place.object(name), "both say the same")
        events = {one["subject"]: one for one in platform.items("events")}
        told = place.told()

    assert same
    assert found["status"]["phase"] == "Succeeded"
    assert name.startswith("train-")
    labels = found["metadata"]["labels"]
    assert (labels["retrain.dev/sensor"], labels["retrain.dev/trigger"]) == ("train", "act")
    assert found["spec"]["arguments"]["parameters"] == [{"name": "object", "value": "s3://data/1"}]
    assert told == ["run.started", "run.succeeded"]
    data = events["run.succeeded"]["data"]
    assert data["outputs"] == {"parameters": {"auc": "0.93"}}
    assert data["resources"] == found["status"]["resourcesDuration"]


def test_the_sensors_or_the_workflows_annotation_chooses_the_engine(
    argo_cluster: ClusterServer, tmp_path: Path
) -> None:
    argo = {"retrain.dev/engine": "argo"}
    local = {"retrain.dev/engine": "local"}
    with argo_cluster.space("a-engine") as space:
        place = Place(argo_cluster, space, tmp_path, engine="local")
        place.write(
            sensor("plain", "uploaded", submits(QUICK, generateName="plain-")),
            sensor("by-sensor", "uploaded", submits(QUICK, generateName="by-sensor-"), annotations=argo),
            sensor("by-workflow", "uploaded", submits(QUICK, generateName="by-workflow-", annotations=argo)),
            sensor("both", "uploaded", submits(QUICK, generateName="both-", annotations=local), annotations=argo),
            sensor(
                "made",
                "uploaded",
                {"k8s": {"operation": "create", "source": {"resource": workflow(QUICK, generateName="made-")}}},
                annotations=argo,
            ),
        )
        with place.platform:
            place.emit("uploaded", object="1")
            runs = place.ended(5)
            there = {one["metadata"]["name"].rpartition("-")[0] for one in place.objects()}
            told = place.told()

    assert {one["status"]["phase"] for one in runs} == {"Succeeded"}
    assert there == {"by-sensor", "by-workflow", "made"}
    assert told == ["run.started"] * 5 + ["run.succeeded"] * 5


def test_a_template_that_the_cluster_lacks_is_said_and_one_that_it_has_is_run(place: Place) -> None:
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "here"},
        "spec": QUICK,
    }
    place.write(
        template,
        sensor("lacks", "uploaded", submits({"workflowTemplateRef": {"name": "here"}})),
        sensor("has", "uploaded", submits({"workflowTemplateRef": {"name": "there"}})),
    )
    there = {**template, "metadata": {"name": "there"}}
    place.cluster.ask("POST", f"/apis/argoproj.io/v1alpha1/namespaces/{place.space}/workflowtemplates", there)
    with place.platform as platform:
        place.emit("uploaded", object="1")
        letters = platform.wait(lambda: platform.items("deadletters"), "the firing is a dead letter")
        run = place.ended()[0]

    assert "there is no WorkflowTemplate 'here' in the cluster's namespace" in letters[0]["reason"]
    assert "kubectl" in letters[0]["reason"]
    assert run["status"]["phase"] == "Succeeded"
    assert len(letters) == 1


def test_a_schedules_runs_are_on_the_cluster_too(place: Place) -> None:
    cron = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly"},
        "spec": {"schedules": ["0 3 1 1 *"], "workflowSpec": QUICK},
    }
    place.write(cron)
    with place.platform as platform:
        platform.command("crons", "run", "nightly")
        run = place.ended()[0]
        found = place.objects()

    assert run["status"]["phase"] == "Succeeded"
    assert [one["metadata"]["name"] for one in found] == [run["metadata"]["name"]]


def test_killed_in_the_middle_of_many_each_has_one_workflow_and_one_end(place: Place) -> None:
    many = size(10, 60)
    place.write(sensor("train", "uploaded", submits(QUICK)))
    with place.platform as platform:
        for number in range(many):
            place.emit("uploaded", object=str(number))
        platform.wait(lambda: len(place.objects()) >= many // 3, "some are there")
        platform.kill()
        platform.start()
        runs = place.ended(many)
        objects = place.objects()
        platform.wait(lambda: len(place.told()) >= 2 * many, "all is told")
        told = place.told()

    assert len(objects) == many
    assert {one["status"]["phase"] for one in runs} == {"Succeeded"}
    assert told == ["run.started"] * many + ["run.succeeded"] * many
