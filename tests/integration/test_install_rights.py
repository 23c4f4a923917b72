"""The rights that an installation asks for: each is used, none is lacking, and each one that is taken away is missed.

Measured by the API server's own audit log, on a server with Argo's controller and no nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform
from tests.integration.operator_world import post
from tests.integration.rights_world import Right, RightsWorld, rights, rights_world
from tests.servers.launch import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

OPTIONAL = {
    *(Right("argoproj.io", "clusterworkflowtemplates", verb) for verb in ("get", "list", "watch")),
    Right("apiextensions.k8s.io", "customresourcedefinitions", "get"),
    Right("apps", "deployments", "list"),
}
"""Of the whole cluster: asked for, and done without. Which Argo is there, and templates that are everybody's."""
DOOR = """
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: door}
spec:
  service: {ports: [{port: $PORT, targetPort: $PORT}]}
  webhook:
    data: {port: "$PORT", endpoint: /data, method: POST, authSecret: {name: door, key: token}}
"""
MANIFESTS = """
apiVersion: v1
kind: Secret
metadata: {name: door}
stringData: {token: a-token-for-tests}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data:
  workflow: |
    apiVersion: argoproj.io/v1alpha1
    kind: Workflow
    metadata: {generateName: train-}
    spec: {workflowTemplateRef: {name: train}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  templates: [{name: main, container: {image: busybox, command: [sleep, "600"]}}]
---
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata: {name: default}
spec: {jetstream: {version: latest}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train}
spec:
  dependencies: [{name: data, eventSourceName: door, eventName: data}]
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
              spec: {workflowTemplateRef: {name: train}}
    - template:
        name: kept
        argoWorkflow: {operation: submit, source: {configmap: {name: words, key: workflow}}}
---
apiVersion: retrain.dev/v1
kind: EventSource
metadata: {name: clock}
spec: {calendar: {yearly: {schedule: "0 0 1 1 *"}}}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: yearly}
spec:
  dependencies: [{name: tick, eventSourceName: clock, eventName: yearly}]
  triggers: [{template: {name: say, log: {}}}]
---
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: live}
spec:
  repo: {url: "file:///nowhere", branch: main}
  environment: live
  edits: [{file: model.yaml, path: uri, value: "{{candidate.uri}}"}]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RightsWorld]:
    with rights_world(tmp_path_factory.mktemp("rights")) as made:
        made.apply(MANIFESTS)
        made.apply(DOOR)
        yield made


def test_the_role_is_what_a_platform_at_work_asks_for_no_more_and_no_less(world: RightsWorld) -> None:
    with world.platform("whole") as platform:
        _work(world, platform)

        asked = dict(world.asked())

    assert {right for right, allowed in asked.items() if not allowed} - OPTIONAL == set()
    assert set(rights()) - asked.keys() == set()


def _work(world: RightsWorld, platform: Platform) -> None:
    """All that people and events make a platform do on a cluster."""
    platform.wait(lambda: post(world.port, "/data", {"n": 1}, "a-token-for-tests"), "the event")
    first, second = platform.wait(lambda: _phases(platform, "Running", least=2), "two runs on the cluster")
    world.begin(first)
    platform.wait(lambda: (Right("", "pods/log", "get"), True) in _logs(world, platform, first), "a look at a log")
    platform.command("runs", "stop", first, second)
    platform.wait(lambda: _phases(platform, "Failed", least=2), "their end")
    platform.command("runs", "retry", first)
    platform.command("runs", "delete", second)
    # Another port: the Service is changed. None: it goes.
    world.apply(DOOR.replace("targetPort: $PORT", "targetPort: 12999"))
    wait_until(lambda: world.ports() == [12999], "the Service is changed, and where it leads")
    world.apply(DOOR.replace("service: {", "# service: {"))
    wait_until(lambda: world.ports() == [], "both are gone")


def _logs(world: RightsWorld, platform: Platform, run: str) -> set[tuple[Right, bool]]:
    """What was asked for up to now, after somebody has wanted a log; without a kubelet there is none to be had."""
    platform.send("GET", f"/api/v1/runs/{run}/logs")
    return set(world.asked())


def _phases(platform: Platform, phase: str, *, least: int) -> list[str]:
    """The names of the runs in this phase, once there are so many."""
    found: list[dict[str, Any]] = platform.items("runs")
    names = [one["metadata"]["name"] for one in found if one["status"].get("phase") == phase]
    return names if len(names) >= least else []
