"""In the place of Argo Events on a real cluster: an EventSource and a Sensor are applied, an event comes, Argo runs the
Workflow, and the objects tell of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform
from tests.e2e.submitting import Submits
from tests.integration.operator_world import Objects, install, platform, post
from tests.servers.cluster_server import ClusterServer
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: webhook}
spec:
  service: {ports: [{port: 12000, targetPort: 12000}]}
  webhook:
    example: {port: "$PORT", endpoint: /example, method: POST}
"""
ECHO = {"image": "busybox", "command": ["echo"], "args": ["{{inputs.parameters.day}}"]}
SENSOR = Submits(
    ("webhook", "example"), "body.day", "day", {"inputs": {"parameters": [{"name": "day"}]}, "container": ECHO}
).sensor("webhook", "argoproj.io/v1alpha1", template={"serviceAccountName": "operate-workflow-sa"})
API = "/apis/argoproj.io/v1alpha1/namespaces"


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
            objects = Objects(argo_cluster, namespace)
            objects.apply(SOURCE, PORT=number)
            objects.put(SENSOR)
            running.wait(lambda: objects.status("Sensor", "webhook").get("state") == "Active", "the sensor runs")
            running.wait(lambda: post(number, "/example", {"day": "monday"}), "the event is taken")

            workflows = f"{API}/{namespace}/workflows"
            running.wait(lambda: argo_cluster.ask("GET", workflows)["items"], "the Workflow is there")
            (made,) = argo_cluster.ask("GET", workflows)["items"]
            name = made["metadata"]["name"]
            assert name.startswith("train-")
            assert made["spec"]["arguments"]["parameters"] == [{"name": "day", "value": "monday"}]
            ended = argo_cluster.until(f"{workflows}/{name}", _is_over, "the Workflow ends")
            assert ended["status"]["phase"] == "Succeeded"

            running.wait(lambda: "lastFiring" in objects.status("Sensor", "webhook"), "the firing is told")
            firing = objects.status("Sensor", "webhook")["lastFiring"]
            assert (firing["trigger"], firing["state"]) == ("submit", "done")
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
            assert objects.conditions("EventSource", "webhook")["Deployed"] == "True"


def _is_over(found: Any) -> bool:
    return (found or {}).get("status", {}).get("phase") in {"Succeeded", "Failed", "Error"}
