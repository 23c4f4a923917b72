"""`retrain runs logs` of a run on a cluster, and the page's views of it, on the real controller."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.cluster_runs_world import LONG_S, PARALLEL, ClusterRuns, cluster_runs
from tests.e2e.platform_driver import RETRAIN
from tests.servers.cluster_server import ClusterServer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

PODS = [f"count({n}:{who})" for n, who in enumerate("abcd")]
FAILS = """
entrypoint: main
podGC: {strategy: OnPodCompletion, deleteDelayDuration: 0s}
templates:
  - name: main
    container: {image: busybox, command: [sh, -c], args: ["echo first; echo last; exit 3"]}
"""


@pytest.fixture(scope="module")
def world(argo_cluster: ClusterServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRuns]:
    workflows = {"parallel": PARALLEL, "fails": FAILS}
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
    world.platform.wait(
        lambda: (
            not world.cluster.ask("GET", f"/api/v1/namespaces/{world.namespace}/pods")["items"]
            or name not in str(world.cluster.ask("GET", f"/api/v1/namespaces/{world.namespace}/pods"))
        ),
        "its pod is gone",
        LONG_S,
    )
    assert world.command("logs", name).splitlines() == [gone]


def test_the_page_shows_the_run_and_its_lines(world: ClusterRuns) -> None:
    name = world.submit("parallel")
    world.until(name, "Succeeded")
    run_id = world.run(name)["metadata"]["labels"]["retrain.dev/run"]

    shown = page(world, f"/ui/run?name={run_id}")
    log = page(world, f"/ui/run/log?name={run_id}")
    told = page(world, f"/api/v1/runs/{run_id}/logs?grep=12")

    assert all(pod.partition("(")[0] in shown for pod in PODS)
    assert all(f"{who} 12" in log for who in "abcdz")
    assert sorted(told.splitlines()) == sorted([*(f"{pod}: {pod[-2]} 12" for pod in PODS), "last: z 12"])


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
