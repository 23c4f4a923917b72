"""`retrain run --engine argo` on a real cluster, with Argo's own controller."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import RETRAIN
from tests.servers.cluster_server import ClusterServer
from tests.servers.launch import wait_until
from tests.support.size import size

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpus/argo-workflows/examples"
TEMPLATES = {"workflow-template": "templates.yaml", "cluster-workflow-template": "clustertemplates.yaml"}
EXAMPLES = [
    "arguments-parameters",
    "colored-logs",
    "continue-on-fail",
    "dag-diamond-steps",
    "dag-diamond",
    "dag-enhanced-depends",
    "dag-targets",
    "dag-nested",
    "default-pdb-support",
    "dns-config",
    "exit-handler-dag-level",
    "exit-handler-with-param",
    "exit-handlers",
    "expression-destructure-json",
    "expression-reusing-verbose-snippets",
    "hello-world",
    "image-pull-secrets",
    "init-container",
    "loops",
    "parallelism-limit",
    "parallelism-template-limit",
    "parameter-aggregation",
    "parameter-aggregation-dag",
    "pod-metadata-wf-field",
    "pod-spec-patch",
    "pod-spec-yaml-patch",
    "steps",
    "volumes-emptydir",
    "workflow-template/dag",
    "workflow-template/hello-world",
    "cluster-workflow-template/workflow-template-ref",
    "cluster-workflow-template/workflow-template-ref-with-entrypoint-arg-passing",
]
"""Of upstream's examples: those that need no more than busybox, and end the same way each time."""
UPSTREAMS = size(EXAMPLES[-8:], EXAMPLES)
AT_ONCE = 6

FAILS = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: fails-, labels: {team: risk}}
spec:
  entrypoint: main
  templates:
    - name: main
      dag:
        tasks:
          - {name: good, template: say, arguments: {parameters: [{name: text, value: "{{item}}"}]}, withItems: [a, b]}
          - {name: bad, template: bad}
    - name: say
      inputs: {parameters: [{name: text}]}
      container: {image: busybox, command: [echo, "{{inputs.parameters.text}}"]}
    - name: bad
      container: {image: busybox, command: [sh, -c], args: ["echo first; echo it went wrong; exit 3"]}
"""
WAITS = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: waits}
spec: {entrypoint: main, templates: [{name: main, suspend: {}}]}
"""


@dataclass
class Engine:
    """Asks the command, as a user does."""

    cluster: ClusterServer
    namespace: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        all_words = [RETRAIN, "run", *words, "--engine", "argo", "-n", self.namespace]
        return subprocess.run(all_words, capture_output=True, text=True, env=self.environment, timeout=300)

    def upstreams(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.run(*words_of(name), "-o", "json")

    def phase(self, name: str) -> str:
        return ((self.object(name) or {}).get("status") or {}).get("phase") or ""

    def object(self, name: str) -> Any:
        """The Workflow as the cluster has it."""
        return self.cluster.ask("GET", path_of(self.namespace, name))


def path_of(namespace: str, name: str = "") -> str:
    return f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows" + (f"/{name}" if name else "")


@pytest.fixture(scope="module")
def engine(argo_cluster: ClusterServer) -> Iterator[Engine]:
    with argo_cluster.space("engine") as namespace:
        yield Engine(argo_cluster, namespace)


@pytest.fixture(scope="module")
def upstreams(engine: Engine) -> Iterator[dict[str, subprocess.CompletedProcess[str]]]:
    """What the command said of each of upstream's, several at a time."""
    if not CORPUS.is_dir():
        pytest.skip("upstream's examples are not on this machine")
    with ThreadPoolExecutor(AT_ONCE) as threads:
        done = threads.map(engine.upstreams, UPSTREAMS)
        yield dict(zip(UPSTREAMS, done, strict=True))
    for name in ("cluster-workflow-template-print-message", "cluster-workflow-template-submittable"):
        engine.cluster.ask("DELETE", f"/apis/argoproj.io/v1alpha1/clusterworkflowtemplates/{name}")


def words_of(name: str) -> list[str]:
    folder = name.rpartition("/")[0]
    beside = ["--with", str(CORPUS / folder / TEMPLATES[folder])] if folder else []
    return [str(CORPUS / f"{name}.yaml"), *beside]


def tree(workflow: dict[str, Any]) -> dict[str, tuple[str, str, list[str]]]:
    """Each node by its name within the run: its type, its phase, its outputs."""
    name = workflow["metadata"]["name"]
    return {
        node["name"].replace(name, "RUN", 1): (node["type"], node["phase"], values(node))
        for node in (workflow["status"].get("nodes") or {}).values()
    }


def values(node: dict[str, Any]) -> list[str]:
    given = (node.get("outputs") or {}).get("parameters") or ()
    return sorted(f"{one['name']}={one.get('value')}" for one in given)


@pytest.mark.parametrize("name", UPSTREAMS)
def test_upstreams_examples_run_and_what_is_said_is_what_the_cluster_has(
    name: str, engine: Engine, upstreams: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    done = upstreams[name]
    said = json.loads(done.stdout)

    found = engine.object(said["metadata"]["name"])

    assert said["status"] == found["status"], done.stderr
    assert said["spec"] == found["spec"]
    assert done.returncode == (0 if found["status"]["phase"] == "Succeeded" else 1)


@pytest.mark.parametrize("name", UPSTREAMS)
def test_this_machines_engine_makes_the_same_tree(
    name: str, upstreams: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    there = json.loads(upstreams[name].stdout)

    done = subprocess.run([RETRAIN, "run", *words_of(name), "-o", "json"], capture_output=True, text=True, timeout=120)
    here = json.loads(done.stdout)

    assert here["status"]["phase"] == there["status"]["phase"], done.stderr
    assert tree(here) == tree(there)


def test_a_step_that_fails_is_said_with_the_end_of_its_log(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "fails.yaml"
    file.write_text(FAILS)

    done = engine.run(str(file), "--labels", "who=me", "-o", "json")

    assert done.returncode == 1
    assert "bad" in done.stderr
    assert "    it went wrong" in done.stderr
    assert "argo=true" not in done.stderr
    labels = json.loads(done.stdout)["metadata"]["labels"]
    assert (labels["team"], labels["who"]) == ("risk", "me")


def test_a_dry_run_is_checked_by_the_server_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "fails.yaml"
    file.write_text(FAILS)
    before = len(engine.object("")["items"])

    done = engine.run(str(file), "--dry-run", "--name", "never", "-o", "name")

    assert done.returncode == 0, done.stderr
    assert "never" in done.stdout
    assert len(engine.object("")["items"]) == before


def test_what_the_server_refuses_is_said_with_its_line(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(WAITS.replace("metadata: {name: waits}", "metadata: {name: waits, labels: {team: a b}}"))

    done = engine.run(str(file), "--dry-run")

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {file}:4:25: ")
    assert "metadata.labels: Invalid value" in done.stderr


def test_ctrl_c_ends_the_workflow_on_the_cluster(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "waits.yaml"
    file.write_text(WAITS)
    words = [RETRAIN, "run", str(file), "--engine", "argo", "-n", engine.namespace, "--name", "cut-off"]
    with subprocess.Popen(words, env=engine.environment, text=True, stdout=-1, stderr=-1) as process:
        wait_until(lambda: engine.phase("cut-off") == "Running", "it has begun")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert engine.object("cut-off")["spec"]["shutdown"] == "Terminate"
    assert engine.object("cut-off")["status"]["phase"] == "Failed"


def test_a_workflow_that_is_deleted_meanwhile_is_not_waited_for(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "waits.yaml"
    file.write_text(WAITS)
    words = [RETRAIN, "run", str(file), "--engine", "argo", "-n", engine.namespace, "--name", "taken-away"]
    with subprocess.Popen(words, env=engine.environment, text=True, stdout=-1, stderr=-1) as process:
        wait_until(lambda: engine.object("taken-away") is not None, "it is there")
        time.sleep(1)  # so that the watch goes on
        engine.cluster.ask("DELETE", path_of(engine.namespace, "taken-away"))
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 1, stderr
    assert f"{engine.namespace}/taken-away was deleted before its end was seen" in stderr


def test_what_has_the_name_already_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "waits.yaml"
    file.write_text(WAITS)
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "waits"}}
    spec = {"entrypoint": "m", "templates": [{"name": "m", "suspend": {}}]}
    engine.cluster.ask("POST", path_of(engine.namespace), {**body, "spec": spec})

    done = engine.run(str(file))

    assert done.returncode == 1
    assert "and it is another one" in done.stderr


def test_options_of_this_machines_engine_are_refused(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "waits.yaml"
    file.write_text(WAITS)

    done = engine.run(str(file), "--jobs", "2", "--any-image")

    assert done.returncode == 2
    assert "--any-image, --jobs: only this machine's engine knows it" in done.stderr
