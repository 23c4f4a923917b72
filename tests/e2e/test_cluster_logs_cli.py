"""`retrain runs logs` of a run on a cluster, and the page's views of it, on the real controller."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster_runs_world import LONG_S, MANY, PARALLEL, STEPS, ClusterRuns, cluster_runs
from tests.e2e.platform_driver import RETRAIN
from tests.servers.cluster_server import MERGE, ClusterServer
from tests.servers.launch import MinioServer
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

MANY_PODS, MANY_LINES = size(16, 100), 500
MIB = 1024 * 1024
PODS = [f"count({n}:{who})" for n, who in enumerate("abcd")]
FAILS = """
entrypoint: main
podGC: {strategy: OnPodCompletion, deleteDelayDuration: 0s}
templates:
  - name: main
    container: {image: busybox, command: [sh, -c], args: ["echo first; echo last; exit 3"]}
"""
ARCHIVED = """
entrypoint: main
archiveLogs: true
podGC: {strategy: OnPodCompletion, deleteDelayDuration: 0s}
artifactRepositoryRef: {configMap: lake, key: ml}
templates:
  - name: main
    dag:
      failFast: false
      tasks:
        - {name: count, template: count, arguments: {parameters: [{name: who, value: "{{item}}"}]}, withItems: [a, b]}
        - {name: pair, template: pair, depends: count}
        - {name: elsewhere, template: elsewhere, depends: pair}
        - {name: fails, template: fails, depends: elsewhere}
  - name: count
    inputs: {parameters: [{name: who}]}
    container: {image: busybox, command: [sh, -c], args: ["for i in $(seq 1 2000); do echo {{inputs.parameters.who}} $i; done"]}
  - name: pair
    containerSet:
      containers:
        - {name: main, image: busybox, command: [echo, first of two]}
        - {name: other, image: busybox, command: [echo, second of two]}
  - name: elsewhere
    archiveLocation:
      archiveLogs: true
      s3: {endpoint: ENDPOINT, bucket: apart, insecure: true, key: "logs/{{pod.name}}", accessKeySecret: {name: lake, key: access}, secretKeySecret: {name: lake, key: secret}}
    container: {image: busybox, command: [echo, kept apart]}
  - name: fails
    container: {image: busybox, command: [sh, -c], args: ["echo before it failed; echo why >&2; exit 3"]}
"""  # noqa: E501
"""Logs of each kind, in the bucket of the workflow's repository and in that of a template's own."""
REPOSITORY = """
archiveLogs: true
s3:
  endpoint: ENDPOINT
  bucket: models
  insecure: true
  keyFormat: "{{workflow.namespace}}/{{workflow.name}}/{{pod.name}}"
  accessKeySecret: {name: lake, key: access}
  secretKeySecret: {name: lake, key: secret}
"""


@pytest.fixture(scope="module")
def world(argo_cluster: ClusterServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRuns]:
    workflows = {"parallel": PARALLEL, "fails": FAILS, "steps": STEPS}
    with cluster_runs(tmp_path_factory.mktemp("logs"), argo_cluster, workflows) as found:
        yield found


def page(world: ClusterRuns, path: str) -> str:
    with urllib.request.urlopen(f"{world.platform.url}{path}", timeout=30) as answer:
        return answer.read().decode()


def test_the_lines_of_five_pods_are_followed_and_none_is_missing(world: ClusterRuns) -> None:
    name = world.submit("parallel")

    followed = world.command("logs", name, "--follow")

    expected = {(pod, f"{pod[-2]} {n}") for pod in PODS for n in range(1, 13)} | {
        ("last", f"z {n}") for n in range(1, 13)
    }
    lines = [tuple(line.split(": ", 1)) for line in followed.splitlines()]
    assert sorted(lines) == sorted(expected)
    assert [line for line in lines if line[0] == "last"] == lines[-12:]
    assert {line[0] for line in lines[:8]} > {lines[0][0]}, "they speak at the same time"
    read = world.command("logs", name)
    assert sorted(read.splitlines()) == sorted(followed.splitlines())
    assert world.command("logs", name, "last", "--tail", "2").splitlines() == ["z 11", "z 12"]
    assert world.run(name)["status"]["phase"] == "Succeeded"


def test_a_pod_that_is_collected_while_it_is_followed_is_read_to_its_end(world: ClusterRuns) -> None:
    """`podGC` takes it away at once; what it said was read before, or is said to be gone."""
    name = world.submit("fails")

    followed = [line.removeprefix(f"{name}: ") for line in world.command("logs", name, "--follow").splitlines()]

    gone = f"(the pod {name} is gone from the cluster, and its log was not archived)"
    assert followed in (["first", "last"], [gone], ["first", "last", gone])
    world.until(name, "Failed")
    world.until_no_pods(name)
    assert world.command("logs", name).splitlines() == [gone]


def _memory(pid: int) -> int:
    """Bytes that a process has in memory for itself."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])


def test_many_pods_are_followed_at_once(world: ClusterRuns, tmp_path: Path) -> None:
    """All are listened to before the first says more than that it is there; the platform answers others meanwhile."""
    gate = {"GATE": str(tmp_path), "COUNT": str(MANY_PODS), "LINES": str(MANY_LINES)}
    world.learn("many", reduce(lambda text, one: text.replace(*one), gate.items(), MANY))
    name = world.submit("many")
    with urllib.request.urlopen(f"{world.platform.url}/api/v1/runs/{name}/logs?follow=true", timeout=LONG_S) as lines:
        heard = [lines.readline().decode().strip() for _ in range(MANY_PODS)]
        assert world.run(name)["status"]["phase"] == "Running"
        before = _memory(world.platform.pid)
        (tmp_path / "open").touch()
        heard += [lines.readline().decode().strip() for _ in range(MANY_PODS)]
        assert world.command("logs", name, "speak(3:3)", "--tail", "1")
        heard += [line.decode().strip() for line in lines]
        grown = _memory(world.platform.pid) - before

    assert world.run(name)["status"]["phase"] == "Succeeded"
    said = [line.partition(": ")[2].split() for line in heard]
    assert {word for _, word in said[:MANY_PODS]} == {"ready"}
    for who in map(str, range(MANY_PODS)):
        assert [word for one, word in said if one == who] == ["ready", *map(str, range(1, MANY_LINES + 1))]
    assert len(said) == MANY_PODS * (MANY_LINES + 1)
    assert grown < 64 * MIB


@pytest.fixture
def lake(world: ClusterRuns, cluster_minio: MinioServer) -> Iterator[MinioServer]:
    """Two buckets, and what the cluster and the platform have to know of them."""
    keys = {"access": cluster_minio.access_key, "secret": cluster_minio.secret_key}
    secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lake"}, "stringData": keys}
    entry = {"metadata": {"name": "lake"}, "data": {"ml": REPOSITORY.replace("ENDPOINT", cluster_minio.endpoint)}}
    world.cluster.ask("POST", f"/api/v1/namespaces/{world.namespace}/secrets", secret)
    world.cluster.ask("POST", f"/api/v1/namespaces/{world.namespace}/configmaps", entry)
    world.platform.write("lake.yaml", yaml.safe_dump(secret))
    world.learn("archived", ARCHIVED.replace("ENDPOINT", cluster_minio.endpoint))
    client = cluster_minio.client()
    for bucket in ("models", "apart"):
        client.make_bucket(bucket_name=bucket)
    yield cluster_minio
    for bucket in ("models", "apart"):
        for item in client.list_objects(bucket_name=bucket, recursive=True):
            client.remove_object(bucket_name=bucket, object_name=str(item.object_name))
        client.remove_bucket(bucket_name=bucket)


def test_the_logs_of_pods_that_are_gone_are_read_from_s3(world: ClusterRuns, lake: MinioServer) -> None:
    """Of every step, in the order in which they ran; with the keys of the Secret that the repository names."""
    name = world.submit("archived")
    world.until(name, "Failed")
    world.until_no_pods(name)

    read = world.command("logs", name)

    counted = [f"count({n}:{who}): {who} {i}" for n, who in enumerate("ab") for i in range(1, 2001)]
    said = [
        "pair: first of two",
        "pair/other: second of two",
        "elsewhere: kept apart",
        "fails: before it failed",
        "fails: why",
    ]
    lines = read.splitlines()
    assert lines[:-2] == [*counted, *said[:-2]]
    assert sorted(lines[-2:]) == said[-2:], "its stdout and its stderr are two pipes into one file"
    assert world.command("logs", name, "--follow") == read
    assert world.command("logs", name, "count(1:b)", "--tail", "1") == "b 2000\n"
    assert world.command("logs", name, "pair", "-c", "other") == "second of two\n"
    kept = lake.client().list_objects(bucket_name="models", prefix=f"{world.namespace}/{name}/", recursive=True)
    assert len(list(kept)) == 5
    lake.stop()
    try:
        assert "the log was archived, and cannot be read now" in world.command("logs", name, "fails")
    finally:
        lake.start()
    assert sorted(world.command("logs", name, "fails").splitlines()) == ["before it failed", "why"]
    for told in (read, world.platform.log.read_text(), page(world, f"/api/v1/runs/{name}")):
        assert lake.secret_key not in told


def test_a_run_whose_nodes_are_in_argos_database_says_so(world: ClusterRuns) -> None:
    """As a controller with `nodeStatusOffLoad` leaves it: what was known of its steps is of the past, and not shown."""
    name = world.submit("steps")
    world.until(name, "Failed")
    there = {"status": {"nodes": None, "offloadNodeStatusVersion": "fnv:784"}}
    world.cluster.ask("PATCH", world.path(name), there, MERGE)
    world.platform.wait(lambda: "offloadNodeStatusVersion" in world.run(name)["status"], "it is seen")
    said = (
        "the controller keeps the nodes of this run in its database (offloadNodeStatusVersion fnv:784); they cannot be"
    )

    got = world.command("get", name)
    status = json.loads(world.command("get", name, "-o", "json"))["status"]

    assert f"{said} read here" in got
    assert "Failed" in got
    assert "judge" not in got
    assert said in status["message"]
    assert status["message"].startswith("child")
    assert "nodes" not in status
    assert said in world.command("list", "-o", "wide")
    assert sorted(world.command("logs", name).splitlines()) == ["bad: judging", "good: hello"]
    assert world.command("logs", name, "bad", "--follow").splitlines() == ["judging"]
    for verb in (["retry"], ["resubmit", "--memoized"]):
        refused = world.done(verb[0], name, *verb[1:])
        assert refused.returncode == 1
        assert "its nodes lie in Argo's database" in refused.stderr
    assert world.run(name)["status"]["phase"] == "Failed"
    assert said in page(world, f"/ui/run?name={name}")
    assert "It has not begun" not in page(world, f"/ui/run?name={name}")


def test_a_reader_who_leaves_is_let_go(world: ClusterRuns) -> None:
    """And the platform goes on: nothing of it is left over in its log."""
    name = world.submit("parallel")
    environment = {"PATH": "/usr/bin:/bin", "RETRAIN_SERVER": world.platform.url, "HOME": str(world.platform.place)}
    reader = subprocess.Popen([RETRAIN, "runs", "logs", name, "-f"], stdout=subprocess.PIPE, env=environment, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline()
    reader.kill()
    reader.wait()
    reader.stdout.close()

    world.until(name, "Succeeded")

    assert "Traceback" not in world.platform.log.read_text()
