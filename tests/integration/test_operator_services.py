"""Services of EventSources on a real API server: made, changed, taken away, switched over from Argo Events and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.app.operator.doors import BEFORE, NOBODY, SWITCH
from tests.e2e.platform_driver import Platform
from tests.integration.operator_world import Objects, install, namespace, platform, post
from tests.servers.cluster_server import ClusterServer
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: $NAME, labels: {team: ml}}
spec:
  service:
    metadata: {annotations: {note: kept}}
    ports: [{name: web, port: 80, targetPort: $PORT}]
  webhook:
    orders: {port: "$PORT", endpoint: /orders, method: POST}
"""
SENSOR = """\
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train}
spec:
  dependencies:
    - {name: one, eventSourceName: one, eventName: orders}
    - {name: two, eventSourceName: two, eventName: orders}
  triggers: [{template: {name: say, conditions: one || two, log: {}}}]
"""
UPSTREAM = {"eventsource-name": "one", "controller": "eventsource-controller"}
APP = {"app.kubernetes.io/name": "retrain"}


@pytest.fixture(scope="module", autouse=True)
def _crds(kube_api: KubeApi) -> None:
    install(kube_api)


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[Objects]:
    with namespace(kube_api, "doors") as objects:
        yield objects


def in_pod_of(space: Objects, kube_api: KubeApi) -> str:
    """A kubeconfig whose namespace is that of the objects, as a pod there would have it."""
    config = yaml.safe_load(kube_api.kubeconfig())
    config["contexts"][0]["context"]["namespace"] = space.namespace
    return yaml.safe_dump(config)


@pytest.fixture
def running(tmp_path: Path, kube_api: KubeApi, space: Objects) -> Iterator[Platform]:
    config = in_pod_of(space, kube_api)
    with platform(tmp_path, config, "--namespace", space.namespace) as started:
        yield started


def services(space: Objects) -> dict[str, Any]:
    found = space.api.ask("GET", f"/api/v1/namespaces/{space.namespace}/services")
    return {one["metadata"]["name"]: one for one in found["items"]}


def path(space: Objects, name: str = "one-eventsource-svc") -> str:
    return f"/api/v1/namespaces/{space.namespace}/services/{name}"


def annotate(space: Objects, value: str | None) -> None:
    there = f"/apis/argoproj.io/v1alpha1/namespaces/{space.namespace}/eventsources/one"
    change = {"metadata": {"annotations": {SWITCH: value}}}
    space.api.ask("PATCH", there, change, kind="application/merge-patch+json")


def condition(space: Objects, name: str = "one") -> dict[str, Any]:
    conditions = space.status("EventSource", name).get("conditions") or ()
    return next((one for one in conditions if one["type"] == "Service"), {})


def made(space: Objects, running: Platform, name: str = "one") -> dict[str, Any]:
    running.wait(lambda: f"{name}-eventsource-svc" in services(space), "the Service is made")
    return services(space)[f"{name}-eventsource-svc"]


def test_a_service_is_made_changed_and_taken_away_with_what_the_object_says(running: Platform, space: Objects) -> None:
    port = free_port()
    space.apply(SOURCE, NAME="one", PORT=port)
    service = made(space, running)
    owner = service["metadata"]["ownerReferences"][0]

    assert service["spec"]["ports"] == [{"name": "web", "port": 80, "targetPort": port, "protocol": "TCP"}]
    assert service["spec"]["selector"] == APP
    assert service["metadata"]["labels"]["team"] == "ml"
    assert service["metadata"]["annotations"] == {"note": "kept"}
    assert (owner["kind"], owner["uid"], owner["controller"]) == (
        "EventSource",
        space.get("EventSource", "one")["metadata"]["uid"],
        True,
    )
    running.wait(lambda: condition(space).get("status") == "True", "the status says that it leads here")

    space.apply(SOURCE.replace("port: 80", "port: 81"), NAME="one", PORT=port)
    running.wait(lambda: services(space)["one-eventsource-svc"]["spec"]["ports"][0]["port"] == 81, "it is changed")
    assert services(space)["one-eventsource-svc"]["metadata"]["uid"] == service["metadata"]["uid"]

    without = SOURCE[: SOURCE.index("  service:")] + SOURCE[SOURCE.index("  webhook:") :]
    space.apply(without.replace("endpoint: /orders, ", ""), NAME="one", PORT=port)
    running.wait(lambda: space.status("EventSource", "one").get("state") == "Outdated", "a wrong version is refused")
    assert "one-eventsource-svc" in services(space), "what runs keeps its Service"
    space.apply(without, NAME="one", PORT=port)
    running.wait(lambda: "one-eventsource-svc" not in services(space), "it is taken away")


def test_a_service_of_somebody_else_is_left_alone_and_that_is_said(running: Platform, space: Objects) -> None:
    theirs = {"metadata": {"name": "one-eventsource-svc"}, "spec": {"selector": {"app": "x"}, "ports": [{"port": 1}]}}
    before = space.api.ask("POST", f"/api/v1/namespaces/{space.namespace}/services", theirs)

    space.apply(SOURCE, NAME="one", PORT=free_port())
    running.wait(lambda: condition(space).get("reason") == "ForeignService", "the status says whose it is")

    now = services(space)["one-eventsource-svc"]
    assert now["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert condition(space)["status"] == "False"
    running.wait(lambda: "ForeignService" in space.reasons("one"), "an Event tells of it")


def test_a_service_of_argo_events_is_switched_on_demand_and_back(running: Platform, space: Objects) -> None:
    """As Argo Events' own controller made it: owned by the very EventSource."""
    port = free_port()
    space.apply(SOURCE, NAME="one", PORT=port)
    made(space, running)
    space.api.ask("DELETE", path(space))
    body = of_argo_events(space.get("EventSource", "one")["metadata"], port)
    body["metadata"]["annotations"] = {"resource-spec-hash": "1"}
    running.wait(lambda: _created(space, body), "Argo Events has its Service there")

    running.wait(lambda: condition(space).get("reason") == "ServiceOfArgoEvents", "the status says whose it is")
    left = services(space)["one-eventsource-svc"]["spec"]["selector"]
    annotate(space, "switch")
    running.wait(lambda: services(space)["one-eventsource-svc"]["spec"]["selector"] == APP, "it leads here")
    switched = services(space)["one-eventsource-svc"]["metadata"]["annotations"]
    annotate(space, None)
    running.wait(lambda: services(space)["one-eventsource-svc"]["spec"]["selector"] == UPSTREAM, "it leads back")

    assert left == UPSTREAM
    assert switched["resource-spec-hash"] == "1", "by which its controller knows that it is its own"
    assert BEFORE in switched
    assert BEFORE not in services(space)["one-eventsource-svc"]["metadata"]["annotations"]


def _created(space: Objects, body: dict[str, Any]) -> bool:
    """In the place of ours, which may be made again in between."""
    labels = services(space).get("one-eventsource-svc", {}).get("metadata", {}).get("labels") or {}
    if "retrain.dev/eventsource" in labels:
        space.api.ask("DELETE", path(space))
    if "one-eventsource-svc" not in services(space):
        space.api.ask("POST", f"/api/v1/namespaces/{space.namespace}/services", body)
    return services(space)["one-eventsource-svc"]["spec"]["selector"] == UPSTREAM


def test_two_sources_that_name_one_port_and_path_both_get_their_events(running: Platform, space: Objects) -> None:
    """Each had a pod of its own in Argo Events: nothing in their manifests keeps them apart."""
    port = free_port()
    space.apply(SENSOR)
    space.apply(SOURCE, NAME="one", PORT=port)
    made(space, running)
    space.apply(SOURCE, NAME="two", PORT=port)
    other = made(space, running, "two")["spec"]["ports"][0]

    assert other["port"] == 80
    assert other["targetPort"] != port
    running.wait(lambda: post(port, "/orders", {"who": "one"}), "the first takes its event")
    running.wait(lambda: post(other["targetPort"], "/orders", {"who": "two"}), "the second takes its event")

    def of_two() -> list[Any]:
        return [one["data"]["body"] for one in running.get("/api/v1/events?source=two")["items"]]

    running.wait(lambda: of_two() == [{"who": "two"}], "it is the second's")


def test_in_another_namespace_than_the_pods_an_endpoint_slice_leads_to_its_address(
    tmp_path: Path, kube_api: KubeApi, space: Objects
) -> None:
    port = free_port()
    options = ["--namespace", space.namespace]
    with platform(tmp_path, kube_api.kubeconfig(), *options, RETRAIN_KUBERNETES_ADDRESS="10.1.2.3") as running:
        space.apply(SOURCE, NAME="one", PORT=port)
        service = made(space, running)
        there = f"/apis/discovery.k8s.io/v1/namespaces/{space.namespace}/endpointslices/one-eventsource-svc"
        running.wait(lambda: condition(space).get("status") == "True", "the status says that it leads here")
        found = space.api.ask("GET", there)

    assert service["spec"]["selector"] == NOBODY
    assert found["endpoints"][0]["addresses"] == ["10.1.2.3"]
    assert found["ports"] == [{"name": "web", "port": port, "protocol": "TCP"}]
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "one-eventsource-svc"


HOST = "10.244.0.1"
"""Where pods and Services of the test cluster reach programs of this machine."""


POD = {
    "metadata": {"name": "of-before", "labels": UPSTREAM},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "busybox", "command": ["sleep", "600"]}],
    },
}


def test_the_clusters_own_network_leads_to_the_platform_and_after_a_switch_to_nobody_else(
    tmp_path: Path, cluster: ClusterServer
) -> None:
    """By kube-proxy, the Service's own port, and the cluster's controllers, which have endpoints of their own there."""
    port = free_port()
    variables = {
        "RETRAIN_KUBERNETES_ADDRESS": HOST,
        "RETRAIN_SERVER_HOST": HOST,
        "RETRAIN_SERVER_TOKEN": "of-this-test",
        "RETRAIN_PIPELINES_ENGINE": "local",
    }
    install(cluster)
    with cluster.space("doors") as space:
        core = f"/api/v1/namespaces/{space}"
        sources = f"/apis/argoproj.io/v1alpha1/namespaces/{space}/eventsources"
        there = f"{core}/services/one-eventsource-svc"
        (body,) = yaml.safe_load_all(SOURCE.replace("$NAME", "one").replace("$PORT", str(port)))
        cluster.ask("POST", f"{core}/pods", POD)
        source = cluster.ask("POST", sources, body)["metadata"]
        cluster.ask("POST", f"{core}/services", of_argo_events(source, port))
        before = cluster.until(f"{core}/pods/of-before", lambda one: one["status"].get("podIP"), "the old pod runs")
        old = before["status"]["podIP"]

        def leads_to(*addresses: str) -> None:
            slices = f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"
            cluster.until(slices, lambda found: endpoints(found) == {*addresses}, f"calls go to {addresses} alone")

        def switch(value: str | None) -> None:
            change = {"metadata": {"annotations": {SWITCH: value}}}
            cluster.ask("PATCH", f"{sources}/one", change, "application/merge-patch+json")

        leads_to(old)
        with platform(tmp_path, cluster.kubeconfig.read_text(), "--namespace", space, **variables) as running:
            switch("switch")
            leads_to(HOST)
            address = cluster.ask("GET", there)["spec"]["clusterIP"]
            running.wait(lambda: post(80, "/orders", {"by": "service"}, host=address), "the event is taken")
            switch(None)
            leads_to(old)
            cluster.ask("DELETE", f"{sources}/one")
            cluster.until(there, lambda found: found is None, "the Service goes with its EventSource")


def of_argo_events(source: dict[str, Any], port: int) -> dict[str, Any]:
    """The Service of an EventSource as its controller makes it."""
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "EventSource", "controller": True}
    owner |= {"name": source["name"], "uid": source["uid"]}
    return {
        "metadata": {"name": f"{source['name']}-eventsource-svc", "ownerReferences": [owner]},
        "spec": {"selector": UPSTREAM, "ports": [{"name": "web", "port": 80, "targetPort": port}]},
    }


def endpoints(slices: dict[str, Any]) -> set[str]:
    """The addresses behind all Services."""
    found = (one for each in slices["items"] for one in each["endpoints"] or ())
    return {address for one in found for address in one["addresses"]}
