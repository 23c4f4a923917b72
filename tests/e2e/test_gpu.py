"""GPUs and placement on the real scheduler: what a workflow asks for reaches its pod as it is written, the fifth of
four GPUs is waited for and the tree says why, and what was held counts for budgets.

The machine has no GPU: its node advertises four for as long as the tests last, as a device plugin would.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.platform_driver import RETRAIN, Platform
from tests.servers.cluster_server import MERGE, ClusterServer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

GIVEN = Path(__file__).resolve().parents[3] / "shared/corpus/given/gpu-training.yaml"
GPU, PRODUCT, A100 = "nvidia.com/gpu", "nvidia.com/gpu.product", "NVIDIA-A100-SXM4-80GB"
ROOM = {"cpu": "96", "memory": "1Ti", "pods": "110", GPU: "4"}
JSON_PATCH = "application/json-patch+json"

SELECTED = {PRODUCT: A100, "kubernetes.io/os": "linux"}
TOLERATED = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
PREFERS = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": PRODUCT, "operator": "In", "values": [A100]}]}]
        }
    }
}
ASKED = {"requests": {GPU: "4", "memory": "32Mi", "cpu": "20m"}, "limits": {GPU: "4", "memory": "64Mi", "cpu": "200m"}}


def template(name: str, gpus: int, command: str) -> dict[str, Any]:
    limits = {**ASKED["limits"], GPU: str(gpus)}
    resources = {"requests": {**ASKED["requests"], GPU: str(gpus)}, "limits": limits}
    container = {"image": "busybox", "command": ["sh", "-c", command], "resources": resources}
    return {"name": name, "nodeSelector": SELECTED, "tolerations": TOLERATED, "container": container}


def workflow(templates: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "gpus-"},
        "spec": {"entrypoint": templates[0]["name"], "templates": templates, **spec},
    }


@pytest.fixture(scope="module")
def node(argo_cluster: ClusterServer) -> Iterator[str]:
    """The cluster's node, with four A100."""
    (found,) = (
        one for one in argo_cluster.ask("GET", "/api/v1/nodes")["items"] if GPU not in one["status"]["capacity"]
    )
    path = f"/api/v1/nodes/{found['metadata']['name']}"
    field = f"/status/capacity/{GPU.replace('/', '~1')}"
    argo_cluster.ask("PATCH", f"{path}/status", [{"op": "add", "path": field, "value": "4"}], JSON_PATCH)
    argo_cluster.ask("PATCH", path, {"metadata": {"labels": {PRODUCT: A100}}}, MERGE)
    try:
        argo_cluster.until(path, lambda one: GPU in one["status"]["allocatable"], "the kubelet takes the GPUs over")
        yield found["metadata"]["name"]
    finally:
        argo_cluster.ask("PATCH", path, {"metadata": {"labels": {PRODUCT: None}}}, MERGE)
        none = {"status": {"capacity": {GPU: None}, "allocatable": {GPU: None}}}
        argo_cluster.ask("PATCH", f"{path}/status", none, MERGE)


@contextmanager
def big_node(cluster: ClusterServer) -> Generator[str]:
    """A node as large as the given workflow asks for, with nothing behind it: what is bound to it never begins."""
    name = f"gpu-{uuid.uuid4().hex[:8]}"
    path = f"/api/v1/nodes/{name}"
    taint = {"key": GPU, "value": "present", "effect": "NoSchedule"}
    body = {"metadata": {"name": name, "labels": {PRODUCT: A100}}, "spec": {"taints": [taint]}}
    cluster.ask("POST", "/api/v1/nodes", body)
    try:
        ready = {"type": "Ready", "status": "True", "reason": "Test", "message": "a node of a test"}
        cluster.ask("PATCH", f"{path}/status", {"status": {"capacity": ROOM, "allocatable": ROOM}}, MERGE)
        cluster.ask("PATCH", f"{path}/status", {"status": {"conditions": [ready]}}, MERGE)
        cluster.until(path, lambda one: one["spec"]["taints"] == [taint], "nothing but its own taint keeps pods away")
        yield name
    finally:
        cluster.ask("DELETE", path)


def placed_pod(cluster: ClusterServer, namespace: str) -> dict[str, Any]:
    """The only pod of the namespace, once it has a node."""

    def placed(listed: Any) -> list[dict[str, Any]]:
        return [one for one in listed["items"] if one["spec"].get("nodeName")]

    return placed(cluster.until(f"/api/v1/namespaces/{namespace}/pods", placed, "a pod has its node"))[0]


def main_of(pod: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in pod["spec"]["containers"] if one["name"] == "main")


def run(cluster: ClusterServer, namespace: str, file: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    command = [RETRAIN, "run", str(file), "--engine", "argo", "-n", namespace, *words]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_given_workflow_is_scheduled_as_it_is_written(argo_cluster: ClusterServer) -> None:
    if not GIVEN.exists():
        pytest.skip("the given workflow is not on this machine")
    written = yaml.safe_load(GIVEN.read_text())["spec"]["templates"][0]
    with argo_cluster.space("gpu-given") as namespace, big_node(argo_cluster) as where:
        with run(argo_cluster, namespace, GIVEN, "--name", "given") as process:
            pod = placed_pod(argo_cluster, namespace)
            process.kill()
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0"
        argo_cluster.ask("DELETE", path)

    assert pod["spec"]["nodeName"] == where
    assert pod["spec"]["nodeSelector"] == written["nodeSelector"]
    assert all(one in pod["spec"]["tolerations"] for one in written["tolerations"])
    asked = written["container"]["resources"]
    assert main_of(pod)["resources"] == {
        part: {name: str(amount) for name, amount in asked[part].items()} for part in ("requests", "limits")
    }
    assert main_of(pod)["image"] == written["container"]["image"]


@contextmanager
def priority_and_disk(cluster: ClusterServer, folder: Path) -> Generator[str]:
    """A class of priority, and a disk of a class of storage, both of one name."""
    name = f"gpu-{uuid.uuid4().hex[:8]}"
    cluster.ask("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": name}, "value": 1000})
    disk = {
        "capacity": {"storage": "10Mi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "hostPath": {"path": str(folder), "type": "Directory"},
    }
    cluster.ask("POST", "/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": disk})
    try:
        yield name
    finally:
        cluster.ask("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}")
        cluster.ask("DELETE", f"/api/v1/persistentvolumes/{name}")


def test_all_of_the_placement_reaches_the_pod_and_it_runs(
    argo_cluster: ClusterServer, node: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    one: dict[str, Any] = template("train", 4, "echo weights > /work/model; cat /work/model") | {"affinity": PREFERS}
    one["container"]["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
    with argo_cluster.space("gpu-placed") as namespace, priority_and_disk(argo_cluster, disk) as named:
        one |= {"priorityClassName": named, "podSpecPatch": '{"terminationGracePeriodSeconds": 7}'}
        storage = {"requests": {"storage": "10Mi"}}
        claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": named, "resources": storage}
        claims = [{"metadata": {"name": "work"}, "spec": claim}]
        file = tmp_path / "gpus.yaml"
        file.write_text(yaml.safe_dump(workflow([one], volumeClaimTemplates=claims)))
        with run(argo_cluster, namespace, file, "--name", "placed", "-o", "json") as process:
            pod = placed_pod(argo_cluster, namespace)
            stdout, stderr = process.communicate(timeout=300)
        ended = json.loads(stdout)

    assert ended["status"]["phase"] == "Succeeded", stderr
    assert pod["spec"]["nodeName"] == node
    assert pod["spec"]["nodeSelector"] == SELECTED
    assert pod["spec"]["affinity"] == PREFERS
    assert all(each in pod["spec"]["tolerations"] for each in TOLERATED)
    assert (pod["spec"]["priorityClassName"], pod["spec"]["priority"]) == (named, 1000)
    assert pod["spec"]["terminationGracePeriodSeconds"] == 7
    assert main_of(pod)["resources"] == ASKED
    assert {"name": "work", "persistentVolumeClaim": {"claimName": "placed-work"}} in pod["spec"]["volumes"]
    assert (disk / "model").read_text() == "weights\n"
    assert ended["status"]["resourcesDuration"][GPU] >= 4


BOTH = {
    "name": "both",
    "steps": [[{"name": "four", "template": "four"}, {"name": "fifth", "template": "fifth"}]],
}
HOLDS_S = 15
BUDGET = 4 * HOLDS_S / 3600 / 2
"""Hours: half of what the first run is sure to use."""


@pytest.fixture
def platform(argo_cluster: ClusterServer, tmp_path: Path) -> Iterator[Platform]:
    templates = [BOTH, template("four", 4, f"sleep {HOLDS_S}"), template("fifth", 1, "echo mine now")]
    trigger = {
        "template": {"name": "t", "argoWorkflow": {"source": {"resource": workflow(templates)}}},
        "budget": {"gpuHours": BUDGET, "per": "day", "onExceed": "skip"},
    }
    sensor = {
        "apiVersion": "retrain.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": "gpus"},
        "spec": {
            "dependencies": [{"name": "d", "eventSourceName": "outside", "eventName": "go"}],
            "triggers": [trigger],
        },
    }
    with argo_cluster.space("gpu-budget") as namespace:
        kubeconfig = str(argo_cluster.kubeconfig)
        made = Platform(tmp_path / "platform", environment={"RETRAIN_KUBERNETES_KUBECONFIG": kubeconfig})
        made.write("sensor.yaml", yaml.safe_dump(sensor))
        settings = {"pipelines": {"engine": "argo"}, "kubernetes": {"namespace": namespace}}
        made.write("retrain.yaml", yaml.safe_dump(settings))
        with made:
            yield made


def tree(platform: Platform) -> dict[str, dict[str, Any]]:
    """What `runs get` says of the only run's nodes, by their names in the tree."""
    runs = platform.items("runs")
    if not runs:
        return {}
    said = json.loads(platform.command("runs", "get", runs[0]["metadata"]["name"], "-o", "json"))
    return {one["displayName"]: one for one in (said["status"].get("nodes") or {}).values()}


def go(platform: Platform, number: int) -> None:
    event = {"specversion": "1.0", "id": f"e{number}", "source": "outside", "subject": "go", "type": "webhook"}
    assert platform.emit({**event, "data": {}}).taken


@pytest.mark.usefixtures("node")
def test_the_fifth_gpu_is_waited_for_with_its_reason_and_the_hours_count_for_the_budget(platform: Platform) -> None:
    go(platform, 1)

    def waits() -> str:
        found = [one for one in tree(platform).values() if "Insufficient" in one.get("message", "")]
        return found[0]["message"] if found else ""

    message = platform.wait(waits, "one step waits for its GPU", timeout_s=120)
    name = platform.items("runs")[0]["metadata"]["name"]
    assert f"Insufficient {GPU}" in message
    assert f"Insufficient {GPU}" in platform.command("runs", "get", name)

    def over() -> bool:
        return platform.items("runs")[0]["status"]["phase"] == "Succeeded"

    platform.wait(over, "both had their GPUs", timeout_s=240)
    ended = json.loads(platform.command("runs", "get", name, "-o", "json"))

    def ends() -> list[dict[str, Any]]:
        return [one for one in platform.items("events") if one["subject"] == "run.succeeded"]

    (told,) = platform.wait(ends, "its end is told")
    assert told["data"]["resources"][GPU] == ended["status"]["resourcesDuration"][GPU] >= 4 * (HOLDS_S - 2)

    go(platform, 2)

    def skipped() -> list[Any]:
        return platform.rows("select reason from decisions where reason like 't skipped: budget: %'")

    assert "GPU hours" in str(platform.wait(skipped, "the budget is used up"))
    assert len(platform.items("runs")) == 1
