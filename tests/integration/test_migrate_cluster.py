"""`retrain migrate argo-events --cluster` on a real API server that has Argo Events' objects."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.operator_world import Objects, install, namespace, platform, post
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

MANIFESTS = """\
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata: {name: default}
spec: {jetstream: {version: latest}}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: hooks}
spec:
  service: {ports: [{port: 12000, targetPort: 12000}]}
  webhook: {push: {port: "12000", endpoint: /push, method: POST}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train}
spec:
  template: {serviceAccountName: runs}
  dependencies: [{name: push, eventSourceName: hooks, eventName: push}]
  triggers: [{template: {name: t, http: {url: "https://example.org"}}}]
"""
REFUSED = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: pulses}
spec: {pulsar: {p: {url: "pulsar://x", topics: [a], type: shared}}}
"""


@pytest.fixture(scope="module", autouse=True)
def _crds(kube_api: KubeApi) -> None:
    install(kube_api)


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[Objects]:
    with namespace(kube_api, "old") as objects:
        yield objects


def migrate(api: KubeApi, place: Path, *words: str, **context: str) -> subprocess.CompletedProcess[str]:
    file = place / "kubeconfig"
    file.write_text(api.kubeconfig(**context))
    retrain = str(Path(sys.executable).with_name("retrain"))
    command = [retrain, "migrate", "argo-events", "--cluster", "--kubeconfig", str(file)]
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=120, check=False)


def deployed(space: Objects, kind: str, name: str, owner: dict[str, Any], image: str = "argo-events") -> None:
    """As Argo Events' controller makes it."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    plural = {"Deployment": "deployments", "StatefulSet": "statefulsets"}[kind]
    spec |= {"serviceName": name} if kind == "StatefulSet" else {}
    metadata = {"name": name, "ownerReferences": [owner]} if owner else {"name": name}
    path = f"/apis/apps/v1/namespaces/{space.namespace}/{plural}"
    space.api.ask("POST", path, {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec})


def owner(space: Objects, kind: str, name: str) -> dict[str, Any]:
    uid = space.get(kind, name)["metadata"]["uid"]
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": True}


def test_a_cluster_is_reported_with_what_runs_there_and_what_to_do(
    kube_api: KubeApi, space: Objects, tmp_path: Path
) -> None:
    space.apply(MANIFESTS)
    deployed(space, "Deployment", "hooks-eventsource-4x", owner(space, "EventSource", "hooks"))
    deployed(space, "StatefulSet", "eventbus-default-js", owner(space, "EventBus", "default"))
    deployed(space, "Deployment", "controller-manager", {}, "quay.io/argoproj/argo-events:v1.9.11")
    before = [space.get(kind, name) for kind, name in (("EventSource", "hooks"), ("Sensor", "train"))]

    done = migrate(kube_api, tmp_path, "-n", space.namespace, "-o", "json")
    report = json.loads(done.stdout)
    commands = [command for step in report["plan"] for command in step["commands"]]

    assert (done.returncode, done.stderr) == (0, "")
    assert {(one["kind"], one["name"]): one["verdict"] for one in report["objects"]} == {
        ("EventBus", "default"): "works better",
        ("EventSource", "hooks"): "works as is",
        ("Sensor", "train"): "works better",
    }
    assert {(one["role"], one["name"]) for one in report["around"]} == {
        ("pods", "hooks-eventsource-4x"),
        ("bus", "eventbus-default-js"),
        ("controller", "controller-manager"),
    }
    assert f"kubectl -n {space.namespace} scale deployment controller-manager --replicas=0" in commands
    assert f"kubectl -n {space.namespace} delete statefulset eventbus-default-js" in commands
    assert [space.get(kind, name) for kind, name in (("EventSource", "hooks"), ("Sensor", "train"))] == before


def test_what_is_refused_ends_with_1_and_says_where_in_the_object(
    kube_api: KubeApi, space: Objects, tmp_path: Path
) -> None:
    space.apply(MANIFESTS + "---\n" + REFUSED)

    done = migrate(kube_api, tmp_path, "-n", space.namespace)

    assert done.returncode == 1
    assert "EventSource pulses" in done.stdout
    assert "spec.pulsar: eventSource kind 'pulsar' is not built" in done.stdout


def test_names_of_one_namespace_are_not_those_of_another(kube_api: KubeApi, space: Objects, tmp_path: Path) -> None:
    with namespace(kube_api, "old") as other:
        space.apply(MANIFESTS)
        other.apply(MANIFESTS)

        report = json.loads(migrate(kube_api, tmp_path, "-A", "-o", "json").stdout)

    found = [one for one in report["objects"] if one["namespace"] in {space.namespace, other.namespace}]
    assert len(found) == 6
    assert not any("duplicate" in note["code"] for one in found for note in one["notes"])


def test_who_may_not_look_is_told_which_right_is_lacking(kube_api: KubeApi, space: Objects, tmp_path: Path) -> None:
    done = migrate(kube_api, tmp_path, "-n", space.namespace, token="nobody")

    assert done.returncode == 2
    assert "401" in done.stderr


HOOKS = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: hooks}
spec:
  webhook: {push: {port: "$PORT", endpoint: /push, method: POST}}
"""
SUSPENDED = """\
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train, annotations: {retrain.dev/mode: suspended}}
spec:
  dependencies: [{name: push, eventSourceName: hooks, eventName: push}]
  triggers: [{template: {name: t, log: {}}}]
"""


def test_a_suspended_sensor_gathers_what_comes_and_acts_on_all_of_it_once_it_may(
    kube_api: KubeApi, space: Objects, tmp_path: Path
) -> None:
    """What the plan stands on: from the switch of the Services on nobody loses an event, and nobody acts twice."""
    port = free_port()
    space.apply(HOOKS, PORT=port)
    space.apply(SUSPENDED)
    sensor = f"/apis/argoproj.io/v1alpha1/namespaces/{space.namespace}/sensors/train"
    with platform(tmp_path, kube_api.kubeconfig(), "--namespace", space.namespace) as running:
        running.wait(lambda: space.status("Sensor", "train").get("state") == "Suspended", "the sensor is suspended")
        running.wait(lambda: post(port, "/push", {"n": 0}), "the first event is taken")
        assert all(post(port, "/push", {"n": n}) for n in range(1, 5))
        before = running.get("/api/v1/firings")["items"]
        taken_away = {"metadata": {"annotations": {"retrain.dev/mode": None}}}
        kube_api.ask("PATCH", sensor, taken_away, kind="application/merge-patch+json")
        running.wait(lambda: len(running.get("/api/v1/firings")["items"]) >= 5, "it acts on what has gathered")
        running.wait(lambda: space.status("Sensor", "train").get("state") == "Active", "the sensor is active")
        after = running.get("/api/v1/firings")["items"]

    assert before == []
    assert len(after) == 5
