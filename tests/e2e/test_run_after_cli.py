"""`runs retry` and `runs resubmit` with what comes after: waiting, watching, logs; and their exit codes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.platform_driver import PATIENCE_S, RETRAIN, Platform

pytestmark = pytest.mark.integration

CRON = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: flaky}
spec:
  schedules: ["0 3 1 1 *"]
  failedJobsHistoryLimit: 100
  workflowSpec:
    entrypoint: all
    arguments: {parameters: [{name: code, value: "3"}]}
    templates:
      - name: all
        steps: [[{name: fine, template: fine}], [{name: end, template: end}]]
      - name: fine
        script: {image: any, command: [sh], source: 'echo x >> "$RETRAIN_PROJECT/fine"; echo fine has spoken'}
      - name: end
        script: {image: any, command: [sh], source: "echo end has spoken; exit {{workflow.parameters.code}}"}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("after") / "platform")
    platform.write("cron.yaml", CRON)
    with platform:
        yield platform


def said(platform: Platform, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command with what it prints on both streams; it must end with `code`."""
    environment = {**platform.environment, "RETRAIN_SERVER": platform.url, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([RETRAIN, *words], capture_output=True, text=True, env=environment, timeout=PATIENCE_S)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def failed(platform: Platform) -> str:
    """A run that has failed; its name."""
    return platform.command("crons", "run", "flaky", "--wait", "-o", "name", code=1).strip()


def status(platform: Platform, name: str) -> dict[str, Any]:
    return json.loads(platform.command("runs", "get", name, "-o", "json"))["status"]


def test_retry_waits_and_its_exit_status_is_that_of_the_run(platform: Platform) -> None:
    name = failed(platform)

    done = said(platform, "runs", "retry", name, "--wait", code=1)
    assert done.stdout == ""
    done = said(platform, "runs", "retry", name, "-p", "code=0", "--wait", "-o", "json")

    assert json.loads(done.stdout) == {"name": name, "asked": "retry"}
    assert status(platform, name)["phase"] == "Succeeded"
    phases = [node["phase"] for node in status(platform, name)["nodes"].values() if node["type"] == "Pod"]
    assert phases == ["Succeeded", "Succeeded"]
    said(platform, "runs", "retry", name, "--wait", code=1)  # it succeeded: nothing to retry


def test_retry_watches_the_run_and_prints_it_as_it_ended(platform: Platform) -> None:
    name = failed(platform)

    done = said(platform, "runs", "retry", name, "-p", "code=0", "--watch")

    assert f"Name:                {name}" in done.stdout
    assert "Status:              Succeeded" in done.stdout
    assert "asked to retry" in done.stderr
    assert "Traceback" not in done.stderr


def test_retry_prints_what_its_steps_print_until_the_run_ends(platform: Platform) -> None:
    name = failed(platform)
    before = (platform.project / "fine").read_text()

    done = said(platform, "runs", "retry", name, "--log", code=1)

    assert "end: end has spoken" in done.stdout.splitlines()
    assert (platform.project / "fine").read_text() == before, "what had succeeded does not run again"


def test_several_runs_are_retried_and_the_worst_end_counts(platform: Platform) -> None:
    names = [failed(platform), failed(platform)]

    done = said(platform, "runs", "retry", *names, "--wait", "-o", "name", code=1)

    assert done.stdout.split() == names, done.stderr
    said(platform, "runs", "retry", *names, "-p", "code=0", "--wait")


def test_resubmit_waits_watches_and_prints_logs_of_the_new_run(platform: Platform) -> None:
    name = failed(platform)

    waited = said(platform, "runs", "resubmit", name, "-p", "code=0", "--wait", "-o", "json")
    new = json.loads(waited.stdout)
    assert new["of"] == name
    assert status(platform, new["run"])["phase"] == "Succeeded"

    watched = said(platform, "runs", "resubmit", name, "--watch", code=1)
    assert "Status:              Failed" in watched.stdout
    logged = said(platform, "runs", "resubmit", name, "-p", "code=0", "--log")
    assert [line.partition(": ")[2] for line in logged.stdout.splitlines()] == ["fine has spoken", "end has spoken"]
    memoized = said(platform, "runs", "resubmit", name, "--memoized", "-p", "code=0", "--log")
    assert "end has spoken" in memoized.stdout


def test_wrong_wishes_end_with_the_codes_that_scripts_know(platform: Platform) -> None:
    name = failed(platform)

    assert "no such run" in said(platform, "runs", "retry", "nobody", "--wait", code=1).stderr
    assert "no parameter" in said(platform, "runs", "retry", name, "-p", "kode=0", "--wait", code=2).stderr
    assert "NAME=VALUE" in said(platform, "runs", "resubmit", name, "-p", "code", "--wait", code=2).stderr
    said(platform, "runs", "retry", code=2)
    nowhere = said(platform, "runs", "retry", name, "--wait", "--server", "http://127.0.0.1:9", code=4)
    assert "cannot reach a platform" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr
