"""`retrain up --kubernetes` on a real API server: from `kubectl apply` to a firing, its status and its story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.operator_world import Objects, install, namespace, parts, platform, post
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: hooks}
spec:
  webhook:
    orders: {port: "$PORT", endpoint: /orders, method: POST}
"""
SENSOR = """\
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train}
spec:
  dependencies: [{name: order, eventSourceName: hooks, eventName: orders}]
  triggers: [{template: {name: say, log: {}}}]
"""


@pytest.fixture(scope="module", autouse=True)
def _crds(kube_api: KubeApi) -> None:
    install(kube_api)


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[Objects]:
    with namespace(kube_api) as objects:
        yield objects


def test_what_is_applied_runs_and_tells_how_it_fares(tmp_path: Path, kube_api: KubeApi, space: Objects) -> None:
    with platform(tmp_path, kube_api.kubeconfig(), "--namespace", space.namespace) as running:
        number = free_port()
        space.apply(SOURCE, PORT=number)
        space.apply(SENSOR)
        running.wait(lambda: space.status("EventSource", "hooks").get("state") == "Listening", "the source listens")
        running.wait(lambda: space.status("Sensor", "train").get("state") == "Active", "the sensor runs")
        running.wait(lambda: post(number, "/orders", {"n": 1}), "the event is taken")
        running.wait(lambda: space.status("Sensor", "train").get("lastFiring"), "the firing is told")
        import time; time.sleep(5)
        print(space.status("Sensor", "train"), space.status("EventSource", "hooks"), space.told("train"), parts(running))
        assert False
