"""Runs of a platform as people handle them in a terminal: found, read, pictured, answered, copied from, forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
          parameters:
            - {src: {dependencyName: poke, dataKey: team}, dest: metadata.labels.team}
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: train-, labels: {team: none}}
              spec:
                entrypoint: all
                templates:
                  - name: all
                    steps:
                      - - {name: left, template: speak, arguments: {parameters: [{name: word, value: left}]}}
                        - {name: right, template: speak, arguments: {parameters: [{name: word, value: right}]}}
                      - - {name: ask, template: ask}
                      - - name: last
                          template: speak
                          arguments: {parameters: [{name: word, value: "{{steps.ask.outputs.parameters.verdict}}"}]}
                  - name: speak
                    inputs: {parameters: [{name: word}]}
                    outputs: {artifacts: [{name: model, path: /tmp/model.txt, archive: {none: {}}}]}
                    script:
                      image: alpine:3
                      command: [sh]
                      source: |
                        echo "first {{inputs.parameters.word}}"
                        echo "second {{inputs.parameters.word}}" >&2
                        printf 'model of {{inputs.parameters.word}}' > /tmp/model.txt
                  - name: ask
                    suspend: {}
                    outputs: {parameters: [{name: verdict, valueFrom: {supplied: {}}}]}
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with one run that waits for people."""
    platform = Platform(tmp_path_factory.mktemp("terminal") / "platform")
    platform.write("sensor.yaml", SENSOR)
    with platform:
        make(platform, "vision")
        yield platform


def make(platform: Platform, team: str) -> str:
    """A run that waits for people; its name."""
    before = {run["metadata"]["name"] for run in platform.items("runs")}
    data = json.dumps({"team": team})
    platform.command("events", "emit", "--source", "me", "--name", "poke", "--data", data)

    def fresh() -> str | None:
        names = [run["metadata"]["name"] for run in platform.items("runs")]
        return next((name for name in names if name not in before), None)

    name = platform.wait(fresh, "there is a run")
    platform.wait(lambda: phases(platform, name).get("ask") == "Running", "it waits for people")
    return name


def show(platform: Platform, name: str) -> dict[str, Any]:
    return json.loads(platform.command("runs", "get", name, "-o", "json"))


def phases(platform: Platform, name: str) -> dict[str, str]:
    nodes = show(platform, name)["status"].get("nodes") or {}
    return {node["displayName"]: node["phase"] for node in nodes.values()}


def names(text: str) -> list[str]:
    return text.split()


def test_runs_are_found_by_what_they_are(platform: Platform) -> None:
    (name, *_) = names(platform.command("runs", "list", "-l", "team=vision", "-o", "name"))

    def found(*words: str) -> bool:
        return name in names(platform.command("runs", "list", "-o", "name", *words))

    assert found("--running", "--prefix", "train-", "--since", "1h", "-n", "5")
    assert found("--phase", "Running,Pending", "-l", "team in (vision, sound),!absent,retrain.dev/sensor")
    assert not found("-l", "team!=vision")
    assert not found("--completed")
    assert not found("--older", "1s", "--status", "Failed")
    assert show(platform, "@latest")["metadata"]["name"].startswith("train-")
    assert "STATUS" in platform.command("runs", "list", "-o", "wide")
    for words in (["-l", "team=?"], ["--since", "soon"], ["--phase", "Sad"], ["--running", "--completed"]):
        platform.command("runs", "list", *words, code=2)


def test_a_run_is_shown_as_argo_shows_it_and_in_pictures(platform: Platform) -> None:
    (name, *_) = names(platform.command("runs", "list", "-l", "team=vision", "-o", "name"))

    text = platform.command("runs", "get", name)

    assert re.search(r"^Status: +Running \(Suspended\)$", text, re.MULTILINE)
    assert re.search(r"^ ├─┬─✔ left +speak ", text, re.MULTILINE)
    assert re.search(r"^ └───ǁ ask +ask", text, re.MULTILINE)
    assert platform.command("runs", "get", name, "-o", "short", "--no-utf8").isascii()
    only = platform.command("runs", "get", name, "-o", "short", "--node-field-selector", "displayName=left")
    assert "left" in only
    assert "right" not in only
    for output, holds in {
        "dot": "digraph",
        "mermaid": "flowchart",
        "svg": "<svg",
        "gantt": "left",
        "gantt-svg": "<svg",
    }.items():
        assert holds in platform.command("runs", "get", name, "-o", output)
    platform.command("runs", "get", "no-such-run", code=1)
    platform.command("runs", "get", name, "--node-field-selector", "colour=red", code=2)


def test_logs_are_of_all_steps_or_of_some_lines_of_some(platform: Platform) -> None:
    (name, *_) = names(platform.command("runs", "list", "-l", "team=vision", "-o", "name"))

    def logs(*words: str) -> list[str]:
        return platform.command("runs", "logs", name, *words).splitlines()

    assert sorted(logs()) == ["left: first left", "left: second left", "right: first right", "right: second right"]
    assert logs("left") == ["first left", "second left"]
    assert logs("--grep", "^second r") == ["right: second right"]
    assert logs("left", "--tail", "1") == ["second left"]
    assert logs("left", "--since", "1h", "-c", "main") == ["first left", "second left"]
    assert logs("left", "--since-time", "2099-01-01T00:00:00Z") == []
    assert logs("--node-field-selector", "displayName=right") == ["first right", "second right"]
    (stamped, _) = logs("left", "--timestamps")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z first left", stamped)
    assert json.loads(platform.command("runs", "logs", name, "left", "-o", "json"))["lines"] == logs("left")
    platform.command("runs", "logs", name, "nobody", code=1)
    platform.command("runs", "logs", name, "--grep", "(", code=2)


def test_people_answer_a_run_that_asks_follow_it_and_copy_what_it_made(platform: Platform, tmp_path: Path) -> None:
    name = make(platform, "sound")
    selector = ["--node-field-selector", "displayName=ask"]

    platform.command("runs", "set", name, *selector, "--output-parameter", "colour=red", code=2)
    platform.command("runs", "set", name, code=2)
    platform.command("runs", "set", name, *selector, "--output-parameter", "verdict=fine")
    platform.command("runs", "resume", name, *selector, "--message", "looks good")
    followed = platform.command("runs", "logs", name, "--follow").splitlines()
    platform.command("runs", "watch", name)

    assert "last: first fine" in followed
    assert set(phases(platform, name).values()) == {"Succeeded"}
    again = platform.command("runs", "resubmit", name, "--memoized", "-o", "name").strip()
    assert again != name
    platform.command("runs", "terminate", again)
    files = names(platform.command("runs", "cp", name, str(tmp_path), "--path", "{nodeId}", "-o", "name"))
    assert sorted(Path(file).read_text() for file in files) == ["model of fine", "model of left", "model of right"]
    platform.command("runs", "cp", name, str(tmp_path), "--artifact-name", "nothing", code=1)
    platform.command("runs", "cp", name, str(tmp_path), "--path", "../up", code=2)


def test_runs_are_ended_and_forgotten_by_what_they_are(platform: Platform) -> None:
    name = make(platform, "old")
    platform.command("runs", "stop", code=2)
    platform.command("runs", "stop", name, "-l", "team=old", code=2)
    platform.command("runs", "stop", "-l", "team=old", "--running")
    platform.command("runs", "watch", name, code=1)

    said = platform.command(
        "runs", "retry", name, "--restart-successful", "--node-field-selector", "phase=Failed", "-o", "json"
    )
    assert json.loads(said) == {"name": name, "asked": "retry"}
    platform.command("runs", "terminate", name)
    platform.command("runs", "watch", name, code=1)

    would = json.loads(platform.command("runs", "delete", "-l", "team=old", "--dry-run", "-o", "json"))
    assert [one["name"] for one in would["items"]] == [name]
    assert show(platform, name)["status"]["phase"] == "Failed"

    platform.command("runs", "delete", "-l", "team=old")
    platform.command("runs", "get", name, code=1)
    platform.command("runs", "delete", code=2)
