"""`retrain up --kubernetes` on a real API server: from `kubectl apply` to a firing, its status and its story."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.platform_driver import Platform
from tests.integration.operator_world import Objects, install, namespace, parts, platform, post
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

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
OTHER = SENSOR.replace("train", "other").replace("say", "shout")
PAIR = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: pair}
spec:
  dependencies:
    - name: features
      eventSourceName: hooks
      eventName: orders
      key: body.day
      filters: {data: [{path: body.is, type: string, value: [features]}]}
    - name: labels
      eventSourceName: hooks
      eventName: orders
      key: body.day
      filters: {data: [{path: body.is, type: string, value: [labels]}]}
  triggers: [{template: {name: join, log: {}}}]
"""
MAKER = """\
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train}
spec:
  dependencies: [{name: order, eventSourceName: hooks, eventName: orders}]
  triggers:
    - template:
        name: note
        k8s:
          operation: create
          source:
            resource:
              apiVersion: v1
              kind: ConfigMap
              metadata: {generateName: note-}
              data: {who: nobody}
          parameters:
            - {src: {dependencyName: order, dataKey: body.who}, dest: data.who}
"""
OURS = "retrain.dev/v1"


@pytest.fixture(scope="module", autouse=True)
def _crds(kube_api: KubeApi) -> None:
    install(kube_api)


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[Objects]:
    with namespace(kube_api) as objects:
        yield objects


@pytest.fixture
def running(tmp_path: Path, kube_api: KubeApi, space: Objects) -> Iterator[Platform]:
    with platform(tmp_path, kube_api.kubeconfig(), "--namespace", space.namespace) as started:
        yield started


def listens(running: Platform, space: Objects, name: str = "hooks") -> None:
    running.wait(lambda: space.status("EventSource", name).get("state") == "Listening", "the source listens")


def active(running: Platform, space: Objects, name: str, version: str = "argoproj.io/v1alpha1") -> None:
    def is_active() -> bool:
        status = space.status("Sensor", name, version)
        current = space.get("Sensor", name, version)["metadata"]["generation"]
        return status.get("state") == "Active" and status.get("runningGeneration") == current

    running.wait(is_active, f"the sensor {name} runs as it is written")


def told(running: Platform, look: Callable[[], dict[str, Any]], field: str) -> dict[str, Any]:
    """Wait until a status has a field; the status."""
    running.wait(lambda: look().get(field), f"{field} is told")
    return look()


def send(running: Platform, port: int, body: Any) -> None:
    running.wait(lambda: post(port, "/orders", body), "the event is taken")


def fired(running: Platform, sensor: str, count: int) -> None:
    running.wait(lambda: len(running.items("firings", sensor=sensor)) == count, f"{sensor} has fired {count} times")


def test_what_is_applied_runs_and_tells_how_it_fares(running: Platform, space: Objects) -> None:
    number = free_port()
    space.apply(SOURCE, PORT=number)
    space.apply(SENSOR)
    listens(running, space)
    active(running, space, "train")

    send(running, number, {"n": 1})

    firing = told(running, lambda: space.status("Sensor", "train"), "lastFiring")["lastFiring"]
    assert (firing["trigger"], firing["state"]) == ("say", "done")
    assert firing["id"] == running.items("firings")[0]["id"]
    source = told(running, lambda: space.status("EventSource", "hooks"), "lastEvent")
    assert (source["events"], source["sources"][0]["event"], source["sources"][0]["kind"]) == (1, "orders", "webhook")
    assert space.conditions("EventSource", "hooks") == {"SourcesProvided": "True", "Deployed": "True", "Ready": "True"}
    wanted = {"DependenciesProvided", "TriggersProvided", "Deployed", "Ready"}
    assert space.conditions("Sensor", "train") == dict.fromkeys(wanted, "True")
    running.wait(lambda: {"Applied", "Fired"} <= space.reasons("train"), "the sensor's story")
    running.wait(lambda: {"Applied", "Connected"} <= space.reasons("hooks"), "the source's story")
    manager = [one for one in space.get("Sensor", "train")["metadata"]["managedFields"] if one["manager"] == "retrain"]
    assert [(one["operation"], one["subresource"]) for one in manager] == [("Apply", "status")]


def test_what_nobody_could_run_ends_nothing_and_what_is_made_anew_at_once_is_told_how_it_fares(
    running: Platform, space: Objects, kube_api: KubeApi
) -> None:
    """Sensors of hundreds and of thousands of levels, and a Service that is none; then as `kubectl replace --force`."""
    number = free_port()
    space.apply(SENSOR)
    active(running, space, "train")
    sensors = f"/apis/argoproj.io/v1alpha1/namespaces/{space.namespace}/sensors"
    for name, levels in (("deep", 700), ("deeper", 3000)):
        body = json.dumps(yaml.safe_load(OTHER.replace("other", name)))
        nested = '{"a":' * levels + "{}" + "}" * levels
        kube_api.text(sensors, "POST", body.replace('"log": {}', f'"log": {nested}').encode())
    odd = SOURCE.replace("spec:", "spec:\n  service: {metadata: none, ports: [{port: 1, targetPort: {}}]}")
    space.apply(odd, PORT=number)
    listens(running, space)
    for name in ("deep", "deeper"):
        there = f"{sensors}/{name}"
        running.wait(lambda: '"too-deep"' in kube_api.text(there), f"{name} is refused")  # noqa: B023 - called at once
        kube_api.text(there, "DELETE")

    first = space.get("Sensor", "train")["metadata"]["uid"]
    space.delete("Sensor", "train")
    space.apply(SENSOR)
    assert space.get("Sensor", "train")["metadata"]["uid"] != first
    active(running, space, "train")


def test_a_wrong_object_leaves_its_last_good_version_and_the_others(running: Platform, space: Objects) -> None:
    number = free_port()
    space.apply(SOURCE, PORT=number)
    space.apply(SENSOR)
    active(running, space, "train")

    space.apply(SENSOR.replace("log: {}", "k8s: {operation: creat}"))
    space.apply(OTHER)
    space.apply(OTHER.replace("other", "broken").replace("dependencies", "dependencis"))

    active(running, space, "other")
    status = told(running, lambda: space.status("Sensor", "train"), "errors")
    assert (status["state"], status["observedGeneration"], status["runningGeneration"]) == ("Outdated", 2, 1)
    assert status["errors"][0]["path"].startswith("spec.triggers[0].template.k8s")
    assert space.conditions("Sensor", "train") == {
        "DependenciesProvided": "True",
        "TriggersProvided": "False",
        "Deployed": "True",
        "Ready": "False",
    }
    assert space.status("Sensor", "broken")["state"] == "Refused"
    send(running, number, {"n": 1})
    fired(running, "train", 1)
    fired(running, "other", 1)
    (refused,) = [one for one in space.told("train") if one["reason"] == "Refused"]
    assert refused["type"] == "Warning"
    assert "generation 1 runs on" in refused["message"]
    assert "creat" in refused["message"]
    said = parts(running)["project"]["waitingFor"]
    assert "sensors.argoproj.io/broken" in said
    assert "1 more" in said

    running.kill()
    running.start()
    send(running, number, {"n": 2})
    fired(running, "train", 2)
    space.apply(SENSOR)
    active(running, space, "train")
    assert len([one for one in space.told("train") if one["reason"] == "Refused"]) == 1


def test_a_restart_loses_nothing_and_does_nothing_twice(running: Platform, space: Objects) -> None:
    number = free_port()
    space.apply(SOURCE, PORT=number)
    space.apply(PAIR)
    space.apply(OTHER)
    active(running, space, "pair", OURS)
    send(running, number, {"is": "features", "day": "mon"})
    waiting = running.wait(lambda: space.status("Sensor", "pair", OURS).get("waiting"), "what it waits for is told")
    assert waiting == "join/mon: has features, needs labels"

    running.kill()
    space.delete("Sensor", "other")
    running.start()
    send(running, number, {"is": "labels", "day": "mon"})

    fired(running, "pair", 1)
    running.wait(lambda: [one["name"] for one in running.items("sensors")] == ["pair"], "the deleted one is gone")
    running.wait(lambda: "waiting" not in space.status("Sensor", "pair", OURS), "it waits for nothing")
    assert running.stop() == 0
    running.start()
    listens(running, space)
    assert len(running.items("firings", sensor="pair")) == 1
    applied = [one for one in space.told("pair") if one["reason"] == "Applied"]
    assert [one["count"] for one in applied] == [1], "a restart is no news of an object"


def test_namespaces_live_side_by_side(tmp_path: Path, kube_api: KubeApi) -> None:
    """The same names in two of them: each has its own events, Secrets, and place for what it makes."""
    with (
        namespace(kube_api, "op-a") as one,
        namespace(kube_api, "op-b") as two,
        platform(tmp_path, kube_api.kubeconfig(), "--all-namespaces") as running,
    ):
        ports = {one.namespace: free_port(), two.namespace: free_port()}
        for space in (one, two):
            token = b64encode(f"token of {space.namespace}".encode()).decode()
            space.apply(f"{{apiVersion: v1, kind: Secret, metadata: {{name: gate}}, data: {{token: {token}}}}}")
            guarded = SOURCE.replace("method: POST", "method: POST, authSecret: {name: gate, key: token}")
            space.apply(guarded, PORT=ports[space.namespace])
            space.apply(MAKER)
        for space in (one, two):
            listens(running, space)
            active(running, space, "train")

        body, number = {"who": "ann"}, ports[one.namespace]
        assert not post(number, "/orders", body, token=f"token of {two.namespace}")
        running.wait(lambda: post(number, "/orders", body, token=f"token of {one.namespace}"), "the event is taken")

        def notes(space: Objects) -> list[str]:
            found = kube_api.ask("GET", f"/api/v1/namespaces/{space.namespace}/configmaps")["items"]
            return [item["data"]["who"] for item in found if item["metadata"]["name"].startswith("note-")]

        running.wait(lambda: notes(one) == ["ann"], "the object is made in the sensor's namespace")
        here = tuple(space.namespace for space in (one, two))
        names = sorted(row["name"] for row in running.items("sensors") if row["name"].endswith(here))
        assert names == sorted(f"train.{space.namespace}" for space in (one, two))
        assert [row["sensor"] for row in running.items("firings")] == [f"train.{one.namespace}"]
        assert notes(two) == []
        running.wait(lambda: "Fired" in one.reasons("train"), "it is told where it happened")
        assert "Fired" not in two.reasons("train")
        assert "token of" not in running.log.read_text()


def test_a_secret_is_read_when_it_is_named_and_anew_when_it_changes(running: Platform, space: Objects) -> None:
    number = free_port()
    space.apply(SOURCE.replace("method: POST", "method: POST, authSecret: {name: gate, key: token}"), PORT=number)
    running.wait(lambda: "lacking" in space.status("EventSource", "hooks"), "the missing Secret is told")
    assert space.status("EventSource", "hooks")["lacking"] == [f"Secret 'gate' in {space.namespace} is not there"]
    assert space.conditions("EventSource", "hooks")["Ready"] == "False"
    running.wait(lambda: "Lacking" in space.reasons("hooks"), "its story")

    for value in ("first-secret", "second-secret"):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gate"}, "stringData": {"token": value}}
        space.api.ask(
            "PATCH",
            f"/api/v1/namespaces/{space.namespace}/secrets/gate?fieldManager=kubectl&force=true",
            secret,
            kind="application/apply-patch+yaml",
        )
        running.post("/api/v1/reload")
        running.wait(lambda: post(number, "/orders", {}, token=value), "the value counts")  # noqa: B023
    assert not post(number, "/orders", {}, token="first-secret")
    running.wait(lambda: space.conditions("EventSource", "hooks")["Ready"] == "True", "nothing is lacking")
    assert "-secret" not in running.log.read_text()
    assert running.rows("SELECT count(*) FROM checkpoints WHERE value LIKE '%-secret%'") == [(0,)]


def test_of_two_kinds_of_sensor_with_one_name_the_older_runs(running: Platform, space: Objects) -> None:
    space.apply(SENSOR)
    active(running, space, "train")
    space.apply(SENSOR.replace("argoproj.io/v1alpha1", OURS).replace("say", "later"))

    running.wait(lambda: space.status("Sensor", "train", OURS).get("state") == "Refused", "the younger is refused")
    error = space.status("Sensor", "train", OURS)["errors"][0]
    assert error["code"] == "duplicate-name"
    assert f"{space.namespace}/sensors.argoproj.io/train is older" in error["message"]
    space.delete("Sensor", "train")
    active(running, space, "train", OURS)


def test_a_config_map_that_comes_later_is_waited_for(running: Platform, space: Objects) -> None:
    """A sensor whose object is in a ConfigMap that is not there is refused, and runs when it has come."""
    space.apply(
        MAKER.replace(
            MAKER[MAKER.index("            resource:") : MAKER.index("          parameters")],
            "            configmap: {name: texts, key: note}\n",
        )
    )
    running.wait(lambda: space.status("Sensor", "train").get("state") == "Refused", "it is refused")
    assert "texts" in space.status("Sensor", "train")["errors"][0]["message"]
    space.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: texts}, data: {note: "
        '\'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "note-"}}\'}}'
    )
    running.post("/api/v1/reload")
    active(running, space, "train")

    running.kill()
    running.start()
    assert [one["name"] for one in running.items("sensors")] == ["train"], "it runs from the start"
    active(running, space, "train")
