"""The world of the tests of runs on a cluster: a platform with the engine argo, and Sensors that submit workflows."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.platform_driver import RETRAIN, Platform
from tests.servers.cluster_server import ClusterServer

LONG_S = 180.0
"""Pods come to life in seconds on an idle machine, and in many more on one that has much to do."""
STEPS = """
entrypoint: main
arguments: {parameters: [{name: word, value: hello}]}
templates:
  - name: main
    steps:
      - - {name: good, template: say}
      - - {name: bad, template: judge}
      - - {name: after, template: say}
  - name: say
    container: {image: busybox, command: [sh, -c], args: ["echo {{workflow.parameters.word}}"]}
  - name: judge
    container: {image: busybox, command: [sh, -c], args: ["echo judging; test {{workflow.parameters.word}} = yes"]}
"""
"""Fails at its second step, unless the parameter `word` is `yes`."""
WAITS = """
entrypoint: main
templates:
  - name: main
    steps:
      - - {name: approve, template: approve}
      - - {name: tell, template: tell, arguments: {parameters: [{name: said, value: "{{steps.approve.outputs.parameters.said}}"}]}}
  - name: approve
    suspend: {}
    inputs: {parameters: [{name: said, default: "no", enum: ["yes", "no"]}]}
    outputs: {parameters: [{name: said, valueFrom: {supplied: {}}}]}
  - name: tell
    inputs: {parameters: [{name: said}]}
    container: {image: busybox, command: [echo, "it was {{inputs.parameters.said}}"]}
"""  # noqa: E501 - as one would write it
PARALLEL = """
entrypoint: main
templates:
  - name: main
    dag:
      tasks:
        - {name: count, template: count, arguments: {parameters: [{name: who, value: "{{item}}"}]}, withItems: [a, b, c, d]}
        - {name: last, template: count, depends: count, arguments: {parameters: [{name: who, value: z}]}}
  - name: count
    inputs: {parameters: [{name: who}]}
    container: {image: busybox, command: [sh, -c], args: ["for i in $(seq 1 12); do echo {{inputs.parameters.who}} $i; sleep 0.5; done"]}
"""  # noqa: E501
TRAIN = """
entrypoint: main
arguments: {parameters: [{name: date, value: "2026-11-22"}]}
volumes: [{name: gate, hostPath: {path: GATE}}]
templates:
  - name: main
    dag:
      tasks:
        - {name: validate, template: say}
        - {name: train, template: train, depends: validate, withItems: [linear, forest], arguments: {parameters: [{name: family, value: "{{item}}"}]}}
  - name: say
    container: {image: busybox, command: [echo, "rows of {{workflow.parameters.date}} are fine"]}
  - name: train
    inputs: {parameters: [{name: family}]}
    container:
      image: busybox
      command: [sh, -c]
      args: ["n=0; until [ -e /gate/open ]; do n=$((n+1)); echo {{inputs.parameters.family}} epoch $n; sleep 0.5; done; echo {{inputs.parameters.family}} is trained"]
      volumeMounts: [{name: gate, mountPath: /gate}]
"""  # noqa: E501
"""Trains until the file `open` is in the folder GATE of this machine."""
MANY = """
entrypoint: main
volumes: [{name: gate, hostPath: {path: GATE}}]
templates:
  - name: main
    dag:
      tasks:
        - {name: speak, template: speak, arguments: {parameters: [{name: who, value: "{{item}}"}]}, withSequence: {count: "COUNT"}}
  - name: speak
    inputs: {parameters: [{name: who}]}
    container:
      image: busybox
      command: [sh, -c]
      args: ["echo {{inputs.parameters.who}} ready; until [ -e /gate/open ]; do sleep 0.5; done; for i in $(seq LINES); do echo {{inputs.parameters.who}} $i; done"]
      volumeMounts: [{name: gate, mountPath: /gate}]
"""  # noqa: E501
"""COUNT pods that say they are there, and speak when the file `open` is in the folder GATE of this machine."""
NO_PODS = """
entrypoint: main
templates:
  - name: main
    steps: [[{name: wait, template: wait}]]
  - {name: wait, suspend: {}}
"""


def sensor(name: str, spec: str, labels: Mapping[str, str] | None = None) -> str:
    """A Sensor that submits a workflow for each event `name`, and the source of that event."""
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{name}-", "labels": dict(labels or {})},
        "spec": yaml.safe_load(spec),
    }
    trigger = {"template": {"name": "submit", "argoWorkflow": {"operation": "submit", "source": {"resource": body}}}}
    return yaml.safe_dump(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Sensor",
            "metadata": {"name": name},
            "spec": {
                "dependencies": [{"name": "go", "eventSourceName": "test", "eventName": name}],
                "triggers": [trigger],
            },
        }
    )


class ClusterRuns:
    """A running platform, and the namespace of the cluster where its runs are."""

    def __init__(self, platform: Platform, cluster: ClusterServer, namespace: str) -> None:
        self.platform, self.cluster, self.namespace = platform, cluster, namespace

    def submit(self, name: str) -> str:
        """Have the Sensor `name` submit its workflow; the run's name, once its object is there."""
        before = {one["metadata"]["name"] for one in self.platform.items("runs")}
        event = {"specversion": "1.0", "id": f"{name}-{len(before)}", "source": "test", "subject": name, "type": "t"}
        assert self.platform.emit(event).taken

        def new() -> str:
            found = {one["metadata"]["name"] for one in self.platform.items("runs")} - before
            return next((one for one in found if one.startswith(f"{name}-")), "")

        return self.platform.wait(new, f"a run of {name} is there", LONG_S)

    def learn(self, name: str, spec: str) -> None:
        """Put one more Sensor into the project, which is taken while the platform runs."""
        self.platform.write(f"{name}.yaml", sensor(name, spec))
        self.platform.wait(
            lambda: any(one["name"] == name for one in self.platform.items("sensors")), f"{name} is known"
        )

    def run(self, name: str) -> dict[str, Any]:
        """The run as the platform shows it."""
        return self.platform.get(f"/api/v1/runs/{name}")

    def until(self, name: str, phase: str) -> dict[str, Any]:
        """Wait until the run is in a phase; the run."""

        def met() -> dict[str, Any]:
            found = self.run(name)
            return found if found["status"]["phase"] == phase else {}

        return self.platform.wait(met, f"{name} is {phase}", LONG_S)

    def until_no_pods(self, name: str) -> None:
        """Wait until the cluster has none of the run's pods any more."""
        pods = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=workflows.argoproj.io/workflow%3D{name}"
        self.platform.wait(lambda: not self.cluster.ask("GET", pods)["items"], f"the pods of {name} are gone", LONG_S)

    def object(self, name: str) -> dict[str, Any] | None:
        """The Workflow as the cluster has it."""
        return self.cluster.ask("GET", self.path(name))

    def path(self, name: str = "") -> str:
        rest = f"/{name}" if name else ""
        return f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/workflows{rest}"

    def command(self, *words: str, code: int = 0) -> str:
        """What `retrain runs ...` prints on stdout; it must end with `code`."""
        done = self.done(*words)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def done(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`retrain runs ...`, however it ends."""
        environment = {"PATH": "/usr/bin:/bin", "RETRAIN_SERVER": self.platform.url, "HOME": str(self.platform.place)}
        all_words = [RETRAIN, "runs", *words]
        return subprocess.run(all_words, capture_output=True, text=True, env=environment, timeout=LONG_S)

    def events(self, name: str) -> list[str]:
        """What was told of a run, oldest first."""
        ours = [one for one in self.platform.items("events") if str(one.get("type")).startswith("dev.retrain.run.")]
        return [str(one["id"]).partition(".")[2] for one in reversed(ours) if one["data"]["run"]["name"] == name]


@contextmanager
def cluster_runs(
    place: Path, cluster: ClusterServer, workflows: Mapping[str, str], kubeconfig: str = "", settings: str = ""
) -> Generator[ClusterRuns]:
    """A platform on Sensors `name` -> the `spec` of their workflow. `kubeconfig`: another than the administrator's."""
    with cluster.space("b") as namespace:
        platform = Platform(place)
        config = place / "kubeconfig"
        config.write_text(kubeconfig or cluster.kubeconfig.read_text())
        platform.write(
            "retrain.yaml",
            f"pipelines: {{engine: argo}}\nkubernetes: {{kubeconfig: {config}, namespace: {namespace}}}\n{settings}",
        )
        for name, spec in workflows.items():
            platform.write(f"{name}.yaml", sensor(name, spec))
        platform.launch()
        platform.await_ready(LONG_S)
        with platform:
            yield ClusterRuns(platform, cluster, namespace)
