"""In the place of Argo Events on a real cluster: an EventSource and a Sensor are applied, an event comes, Argo runs the
Workflow, and the objects tell of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.platform_driver import Platform
from tests.integration.operator_world import platform, post
from tests.servers.cluster_server import ClusterServer
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

CRDS = Path(__file__).parents[2] / "deploy" / "kubernetes" / "crds"
MANIFESTS = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: webhook}
spec:
  service: {ports: [{port: 12000, targetPort: 12000}]}
  webhook:
    example: {port: "$PORT", endpoint: /example, method: POST}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: webhook}
spec:
  template: {serviceAccountName: operate-workflow-sa}
  dependencies: [{name: test-dep, eventSourceName: webhook, eventName: example}]
  triggers:
    - template:
        name: train
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: train-}
              spec:
                entrypoint: main
                arguments: {parameters: [{name: day, value: never}]}
                templates:
                  - name: main
                    inputs: {parameters: [{name: day}]}
                    container: {image: busybox, command: [echo], args: ["{{inputs.parameters.day}}"]}
          parameters:
            - {src: {dependencyName: test-dep, dataKey: body.day}, dest: spec.arguments.parameters.0.value}
"""
API = "/apis/argoproj.io/v1alpha1/namespaces"


def apply(cluster: ClusterServer, namespace: str, text: str) -> None:
    plurals = {"EventSource": "eventsources", "Sensor": "sensors"}
    for body in yaml.safe_load_all(text):
        path = f"{API}/{namespace}/{plurals[body['kind']]}/{body['metadata']['name']}?fieldManager=kubectl&force=true"
        cluster.ask("PATCH", path, body, "application/apply-patch+yaml")


def install(cluster: ClusterServer) -> None:
    for file in sorted(CRDS.glob("*.*.yaml")):
        body = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{body['metadata']['name']}"
        cluster.ask("PATCH", f"{path}?fieldManager=kubectl&force=true", body, "application/apply-patch+yaml")
        cluster.until(path, _established, f"{file.name} is served")


def _established(found: Any) -> bool:
    conditions = (found or {}).get("status", {}).get("conditions", ())
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def described(cluster: ClusterServer, namespace: str, what: str) -> str:
    return kubectl(cluster, namespace, "describe", what)


def kubectl(cluster: ClusterServer, namespace: str, *more: str) -> str:
    """What a command of kubectl prints."""
    program = Path(cluster.home) / "bin" / "kubectl"
    words = [str(program), "--kubeconfig", str(cluster.kubeconfig), "-n", namespace, *more]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ)).stdout


def test_an_event_becomes_a_workflow_and_the_objects_tell_of_it(tmp_path: Path, argo_cluster: ClusterServer) -> None:
    install(argo_cluster)
    number = free_port()
    with argo_cluster.space("op") as namespace:
        running: Platform = platform(tmp_path, argo_cluster.kubeconfig.read_text(), "--namespace", namespace)
        with running:
            apply(argo_cluster, namespace, MANIFESTS.replace("$PORT", str(number)))
            path = f"{API}/{namespace}/sensors/webhook"
            running.wait(lambda: status(argo_cluster, path).get("state") == "Active", "the sensor runs")
            running.wait(lambda: post(number, "/example", {"day": "monday"}), "the event is taken")

            workflows = f"{API}/{namespace}/workflows"
            running.wait(lambda: argo_cluster.ask("GET", workflows)["items"], "the Workflow is there")
            (made,) = argo_cluster.ask("GET", workflows)["items"]
            name = made["metadata"]["name"]
            assert name.startswith("train-")
            assert made["spec"]["arguments"]["parameters"] == [{"name": "day", "value": "monday"}]
            ended = argo_cluster.until(f"{workflows}/{name}", _is_over, "the Workflow ends")
            assert ended["status"]["phase"] == "Succeeded"

            running.wait(lambda: "lastFiring" in status(argo_cluster, path), "the firing is told")
            firing = status(argo_cluster, path)["lastFiring"]
            assert (firing["trigger"], firing["state"]) == ("train", "done")
            assert name in firing["result"]
            running.wait(
                lambda: [one["status"]["phase"] for one in running.items("runs")] == ["Succeeded"],
                "the run is mirrored",
            )
            what = "sensor.argoproj.io/webhook"
            running.wait(lambda: "Fired" in described(argo_cluster, namespace, what), "kubectl describe tells of it")
            story = described(argo_cluster, namespace, what)
            assert f"name {name}" in story
            assert "Applied" in story
            shown = kubectl(argo_cluster, namespace, "get", "es,sn")
            assert "Listening" in shown
            assert "Active" in shown
            assert "Deployed" in json.dumps(status(argo_cluster, f"{API}/{namespace}/eventsources/webhook"))


def status(cluster: ClusterServer, path: str) -> dict[str, Any]:
    return cluster.ask("GET", path).get("status") or {}


def _is_over(found: Any) -> bool:
    return (found or {}).get("status", {}).get("phase") in {"Succeeded", "Failed", "Error"}
