"""CronWorkflows by the command line and over HTTP, on a platform that is killed and started again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform

pytestmark = pytest.mark.integration

NIGHTLY = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: ["0 3 1 1 *"]
  timezone: Europe/Berlin
  concurrencyPolicy: Forbid
  workflowSpec:
    entrypoint: main
    arguments: {parameters: [{name: code, value: "0"}]}
    templates:
      - name: main
        script: {image: any, command: [sh], source: "echo ran; exit {{workflow.parameters.code}}"}
---
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: resting}
spec:
  schedules: ["@hourly"]
  suspend: true
  workflowSpec:
    entrypoint: main
    templates: [{name: main, container: {image: any, command: [/bin/true]}}]
"""


def ask(platform: Platform, *words: str, code: int = 0) -> Any:
    return json.loads(platform.command("crons", *words, "-o", "json", code=code))


def test_a_cron_is_shown_suspended_through_a_crash_resumed_and_started(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform")
    platform.write("crons.yaml", NIGHTLY)
    with platform:
        nightly, resting = ask(platform, "list")["items"]
        assert (nightly["name"], nightly["schedules"]) == ("nightly", ["0 3 1 1 *"])
        assert nightly["timezone"] == "Europe/Berlin"
        assert nightly["next"][4:] == "-01-01T02:00:00Z"
        assert (resting["suspendedBy"], resting["next"]) == ("its document", None)
        assert platform.command("crons", "list", "-o", "name").split() == ["nightly", "resting"]
        platform.command("crons", "resume", "resting", code=1)
        platform.command("crons", "show", "nothing", code=1)

        assert ask(platform, "suspend", "nightly")["suspended"] is True
        platform.kill()
        platform.start()
        found = ask(platform, "show", "nightly")
        assert found["suspended"]
        assert found["suspendedBy"] not in {None, "its document"}
        assert "State:        Suspended by" in platform.command("crons", "show", "nightly")
        page = platform.get("/metrics")
        assert 'retrain_crons{state="suspended"} 2.0' in page
        assert ask(platform, "resume", "nightly")["suspended"] is False

        name = platform.command("crons", "run", "nightly", "--wait", "-o", "name").strip()
        assert name.startswith("nightly-")
        shown = platform.command("crons", "run", "nightly", "-p", "code=3", "--log", "--wait", code=1)
        assert shown.endswith("ran\n")
        found = platform.wait(
            lambda: one if (one := ask(platform, "show", "nightly"))["failed"] else None, "the end is counted"
        )
        assert (found["succeeded"], found["failed"], found["active"]) == (1, 1, [])
        assert [run["phase"] for run in found["runs"]] == ["Failed", "Succeeded"]


def test_the_same_is_had_over_http_and_wrong_wishes_are_refused(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform")
    platform.write("crons.yaml", NIGHTLY)
    with platform:
        assert [one["name"] for one in platform.items("crons")] == ["nightly", "resting"]
        answer = platform.post("/api/v1/crons/nightly/suspend", {"by": "ada"})
        assert (answer.status, answer.body["suspendedBy"]) == (200, "ada")
        assert platform.get("/api/v1/crons/nightly", namespace="default")["suspendedBy"] == "ada"
        assert platform.post("/api/v1/crons/nightly/resume").status == 200
        assert platform.post("/api/v1/crons/resting/resume").status == 409
        assert platform.post("/api/v1/crons/nobody/run").status == 404
        assert platform.post("/api/v1/crons/nightly/run", {"parameter": {}}).status == 422
        made = platform.post("/api/v1/crons/nightly/run", {"parameters": {"code": "0"}}).body
        assert made["of"] == "nightly"
        run = platform.get(f"/api/v1/runs/{made['run']}")
        assert run["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] == "nightly"
        parts = {one["name"]: one["ready"] for one in platform.get("/readyz")["parts"]}
        assert parts["crons"]
        assert parts["retention"]
