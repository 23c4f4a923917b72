"""Jobs that a sensor makes on a real cluster, where the kubelet runs them: limits hold for them, their ends are events,
and people stop them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform
from tests.servers.cluster_server import ClusterServer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

RIGHTS = {
    "batch/jobs": ["create", "get", "list", "watch", "patch", "delete"],
    "/configmaps": ["create", "get", "patch"],
}
TRAIN = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: train}
spec:
  dependencies: [{name: order, eventSourceName: shop, eventName: order}]
  triggers:
    - template:
        name: job
        k8s:
          operation: create
          source:
            resource:
              apiVersion: batch/v1
              kind: Job
              metadata: {generateName: train-}
              spec:
                backoffLimit: 0
                template:
                  spec:
                    restartPolicy: Never
                    terminationGracePeriodSeconds: 1
                    containers: [{name: main, image: busybox, command: [sh, -c, "true"]}]
          parameters:
            - {src: {dependencyName: order, dataKey: command}, dest: spec.template.spec.containers.0.command.2}
      concurrency: {limit: 1, onConflict: queue}
"""
THEN = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: note}
spec:
  dependencies:
    - name: trained
      eventSourceName: retrain
      eventName: run.succeeded
      filters: {data: [{path: run.workflow, type: string, value: [train]}]}
  triggers:
    - template:
        name: note
        k8s:
          operation: create
          source: {resource: {apiVersion: v1, kind: ConfigMap, metadata: {name: ""}, data: {}}}
          parameters:
            - {src: {dependencyName: trained, dataKey: run.name}, dest: metadata.name}
            - {src: {dependencyName: trained, dataKey: phase}, dest: data.phase}
"""


class Jobs:
    """A platform, and its namespace on the cluster."""

    def __init__(self, platform: Platform, cluster: ClusterServer, space: str) -> None:
        self.platform, self.cluster, self.space = platform, cluster, space

    def order(self, number: int, command: str) -> None:
        event = {"specversion": "1.0", "id": f"o-{number}", "source": "shop", "subject": "order", "type": "order"}
        assert self.platform.emit({**event, "data": {"command": command}}).taken

    def jobs(self) -> list[dict[str, Any]]:
        return self.cluster.ask("GET", f"/apis/batch/v1/namespaces/{self.space}/jobs")["items"]

    def phases(self) -> list[str]:
        return [phase for (phase,) in self.platform.rows("SELECT phase FROM runs ORDER BY created")]

    def run(self, which: str) -> dict[str, Any]:
        return json.loads(self.platform.command("runs", "get", which, "-o", "json"))


@pytest.fixture
def jobs(cluster: ClusterServer, tmp_path: Path) -> Iterator[Jobs]:
    with cluster.space("c-jobs") as space:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.account(space, RIGHTS, space))
        environment = {"RETRAIN_KUBERNETES_KUBECONFIG": str(kubeconfig), "RETRAIN_KUBERNETES_NAMESPACE": space}
        platform = Platform(tmp_path / "platform", environment=environment)
        platform.write("train.yaml", TRAIN)
        platform.write("then.yaml", THEN)
        with platform:
            yield Jobs(platform, cluster, space)


def test_jobs_keep_to_the_limit_and_their_ends_fire_what_waits_for_them(jobs: Jobs) -> None:
    for number in range(3):
        jobs.order(number, "sleep 1")

    jobs.platform.wait(lambda: jobs.phases() == ["Succeeded"] * 3, "three Jobs have run", 120)

    spans = sorted((one["status"]["startTime"], one["status"]["completionTime"]) for one in jobs.jobs())
    assert len(spans) == 3
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans)), spans
    names = {one["metadata"]["name"] for one in jobs.jobs()}
    maps = f"/api/v1/namespaces/{jobs.space}/configmaps"

    def noted() -> set[str]:
        return {one["metadata"]["name"] for one in jobs.cluster.ask("GET", maps)["items"]} & names

    jobs.platform.wait(lambda: noted() == names, "each end has been noted")
    told = jobs.platform.rows("SELECT subject, count(*) FROM events WHERE subject LIKE 'run.%' GROUP BY 1")
    assert dict(told) == {"run.started": 3, "run.succeeded": 3}


def test_a_job_that_fails_is_a_run_that_has_failed(jobs: Jobs) -> None:
    jobs.order(1, "exit 3")

    jobs.platform.wait(lambda: jobs.phases() == ["Failed"], "the Job has failed", 120)

    (job,) = jobs.jobs()
    shown = jobs.run(job["metadata"]["name"])
    assert shown["status"]["phase"] == "Failed"
    assert "BackoffLimitExceeded" in shown["status"]["message"]
    firing = jobs.platform.items("firings")[0]
    traced = json.loads(jobs.platform.command("trace", firing["result"]["run"], "-o", "json"))
    assert {"event", "firing", "run"} <= {one["kind"] for one in traced["nodes"]}


def test_a_job_is_suspended_resumed_and_stopped(jobs: Jobs) -> None:
    jobs.order(1, "sleep 300")
    jobs.platform.wait(lambda: jobs.phases() == ["Running"], "the Job runs", 120)
    (job,) = jobs.jobs()
    name = job["metadata"]["name"]
    path = f"/apis/batch/v1/namespaces/{jobs.space}/jobs/{name}"

    jobs.platform.command("runs", "suspend", name)
    jobs.cluster.until(path, lambda one: not one["status"].get("active") and one["spec"]["suspend"], "it is suspended")
    jobs.platform.command("runs", "resume", name)
    jobs.cluster.until(path, lambda one: one["status"].get("active") == 1, "it goes on")
    jobs.platform.command("runs", "stop", name)

    jobs.platform.wait(lambda: jobs.phases() == ["Failed"], "the Job has ended", 120)
    assert "DeadlineExceeded" in jobs.run(name)["status"]["message"]
    assert jobs.cluster.ask("GET", path) is not None
    told = jobs.platform.rows("SELECT subject, count(*) FROM events WHERE subject LIKE 'run.%' GROUP BY 1")
    assert dict(told) == {"run.started": 1, "run.failed": 1}


def test_a_job_makes_room_for_the_next_one_where_that_replaces_it(jobs: Jobs) -> None:
    jobs.platform.write("train.yaml", TRAIN.replace("onConflict: queue", "onConflict: replace"))
    jobs.platform.stop()
    jobs.platform.start()
    jobs.order(1, "sleep 300")
    jobs.platform.wait(lambda: jobs.phases() == ["Running"], "the first Job runs", 120)

    jobs.order(2, "true")

    jobs.platform.wait(lambda: jobs.phases() == ["Failed", "Succeeded"], "the second one has taken its place", 120)
    first, second = sorted(jobs.jobs(), key=lambda one: one["metadata"]["creationTimestamp"])
    assert any(one["reason"] == "DeadlineExceeded" for one in first["status"]["conditions"])
    assert second["status"]["succeeded"] == 1
