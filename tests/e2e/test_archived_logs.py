"""What remains to be seen of runs: counts of their steps in lists, and archived logs once the directories are gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform

pytestmark = pytest.mark.integration

CRON = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: speak}
spec:
  schedules: ["0 3 1 1 *"]
  workflowSpec:
    entrypoint: all
    archiveLogs: true
    parallelism: 1
    arguments: {parameters: [{name: word, value: hello}]}
    templates:
      - name: all
        steps:
          - - {name: say, template: say, arguments: {parameters: [{name: nr, value: "{{item}}"}]}, withItems: [1, 2]}
          - - {name: wait, template: wait}
      - name: say
        inputs: {parameters: [{name: nr}]}
        outputs: {artifacts: [{name: own-logs, path: /tmp/own.log, archive: {none: {}}}]}
        script:
          image: any
          command: [sh]
          source: |
            echo "one {{inputs.parameters.nr}}"; echo "two {{inputs.parameters.nr}}"
            echo mine > /tmp/own.log
      - name: wait
        suspend: {}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("archived") / "platform")
    platform.write("cron.yaml", CRON)
    with platform:
        yield platform


def test_a_list_says_how_far_runs_are_and_with_what_they_run(platform: Platform) -> None:
    name = platform.command("crons", "run", "speak", "-p", "word=hi", "-o", "name").strip()

    def waits() -> dict[str, Any] | None:
        (run,) = [one for one in platform.items("runs") if one["metadata"]["name"] == name]
        return run if run["status"].get("progress") == "2/2" else None

    run = platform.wait(waits, "both steps are done")
    assert run["status"]["pods"] == {"pending": 0, "running": 0, "completed": 2}
    head, *rows = platform.command("runs", "list", "-o", "wide").splitlines()
    assert head.split()[-3:] == ["P/R/C", "PARAMETERS", "MESSAGE"]
    assert any("0/0/2" in row and "word=hi" in row for row in rows)
    platform.command("runs", "resume", name)
    platform.command("runs", "watch", name)


def test_logs_whose_directories_are_gone_are_read_from_their_artifacts(platform: Platform) -> None:
    name = platform.command("crons", "run", "speak", "-o", "name").strip()
    platform.wait(lambda: "wait" in platform.command("runs", "get", name, "-o", "short"), "the run waits")
    platform.command("runs", "resume", name)
    platform.command("runs", "watch", name)
    before = platform.command("runs", "logs", name)
    assert len(before.splitlines()) == 4

    uid = platform.get(f"/api/v1/runs/{name}")["metadata"]["uid"]
    shutil.rmtree(platform.data / "runs" / uid)

    assert platform.command("runs", "logs", name) == before
    assert platform.command("runs", "logs", name, "--follow") == before
    assert platform.command("runs", "logs", name, "say(1:2)").splitlines() == ["one 2", "two 2"]
    assert platform.command("runs", "logs", name, "say(1:2)", "--tail", "1").splitlines() == ["two 2"]
    assert platform.command("runs", "logs", name, "--grep", "^two 1").splitlines() == ["say(0:1): two 1"]
    assert platform.command("runs", "logs", name, "--since-time", "2099-01-01") == ""
    assert platform.command("runs", "logs", name, "-c", "main") == before
    platform.command("runs", "logs", name, "-c", "own", code=1)
