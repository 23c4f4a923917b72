"""`retrain run --engine docker`: whole workflows whose steps run in containers of their image, on a real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.docker_engine import IMAGE, docker_engine

pytestmark = pytest.mark.integration

MAIN = "import sys; from retrain.cli import main; main()"
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
HEAD = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_engine(tmp_path_factory.mktemp("docker")) as host:
        yield host


class Shop:
    """A project, and an engine to run its workflows."""

    def __init__(self, place: Path, engine: str) -> None:
        self.place = place
        self.tmp = place / "tmp"
        self.tmp.mkdir()
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.tmp), "SECRET_OF_PLATFORM": "s3cr3t"}
        if engine:
            self.env["DOCKER_HOST"] = engine

    def start(self, text: str, *words: str) -> subprocess.Popen[str]:
        (self.place / "w.yaml").write_text(HEAD + text.replace("IMAGE", IMAGE))
        argv = [sys.executable, "-c", MAIN, "run", "w.yaml", "--engine", "docker", "-o", "json", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, cwd=self.place, env=self.env, stdout=pipe, stderr=pipe, text=True)

    def run(self, text: str, *words: str) -> tuple[dict[str, Any], str]:
        """The Workflow object, and what was said on stderr."""
        out, err = self.start(text, *words).communicate(timeout=PATIENCE_S)
        assert out, err
        return json.loads(out), err

    def succeed(self, text: str, *words: str) -> dict[str, Any]:
        """The nodes by display name, of a workflow that must succeed."""
        workflow, err = self.run(text, *words)
        nodes = workflow["status"]["nodes"]
        said = {node["displayName"]: (node["phase"], node.get("message")) for node in nodes.values()}
        assert workflow["status"]["phase"] == "Succeeded", (said, err)
        return {node["displayName"]: node for node in nodes.values()}

    def docker(self, *words: str) -> str:
        return subprocess.run(
            ["docker", *words], env=self.env, capture_output=True, text=True, check=True, timeout=PATIENCE_S
        ).stdout.strip()

    def containers(self) -> list[str]:
        return self.docker("ps", "--all", "--quiet", "--filter", "label=retrain.dev/run-mark").split()


@pytest.fixture
def shop(engine: str, tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path, engine)
    yield shop
    for one in shop.containers():
        shop.docker("rm", "--force", one)


def parameters(node: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in node["outputs"].get("parameters") or ()}


def test_a_step_sees_its_image_and_its_environment_and_nothing_of_the_platforms(shop: Shop) -> None:
    nodes = shop.succeed("""\
spec:
  entrypoint: all
  templates:
    - name: all
      steps: [[{name: look, template: look}], [{name: keep, template: keep, arguments:
        {parameters: [{name: said, value: "{{steps.look.outputs.result}}"}]}}]]
    - name: look
      container:
        image: IMAGE
        command: [sh, -c]
        args: ['ls /; pwd; echo "$WORD"; echo "x$SECRET_OF_PLATFORM"; echo "$1"; echo "$ARGO_WORKFLOW_NAME"', sh,
          "$(NAME)"]
        env: [{name: WORD, value: "a  b"}, {name: NAME, value: "pod $(WORD)"}]
    - name: keep
      inputs: {parameters: [{name: said}]}
      outputs: {parameters: [{name: copy, valueFrom: {path: /tmp/copy}}]}
      container:
        image: IMAGE
        command: [sh, -c, 'echo "$1" > /tmp/copy', sh]
        args: ["{{inputs.parameters.said}}"]
""")

    said = parameters(nodes["keep"])["copy"].splitlines()

    assert "usr" not in said, "it is the image's root, not this machine's"
    assert said[-5:] == ["/srv", "a  b", "x", "pod a  b", "wf"]
    assert shop.containers() == []


def test_parameters_and_artifacts_go_from_container_to_container(shop: Shop) -> None:
    nodes = shop.succeed("""\
spec:
  entrypoint: all
  templates:
    - name: all
      dag:
        tasks:
          - name: make
            template: make
            withItems: [one, two]
            arguments: {parameters: [{name: word, value: "{{item}}"}]}
          - name: use
            template: use
            depends: make
            arguments:
              artifacts:
                - {name: models, from: "{{tasks.make.outputs.artifacts.model}}"}
                - {name: note, raw: {data: hi}}
    - name: make
      inputs: {parameters: [{name: word}]}
      outputs: {artifacts: [{name: model, path: /out/model}]}
      script:
        image: IMAGE
        command: [sh]
        source: |
          mkdir -p /out/model/deep
          echo "{{inputs.parameters.word}} by $0" > /out/model/deep/weights
    - name: use
      inputs: {artifacts: [{name: models, path: /in/models}, {name: note, path: /in/note}]}
      outputs:
        parameters: [{name: all, valueFrom: {path: /tmp/all}}, {name: none, valueFrom: {path: /tmp/none, default: "-"}}]
      container:
        image: IMAGE
        command: [sh, -c, "cat /in/models/0/deep/weights /in/models/1/deep/weights /in/note > /tmp/all"]
""")

    staged = "by /argo/staging/script"
    assert parameters(nodes["use"]) == {"all": f"one {staged}\ntwo {staged}\nhi", "none": "-"}


VOLUMES = """\
spec:
  entrypoint: all
  volumeClaimTemplates:
    - metadata: {name: shared}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  volumes:
    - {name: words, configMap: {name: words}}
    - {name: keys, secret: {secretName: keys}}
    - {name: scratch, emptyDir: {}}
  templates:
    - name: all
      steps: [[{name: write, template: write}], [{name: read, template: read}]]
    - name: write
      container: &main
        image: IMAGE
        command: [sh, -c, "cat /etc/words/greeting /etc/keys/token > /mnt/shared/file; echo x > /scratch/x"]
        volumeMounts:
          - {name: shared, mountPath: /mnt/shared}
          - {name: words, mountPath: /etc/words}
          - {name: keys, mountPath: /etc/keys, readOnly: true}
          - {name: scratch, mountPath: /scratch}
    - name: read
      outputs: {parameters: [{name: file, valueFrom: {path: /mnt/shared/copy}}]}
      container:
        <<: *main
        command: [sh, -c]
        args: ['ls /scratch; echo no > /etc/words/greeting; (cat /mnt/shared/file; echo "$TOKEN") > /mnt/shared/copy']
        env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}]
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: words}, data: {greeting: "hello "}}
---
{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {token: t0k3n}}
"""


def test_volumes_claims_and_secrets_are_mounted_as_declared(shop: Shop) -> None:
    nodes = shop.succeed(VOLUMES)

    assert parameters(nodes["read"]) == {"file": "hello t0k3nt0k3n"}


def test_the_images_entrypoint_runs_where_there_is_no_command(shop: Shop) -> None:
    nodes = shop.succeed("""\
spec:
  entrypoint: main
  templates:
    - name: main
      outputs: {parameters: [{name: here, valueFrom: {path: /srv/here}}]}
      container: {image: IMAGE, args: ["pwd > here"]}
""")

    assert parameters(nodes["wf"]) == {"here": "/srv"}


@pytest.mark.parametrize(
    ("container", "phase", "message"),
    [
        ("{image: IMAGE, command: [sh, -c, 'exit 3']}", "Failed", "main: Error (exit code 3)"),
        ("{image: IMAGE, command: [no-such-program, x]}", "Failed", "main: Error (exit code 64)"),
        ("{image: IMAGE, command: [sh, -c, 'kill -9 $$$$']}", "Failed", "main: Error (exit code 137)"),
    ],
)
def test_ends_are_told_as_argo_tells_them(shop: Shop, container: str, phase: str, message: str) -> None:
    workflow, _ = shop.run(f"""\
spec:
  entrypoint: main
  templates: [{{name: main, container: {container}}}]
""")

    node = workflow["status"]["nodes"]["wf"]
    assert (node["phase"], node["message"].partition(": failed to find")[0]) == (phase, message)
    assert shop.containers() == []


def test_an_image_that_cannot_be_had_is_named(shop: Shop) -> None:
    workflow, _ = shop.run("""\
spec:
  entrypoint: main
  templates: [{name: main, container: {image: "retrain-test/none:1", command: [sh]}}]
""")

    node = workflow["status"]["nodes"]["wf"]
    assert node["phase"] == "Error"
    assert "retrain-test/none:1" in node["message"]


def test_a_deadline_ends_the_container(shop: Shop) -> None:
    workflow, _ = shop.run(
        """\
spec:
  entrypoint: main
  templates:
    - name: main
      activeDeadlineSeconds: 1
      container: {image: IMAGE, command: [sh, -c, "trap '' TERM; while :; do sleep 0.1; done"]}
""",
        "--grace",
        "0.2",
    )

    node = workflow["status"]["nodes"]["wf"]
    assert (node["phase"], node["message"]) == (
        "Failed",
        "Pod was active on the node longer than the specified deadline",
    )
    assert shop.containers() == []


def test_sidecars_and_sets_of_containers_run_beside_each_other(shop: Shop) -> None:
    nodes = shop.succeed("""\
spec:
  entrypoint: all
  templates:
    - name: all
      steps: [[{name: set, template: set}, {name: aside, template: aside}]]
    - name: set
      volumes: [{name: shared, emptyDir: {}}]
      outputs: {parameters: [{name: said, valueFrom: {path: /shared/said}}]}
      containerSet:
        volumeMounts: [{name: shared, mountPath: /shared}]
        containers:
          - {name: a, image: IMAGE, command: [sh, -c, "echo a >> /shared/said"]}
          - {name: main, image: IMAGE, command: [sh, -c, "echo main >> /shared/said"], dependencies: [a]}
    - name: aside
      volumes: [{name: shared, emptyDir: {}}]
      initContainers:
        - {name: first, image: IMAGE, command: [sh, -c, "echo first > /shared/said"], mirrorVolumeMounts: true}
      container:
        image: IMAGE
        command: [sh, -c, "until test -e /shared/ready; do sleep 0.05; done"]
        volumeMounts: [{name: shared, mountPath: /shared}]
      sidecars:
        - name: helper
          image: IMAGE
          mirrorVolumeMounts: true
          command: [sh, -c, "test -e /shared/said && touch /shared/ready; while :; do sleep 0.1; done"]
""")

    assert parameters(nodes["set"]) == {"said": "a\nmain"}
    assert shop.containers() == []


SLEEPS = """\
spec:
  entrypoint: main
  templates:
    - name: main
      container:
        image: IMAGE
        command: [sh, -c, "touch $RETRAIN_PROJECT/began; while :; do sleep 0.1; done"]
"""


def await_file(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_container(shop: Shop, number: signal.Signals) -> None:
    process = shop.start(SLEEPS, "--grace", "0.2")
    await_file(shop.place / "began")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert shop.containers() == []
    assert list(shop.tmp.iterdir()) == []
