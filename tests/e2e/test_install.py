"""The platform installed with kustomize: it runs on the cluster, under its strictest rules, and survives its pod."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.install_world import POD, TOKEN, Installed, installation, json_patch
from tests.e2e.platform_driver import Answer

if TYPE_CHECKING:
    from tests.servers.cluster_server import ClusterServer
    from tests.servers.platform_image import PlatformImage

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

CRDS = Path(__file__).parents[1] / "data" / "crds"
USED = """
import boto3, numpy, structlog
session = boto3.Session("a", "b", region_name="eu-west-1")
for name in ("s3", "sqs", "sns", "sts", "lambda"):
    print(session.client(name).meta.service_model.service_name)
print(numpy.linalg.norm(numpy.array([1.0, 2.0, 2.0])))
try:
    numpy.nothing
except AttributeError as error:
    said = structlog.dev.ConsoleRenderer()(None, "", {"event": "x", "exc_info": error})  # a traceback with its colours
    print("AttributeError" in said)
"""
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
IMPOSSIBLE = SENSOR.replace("        name: train\n", "        name: train\n        conditions: data && nobody\n")


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


def test_what_was_taken_out_of_the_images_libraries_is_not_missed(installed: Installed) -> None:
    """Each service of AWS that is spoken to, numpy, and git's own parts, by the programs of the image."""
    said = installed.sh(f"python3 - <<'END'{USED}END").splitlines()
    asked = (
        "git init -q /tmp/a && cd /tmp/a && git submodule status && git ls-remote https://127.0.0.1:1/x 2>&1 || true"
    )

    assert said == ["s3", "sqs", "sns", "sts", "lambda", "3.0", "True"]
    assert "Failed to connect to 127.0.0.1 port 1" in installed.sh(asked)


def test_steps_may_have_what_the_container_may_and_not_what_the_node_has(installed: Installed) -> None:
    assert _slots(installed).endswith("memory 1.0Gi")


@pytest.fixture(scope="module")
def extended(installed: Installed) -> Installed:
    """The same installation, applied again with the components of the platform; its pod is another then."""
    uid = installed.ready()["metadata"]["uid"]
    installed.kubectl("apply", "-f", str(CRDS / "monitoring.yaml"))
    installed.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS / "monitoring.yaml"))
    limit = {"op": "add", "path": "/spec/template/spec/containers/0/resources/limits/cpu", "value": "1500m"}
    components = ("admission", "all-namespaces", "monitoring", "priority")
    installed.apply(components=components, patches=[json_patch("StatefulSet", [limit])])
    installed.ready(other_than=uid)
    return installed


@pytest.fixture(scope="module")
def elsewhere(extended: Installed) -> Iterator[str]:
    """A namespace to which nobody has given rights."""
    with extended.cluster.space("f-elsewhere") as space:
        yield space


def test_kubectl_is_refused_what_can_never_work_by_the_webhook_in_the_pod(extended: Installed) -> None:
    extended.kubectl("label", "namespace", extended.work, "retrain.dev/admission=true")

    def refused() -> bool:
        return (
            extended.tried("apply", "--dry-run=server", "-f", "-", space=extended.work, said=IMPOSSIBLE).returncode != 0
        )

    extended.until(refused, "the API server asks the webhook")  # whose certificate it hears of a moment after the start
    said = extended.tried("apply", "-f", "-", space=extended.work, said=IMPOSSIBLE).stderr
    good = extended.tried("apply", "-f", "-", space=extended.work, said=SENSOR)

    assert 'admission webhook "lint.retrain.dev" denied the request: spec.triggers[0].template.conditions: ' in said
    assert "'nobody'" in said
    assert (good.returncode, good.stderr) == (0, "")


def test_a_namespace_without_the_label_is_not_asked_about(extended: Installed, elsewhere: str) -> None:
    extended.kubectl("apply", "--dry-run=server", "-f", "-", space=elsewhere, said=IMPOSSIBLE)


def test_a_sensor_of_any_namespace_works(extended: Installed, elsewhere: str) -> None:
    extended.kubectl("apply", "-f", "-", space=elsewhere, said=SENSOR)

    extended.until(lambda: _send(extended, elsewhere).taken, "the EventSource's Service")
    extended.until(lambda: _phases(extended, elsewhere) == ["Succeeded"], "the workflow's end")
    names = {one["name"] for one in extended.retrain("sensors", "list")["items"]}
    assert names >= {f"train.{elsewhere}", f"train.{extended.work}"}


def test_its_figures_are_read_as_its_service_monitor_says(extended: Installed) -> None:
    """Any Service that the ServiceMonitor selects has that port, and what is read there are the figures."""
    monitors = f"/apis/monitoring.coreos.com/v1/namespaces/{extended.space}/servicemonitors/retrain"
    spec = extended.cluster.ask("GET", monitors)["spec"]
    chosen = [f"{key}={value}" for key, value in spec["selector"]["matchLabels"].items()]
    services = extended.kubectl("get", "services", "-l", ",".join(chosen), "-o", "name").split()

    (endpoint,) = spec["endpoints"]
    text = extended.read(endpoint["path"], port=endpoint["port"])
    families = {one.name: one.samples for one in text_string_to_metric_families(text)}

    assert services == ["service/retrain"]
    assert {one.labels["part"]: one.value for one in families["retrain_part_ready"]}["admission webhook"] == 1
    rules = f"/apis/monitoring.coreos.com/v1/namespaces/{extended.space}/prometheusrules/retrain"
    assert extended.cluster.ask("GET", rules)["spec"]["groups"][0]["name"] == "retrain"


def test_its_pod_comes_before_the_trainings(extended: Installed) -> None:
    spec = extended.pod()["spec"]

    assert (spec["priorityClassName"], spec["priority"]) == ("retrain", 100000)


def test_half_a_core_of_a_limit_is_half_a_core_for_steps(extended: Installed) -> None:
    assert _slots(extended) == "steps 4, cpu 1.5, memory 1.0Gi"


def _slots(installed: Installed) -> str:
    return next(one["found"] for one in installed.retrain("doctor")["items"] if one["name"] == "slots")


def _send(installed: Installed, space: str = "") -> Answer:
    """To the Service that the platform has made for the EventSource, named as Argo Events names it."""
    space = space or installed.work
    if installed.cluster.ask("GET", f"/api/v1/namespaces/{space}/services/door-eventsource-svc") is None:
        return Answer(0, "no Service")
    return installed.send("/data", {"n": 1}, service="door-eventsource-svc", space=space, port=12000)


def _event(ident: str) -> dict[str, Any]:
    return {"specversion": "1.0", "id": ident, "source": "door", "subject": "data", "type": "data", "data": {"n": 1}}


def _phases(installed: Installed, space: str = "") -> list[str]:
    found = sorted(installed.workflows(space), key=lambda one: one["metadata"]["creationTimestamp"])
    return [one.get("status", {}).get("phase", "") for one in found]


def _ends(installed: Installed) -> list[Any]:
    """The events that say how runs ended."""
    items = installed.retrain("events", "list", "--limit", "500")["items"]
    return [one for one in items if one["type"] in {"dev.retrain.run.succeeded", "dev.retrain.run.failed"}]
