"""What people do to runs by the command line: suspend, resume, retry and resubmit them on a running platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform

pytestmark = pytest.mark.integration

SENSOR = """\
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: train}
spec:
  dependencies: [{name: poke, eventSourceName: me, eventName: poke}]
  triggers:
    - template:
        name: make
        k8s:
          operation: create
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: train-}
              spec:
                entrypoint: all
                arguments: {parameters: [{name: code, value: "3"}]}
                templates:
                  - name: all
                    steps: [[{name: wait, template: wait}], [{name: end, template: end}]]
                  - name: wait
                    script:
                      image: any
                      command: [sh]
                      source: |
                        touch "$RETRAIN_PROJECT/began"
                        while [ ! -e "$RETRAIN_PROJECT/go" ]; do sleep 0.05; done
                  - name: end
                    script: {image: any, command: [sh], source: "exit {{workflow.parameters.code}}"}
"""


def run_of(platform: Platform, name: str) -> dict[str, Any]:
    return json.loads(platform.command("runs", "get", name, "-o", "json"))


def test_a_run_is_suspended_resumed_retried_and_resubmitted(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform")
    platform.write("sensor.yaml", SENSOR)
    with platform:
        platform.command("events", "emit", "--source", "me", "--name", "poke", "--data", "{}")
        platform.wait((platform.project / "began").exists, "the first step works")
        (run,) = platform.items("runs")
        name = run["metadata"]["name"]

        said = json.loads(platform.command("runs", "suspend", name, "-o", "json"))
        assert said == {"name": name, "asked": "suspend"}
        assert run_of(platform, name)["spec"]["suspend"] is True
        (platform.project / "go").touch()
        platform.command("runs", "resume", name)
        platform.command("runs", "watch", name, code=1)
        nodes = run_of(platform, name)["status"]["nodes"].values()
        assert {node["displayName"]: node["phase"] for node in nodes if node["type"] == "Pod"} == {
            "wait": "Succeeded",
            "end": "Failed",
        }

        platform.command("runs", "retry", name, "-p", "kode=0", code=2)
        platform.command("runs", "retry", name, "-p", "code=0")
        platform.command("runs", "watch", name)
        platform.command("runs", "retry", name, code=1)
        (platform.project / "began").unlink()
        platform.command("runs", "retry", name, "--restart-successful", "--node-field-selector", "templateName=all")
        platform.command("runs", "watch", name)
        assert (platform.project / "began").exists(), "what is in a chosen template runs again"
        platform.command("runs", "suspend", name, code=1)

        again = platform.command("runs", "resubmit", name, "-p", "code=0", "-o", "name").strip()
        platform.command("runs", "watch", again)
        assert run_of(platform, again)["metadata"]["labels"]["workflows.argoproj.io/completed"] == "true"
        assert len(platform.items("runs")) == 2
        subjects = [event["subject"] for event in platform.items("events", source="retrain")]
        assert sorted(subjects) == sorted(["run.started"] * 2 + ["run.failed"] + ["run.succeeded"] * 3)
