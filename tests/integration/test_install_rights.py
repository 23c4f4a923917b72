"""The rights that an installation asks for: each is used, none is lacking, and each one that is taken away is missed.

Measured by the API server's own audit log, on a server with Argo's controller and no nodes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import count
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
FOLLOWED = [
    *(("argoproj.io", one) for one in ("eventsources", "sensors", "eventbus")),
    *(("retrain.dev", one) for one in ("eventsources", "sensors", "promotions")),
]
WATCHED = [*FOLLOWED, ("argoproj.io", "workflows"), ("argoproj.io", "workflowtemplates")]
TELLING = [[Right(group, f"{resource}/status", "patch")] for group, resource in FOLLOWED]
SLICES = "discovery.k8s.io"
QUIET = {Right("", "pods", "list"), Right("argoproj.io", "workflowtemplates", "get")}
"""Without them less is known beforehand: which Argo it is, and that a template is missing, which Argo says later."""
PAUSE_S = 1.0
"""Between two attempts to do what is not allowed."""
Provoke = Callable[[], str]
"""Does what needs a right; what is answered."""
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


def test_a_right_to_look_or_to_tell_that_is_taken_away_is_missed_at_the_start(world: RightsWorld) -> None:
    platform = world.platform("blind")
    for taken in ([Right(*what, "list") for what in WATCHED], [Right(*what, "watch") for what in WATCHED], *TELLING):
        for group, resource in FOLLOWED:
            world.wipe(group, resource)
        with world.without(*taken), platform:
            _until_all_named(platform, taken, str)


def test_each_right_to_act_that_is_taken_away_is_missed_by_name(world: RightsWorld) -> None:
    world.apply(DOOR)
    with world.platform("less") as platform:
        platform.wait(lambda: post(world.port, "/data", {"n": 1}, "a-token-for-tests"), "the event")
        runs = platform.wait(lambda: _phases(platform, "Running", least=2), "two runs")
        world.begin(runs[0])
        acts: set[Right] = set()
        for right, provoke in _acts(world, platform, *runs):
            with world.without(right):
                _until_all_named(platform, [right], provoke)
            provoke()  # with all rights again: what was left undone is done
            acts.add(right)

    looks = {Right(group, resource, verb) for group, resource in WATCHED for verb in ("list", "watch")}
    tellings = {right for taken in TELLING for right in taken}
    assert looks | tellings | acts | QUIET == set(rights())


def _acts(world: RightsWorld, platform: Platform, run: str, other: str) -> Iterator[tuple[Right, Provoke]]:
    """Each right but those to look, and what needs it. In this order: what is done is done when it is allowed again."""
    ports = count(12001)

    def ask(method: str, path: str, name: str = run) -> Provoke:
        return lambda: str(platform.send(method, f"/api/v1/runs/{name}{path}", {} if method == "POST" else None))

    def fire() -> str:
        post(world.port, "/data", {"n": 2}, "a-token-for-tests")
        return json.dumps(platform.items("firings"))

    def change() -> str:
        world.apply(DOOR.replace("targetPort: $PORT", f"targetPort: {next(ports)}"))
        return world.said_on("door")

    def close() -> str:
        world.apply(DOOR.replace("service: {", "# service: {"))
        return world.said_on("door")

    def reload() -> str:
        return str(platform.send("POST", "/api/v1/reload", {}))

    yield Right("", "events", "create"), change
    yield Right("", "events", "patch"), change
    yield Right("", "pods/log", "get"), ask("GET", "/logs")
    yield Right("", "pods", "get"), ask("GET", "/logs")
    yield Right("argoproj.io", "workflows", "create"), fire
    yield Right("argoproj.io", "workflows", "get"), ask("POST", "/stop")
    yield Right("argoproj.io", "workflows", "patch"), ask("POST", "/stop", other)
    platform.wait(lambda: {run, other} <= {*_phases(platform, "Failed", least=2)}, "their end")
    yield Right("", "pods", "delete"), ask("POST", "/retry")
    yield Right("argoproj.io", "workflows", "delete"), ask("POST", "/delete", other)
    yield Right("", "secrets", "get"), reload
    yield Right("", "configmaps", "get"), reload
    for resource in (("", "services"), (SLICES, "endpointslices")):
        yield Right(*resource, "get"), change
        yield Right(*resource, "patch"), change
        yield Right(*resource, "create"), lambda resource=resource: f"{world.remove(*resource)}{change()}"
        yield Right(*resource, "delete"), close
        change()


def _until_all_named(platform: Platform, taken: list[Right], provoke: Provoke) -> None:
    """Wait until the platform has said of each right that it is lacking: in its log, in /readyz, or as an answer.

    Where nothing has to be done for it (`str`), all counts that it has said since its start.
    """
    log = platform.log.read_text()
    start = log.rfind('"bus.server_started"') if provoke is str else len(log)
    told: list[str] = []
    due = 0.0

    def lacking() -> list[Right]:
        nonlocal due
        if time.monotonic() >= due:
            told.append(provoke())
            due = time.monotonic() + PAUSE_S
        said = "".join([platform.log.read_text()[start:], json.dumps(platform.get("/readyz")["parts"]), *told])
        return [right for right in taken if not _named(right, said)]

    try:
        platform.wait(lambda: not lacking(), "each right is named")
    except AssertionError as error:
        names = ", ".join(map(str, lacking()))
        raise AssertionError(f"nothing was said of {names}: {error}; told: {told[-1][:500]}") from error


def _named(right: Right, said: str) -> bool:
    what = rf"{re.escape(right.resource)}(\.{re.escape(right.group)})?"
    words = rf"right to {right.verb} {what} |cannot {right.verb} resource \W*{re.escape(right.resource)}\W"
    return re.search(words, said) is not None


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
    # Said again and again, an Event is counted instead of repeated.
    ports = count(12001)
    platform.wait(lambda: (Right("", "events", "patch"), True) in _changed(world, next(ports)), "an Event is counted")
    # Another port: the Service is changed. None: it goes.
    world.apply(DOOR.replace("targetPort: $PORT", "targetPort: 12999"))
    wait_until(lambda: world.ports() == [12999], "the Service is changed, and where it leads")
    world.apply(DOOR.replace("service: {", "# service: {"))
    wait_until(lambda: world.ports() == [], "both are gone")


def _logs(world: RightsWorld, platform: Platform, run: str) -> set[tuple[Right, bool]]:
    """What was asked for up to now, after somebody has wanted a log; without a kubelet there is none to be had."""
    platform.send("GET", f"/api/v1/runs/{run}/logs")
    return set(world.asked())


def _changed(world: RightsWorld, port: int) -> set[tuple[Right, bool]]:
    """What was asked for up to now, after the EventSource was changed."""
    world.apply(DOOR.replace("targetPort: $PORT", f"targetPort: {port}"))
    time.sleep(PAUSE_S)
    return set(world.asked())


def _phases(platform: Platform, phase: str, *, least: int) -> list[str]:
    """The names of the runs in this phase, once there are so many."""
    found: list[dict[str, Any]] = platform.items("runs")
    names = [one["metadata"]["name"] for one in found if one["status"].get("phase") == phase]
    return names if len(names) >= least else []
