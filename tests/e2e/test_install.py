"""The platform installed with kustomize: it runs on the cluster, under its strictest rules, and survives its pod."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.install_world import POD, TOKEN, Installed, installation
from tests.e2e.platform_driver import Answer

if TYPE_CHECKING:
    from tests.servers.cluster_server import ClusterServer
    from tests.servers.platform_image import PlatformImage

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

SENSOR = """
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: door}
spec:
  service:
    ports: [{port: 12000, targetPort: 12000}]
  webhook:
    data: {port: "12000", endpoint: /data, method: POST}
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
              spec:
                entrypoint: main
                templates:
                  - name: main
                    container: {image: busybox, command: [sh, -c, "sleep 6; echo trained"]}
"""


@pytest.fixture(scope="module")
def node_image(argo_cluster: ClusterServer) -> PlatformImage:
    from tests.servers import platform_image

    return platform_image.on_cluster(argo_cluster)


@pytest.fixture(scope="module")
def installed(
    argo_cluster: ClusterServer, node_image: PlatformImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    with installation(argo_cluster, node_image, tmp_path_factory.mktemp("installed")) as world:
        world.apply()
        world.secret("retrain", token=TOKEN)
        world.ready()
        world.write(SENSOR)
        world.until(lambda: world.retrain("sensors", "list")["items"], "the Sensor")
        yield world


def test_an_event_by_the_service_becomes_a_workflow_that_the_controller_finishes(installed: Installed) -> None:
    before = len(installed.workflows())

    # Refused until the Service leads somewhere: who sends repeats it.
    installed.until(lambda: _send(installed).taken, "the EventSource's Service")
    installed.until(lambda: _phases(installed)[before:] == ["Succeeded"], "the workflow's end")
    runs = installed.retrain("runs", "list")["items"]
    assert [run["status"]["phase"] for run in runs][:1] == ["Succeeded"]


def test_a_pod_that_is_deleted_in_the_middle_loses_nothing_and_does_nothing_twice(installed: Installed) -> None:
    before = len(installed.workflows())
    uid = installed.pod()["metadata"]["uid"]

    assert installed.send("/api/v1/events", _event("two")).taken
    installed.until(lambda: len(_phases(installed)) == before + 1, "the workflow")
    installed.kubectl("delete", "pod", POD)
    installed.ready(other_than=uid)

    installed.until(lambda: _phases(installed)[before:] == ["Succeeded"], "the workflow's end")
    installed.until(lambda: len(_ends(installed)) == before + 1, "the end of the run, told once")


def test_a_pod_that_is_killed_as_soon_as_it_has_acknowledged_an_event_acts_on_it_once(installed: Installed) -> None:
    before = len(installed.workflows())
    uid = installed.pod()["metadata"]["uid"]

    answers = [installed.send("/api/v1/events", _event(f"kill-{n}")) for n in range(5)]
    installed.kubectl("delete", "pod", POD, "--grace-period=0", "--force")
    installed.ready(other_than=uid)

    taken = sum(answer.taken for answer in answers)
    assert taken == 5
    installed.until(lambda: _phases(installed)[before:] == ["Succeeded"] * taken, "each workflow once")
    installed.until(lambda: len(_ends(installed)) == before + taken, "each end told once")


def test_the_pod_can_do_nothing_that_it_does_not_need(installed: Installed) -> None:
    status = dict(line.split(":\t") for line in installed.sh("cat /proc/1/status").splitlines())

    assert status["Uid"].split() == ["10001"] * 4
    assert status["CapEff"] == status["CapPrm"] == "0" * 16
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert installed.sh("touch /usr/bin/x /opt/retrain/x 2>&1 || true").count("Read-only file system") == 2
    assert installed.sh("ls /var/run/secrets/kubernetes.io/serviceaccount").split() == ["ca.crt", "namespace", "token"]


def test_its_namespace_takes_no_pod_that_could_do_more(installed: Installed) -> None:
    container = {"name": "x", "image": "busybox", "securityContext": {"privileged": True}}
    pod = {"metadata": {"name": "greedy"}, "spec": {"containers": [container]}}

    with pytest.raises(AssertionError, match=r'403 .*violates PodSecurity \\"restricted'):
        installed.cluster.ask("POST", f"/api/v1/namespaces/{installed.space}/pods", pod)


def test_a_signal_ends_it_in_good_order_and_it_comes_back(installed: Installed) -> None:
    installed.sh("kill -TERM 1")

    def ended(pod: Any) -> Any:
        return pod["status"]["containerStatuses"][0]["lastState"].get("terminated")

    pods = f"/api/v1/namespaces/{installed.space}/pods/{POD}"
    pod = installed.cluster.until(pods, lambda pod: pod and ended(pod), "the container's end")
    assert ended(pod)["exitCode"] == 0
    installed.until(lambda: installed.pod()["status"]["containerStatuses"][0]["ready"], "the next container")


def test_its_node_can_be_drained(installed: Installed) -> None:
    uid = installed.ready()["metadata"]["uid"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": POD}}

    installed.cluster.ask("POST", f"/api/v1/namespaces/{installed.space}/pods/{POD}/eviction", eviction)

    installed.ready(other_than=uid)


def test_a_backup_can_be_taken_out_of_the_pod(installed: Installed) -> None:
    installed.sh("retrain backup create /tmp/backup.tar.gz --data /var/lib/retrain")

    said = installed.sh("retrain backup verify /tmp/backup.tar.gz --whole")  # exit status 0, else it is no back-up
    assert " runs, " in said


def _send(installed: Installed) -> Answer:
    """To the Service that the platform has made for the EventSource, named as Argo Events names it."""
    service = f"/api/v1/namespaces/{installed.work}/services/door-eventsource-svc"
    if installed.cluster.ask("GET", service) is None:
        return Answer(0, "no Service")
    return installed.send("/data", {"n": 1}, service="door-eventsource-svc", space=installed.work, port=12000)


def _event(ident: str) -> dict[str, Any]:
    return {"specversion": "1.0", "id": ident, "source": "door", "subject": "data", "type": "data", "data": {"n": 1}}


def _phases(installed: Installed) -> list[str]:
    found = sorted(installed.workflows(), key=lambda one: one["metadata"]["creationTimestamp"])
    return [one.get("status", {}).get("phase", "") for one in found]


def _ends(installed: Installed) -> list[Any]:
    """The events that say how runs ended."""
    items = installed.retrain("events", "list", "--limit", "500")["items"]
    return [one for one in items if one["type"] in {"dev.retrain.run.succeeded", "dev.retrain.run.failed"}]
