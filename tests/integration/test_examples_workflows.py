"""The workflows among the examples do what they say, with the very commands that stand at their top."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from retrain.app.projects.lint import lint
from tests.e2e.platform_driver import Platform

pytestmark = pytest.mark.slow  # each is a command of its own

MAIN = "import sys; from retrain.cli import main; main()"
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FOLDERS = ("given", "workflows")
DONE, SKIPPED, FAILED = "Succeeded", "Skipped", "Failed"
GOOD = 0.9

Phases = Mapping[str, str]
EXPECTED: dict[str, tuple[int, Phases]] = {
    # command of the header: its exit status, and phases of nodes by display name
    "given/conditional-deploy.yaml": (0, {"evaluate": DONE, "deploy-prod": DONE, "notify-failure": SKIPPED}),
    "given/conditional-deploy.yaml -p samples=12": (0, {"deploy-prod": SKIPPED, "notify-failure": DONE}),
    "given/gpu-training.yaml": (2, {}),
    "given/gpu-training.yaml --gpus 4": (0, {"gpu-training": DONE}),
    "given/ml-pipeline.yaml --gpus 2 -p epochs=50": (0, {"preprocess": DONE, "train": DONE, "evaluate": DONE}),
    "given/ml-training-pipeline.yaml --gpus 1": (0, {"data-ingestion": DONE, "evaluate": DONE, "deploy": DONE}),
    "given/parallel-training.yaml": (
        0,
        {
            "train-models(0:logistic)": DONE,
            "train-models(1:forest)": DONE,
            "train-models(2:svm)": DONE,
            "ensemble": DONE,
        },
    ),
    "given/train-with-retry.yaml --gpus 4": (0, {"(0)": FAILED, "(1)": FAILED, "(2)": DONE}),
    "workflows/artifacts.yaml": (0, {"prepare": DONE, "count": DONE, "publish": DONE}),
    "workflows/fan-out.yaml": (
        0,
        {
            "folds(2:02)": DONE,
            "try(1:depth:8,trees:10)": DONE,
            "more(1:40)": DONE,
            "best": DONE,
        },
    ),
    "workflows/fan-out.yaml -p trees='[5, 10, 20]' -o gantt": (0, {"more(2:20)": DONE, "best": DONE}),
    "workflows/retry.yaml": (
        0,
        {
            "flaky(2)": DONE,
            "choosy(0)": FAILED,
            "choosy(1)": FAILED,
            "group(0)": FAILED,
            "group(1)": DONE,
        },
    ),
    "workflows/hooks.yaml": (
        0,
        {
            "train.hooks.started": DONE,
            "train.onExit": DONE,
            ".hooks.running": DONE,
            "tell": DONE,
            "complain": SKIPPED,
        },
    ),
    "workflows/hooks.yaml -p exit=1": (
        1,
        {
            "train": FAILED,
            "train.hooks.started": DONE,
            "tell": DONE,
            "complain": DONE,
        },
    ),
    "workflows/suspend.yaml": (0, {"pause": DONE, "ask": DONE, "deploy": SKIPPED, "leave": DONE}),
    "workflows/locks.yaml --with examples/workflows/limits.yaml -o gantt": (0, {"read(3:3)": DONE, "write(2:2)": DONE}),
    "workflows/memo.yaml": (0, {"first": DONE, "second": DONE, "compare": DONE}),
    "workflows/memo.yaml --data .memo": (0, {"first": DONE, "second": DONE, "compare": DONE}),
    "workflows/container-set.yaml": (0, {"left": DONE, "right": DONE, "main": DONE, "beside": DONE}),
    "workflows/child.yaml": (0, {"settings": DONE, "train": DONE, "show": DONE}),
}


def headers() -> Iterator[tuple[Path, str]]:
    """The commands in the comments at the top of each file, without what they say about themselves."""
    for folder in FOLDERS:
        for file in sorted((EXAMPLES / folder).glob("*.yaml")):
            comment = file.read_text().partition("\napiVersion")[0]
            for command in re.findall(r"^#   (.+?)(?: +#.*)?$", comment, re.MULTILINE):
                yield file, command


def runs() -> dict[str, list[str]]:
    """The `retrain run` commands of all headers, from the folder of examples."""
    commands = [command for _, command in headers() if command.startswith("retrain run ")]
    return {c.removeprefix("retrain run examples/"): shlex.split(c)[2:] for c in commands}


def run(place: Path, words: list[str]) -> tuple[int, str, str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}
    argv = [sys.executable, "-c", MAIN, "run", *words]
    done = subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, timeout=180, check=False)
    return done.returncode, done.stdout, done.stderr


def workflow_of(place: Path, words: list[str]) -> tuple[int, dict[str, Any], str]:
    """Run what the header says, with the Workflow object as the answer."""
    at = [str(EXAMPLES.parent / word) if word.startswith("examples/") else word for word in words]
    code, out, err = run(place, [*at, "--keep", "-o", "json"])
    return code, json.loads(out) if out else {}, err


def nodes_of(workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Nodes by display name, without the name that the workflow drew; the root by the template's name."""
    name = workflow["metadata"]["name"]
    found = {str(n["displayName"]).removeprefix(name): n for n in workflow["status"]["nodes"].values()}
    return {(key or str(node["templateName"])): node for key, node in found.items()}


def printed(place: Path) -> list[str]:
    logs = "".join(log.read_text() for log in sorted(place.rglob("main.log")))
    return [line.split(" ", 3)[3] for line in logs.splitlines()]


def value(nodes: Mapping[str, Mapping[str, Any]], node: str, name: str) -> str:
    return next(p["value"] for p in nodes[node]["outputs"]["parameters"] if p["name"] == name)


def test_every_command_of_a_header_is_tried_here() -> None:
    assert set(runs()) == set(EXPECTED)


@pytest.mark.parametrize("command", EXPECTED)
def test_an_example_does_what_its_header_says(command: str, tmp_path: Path) -> None:
    expected, phases = EXPECTED[command]

    code, workflow, err = workflow_of(tmp_path, runs()[command])

    assert code == expected, err
    if code == 2:
        assert workflow == {}
        assert "nvidia.com/gpu" in err
        return
    nodes = nodes_of(workflow)
    assert workflow["status"]["phase"] == ("Failed" if code else "Succeeded")
    assert {name: nodes[name]["phase"] for name in phases} == phases
    check = CHECKS.get(command.split()[0].partition("/")[2].removesuffix(".yaml"))
    if check is not None:
        check(nodes, printed(tmp_path), command)


def _conditional(nodes: Mapping[str, Any], lines: list[str], command: str) -> None:
    accuracy = float(value(nodes, "evaluate", "accuracy"))
    assert (accuracy > GOOD) == ("samples" not in command)
    assert any(line.startswith("deployed" if accuracy > GOOD else "not good enough") for line in lines)


def _gpu(_: Mapping[str, Any], lines: list[str], __: str) -> None:
    assert "devices 0,1,2,3" in lines


def _gate(nodes: Mapping[str, Any], lines: list[str], _: str) -> None:
    accuracy = float(value(nodes, "evaluate", "accuracy"))
    assert accuracy > GOOD
    assert any(line.startswith("deploys") and f"with accuracy {accuracy:.4f}" in line for line in lines)


def _ensemble(nodes: Mapping[str, Any], lines: list[str], _: str) -> None:
    assert float(value(nodes, "ensemble", "accuracy")) > GOOD
    assert any("ensemble of ['0', '1', '2']" in line for line in lines)


def _retrained(_: Mapping[str, Any], lines: list[str], __: str) -> None:
    assert [line for line in lines if line.startswith("attempt 2 score 1.0")]


def _artifacts(nodes: Mapping[str, Any], lines: list[str], _: str) -> None:
    assert value(nodes, "count", "lines") == "2"
    assert lines == ["day,amount", "monday,7"]


def _fan_out(nodes: Mapping[str, Any], lines: list[str], command: str) -> None:
    assert value(nodes, "best", "best") == ("0.994" if "trees" in command else "0.997")
    assert f"the best of {5 if 'trees' in command else 4} is {value(nodes, 'best', 'best')}" in lines


def _hooks(_: Mapping[str, Any], lines: list[str], command: str) -> None:
    failed = "exit=1" in command
    assert {"the workflow runs", "training has begun", f"it {'Failed' if failed else 'Succeeded'}"} <= set(lines)
    assert ("training gave 0.93" in lines) != failed
    if failed:
        (text,) = (line for line in lines if "displayName" in line)
        assert '\\"displayName\\":\\"train\\"' in text or '"displayName":"train"' in text


def _memo(nodes: Mapping[str, Any], _: list[str], __: str) -> None:
    assert [nodes[name]["memoizationStatus"]["hit"] for name in ("first", "second")] == [False, True]


def _containers(nodes: Mapping[str, Any], lines: list[str], _: str) -> None:
    assert value(nodes, "set", "both") == "left\nright"
    assert lines[-2:] == ["ready", "hello"] or {"ready", "hello"} <= set(lines)


def _child(nodes: Mapping[str, Any], lines: list[str], _: str) -> None:
    assert (value(nodes, "train", "phase"), value(nodes, "train", "score")) == ("Succeeded", "0.3")
    assert "the child scored 0.3" in lines


CHECKS = {
    "conditional-deploy": _conditional,
    "gpu-training": _gpu,
    "ml-training-pipeline": _gate,
    "parallel-training": _ensemble,
    "train-with-retry": _retrained,
    "artifacts": _artifacts,
    "fan-out": _fan_out,
    "hooks": _hooks,
    "memo": _memo,
    "container-set": _containers,
    "child": _child,
}


def test_the_workflow_at_the_top_of_the_page_runs_as_it_stands(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "workflows.md").read_text()
    (manifest,) = re.findall(r"^```yaml\n(apiVersion.+?)^```$", page, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^retrain run (train\.yaml .+)$", page, re.MULTILINE)
    (tmp_path / "train.yaml").write_text(manifest)

    code, workflow, err = workflow_of(tmp_path, shlex.split(command))

    assert code == 0, err
    phases = {name: node["phase"] for name, node in nodes_of(workflow).items()}
    assert phases == dict.fromkeys(["main", "train", *TRIES, "pick"], DONE)
    assert printed(tmp_path) == ["0.998"]


TRIES = ("train(0:0.1)", "train(0:0.1)(0)", "train(1:0.01)", "train(1:0.01)(0)")


def test_what_a_run_remembered_in_a_folder_the_next_one_knows(tmp_path: Path) -> None:
    words = [str(EXAMPLES / "workflows" / "memo.yaml"), "--data", "kept"]
    hits = []
    for _ in range(2):
        code, workflow, err = workflow_of(tmp_path, words)
        assert code == 0, err
        hits.append(nodes_of(workflow)["first"]["memoizationStatus"]["hit"])

    assert hits == [False, True]


def test_two_branches_of_a_question_are_taken_by_the_answer_of_a_person(tmp_path: Path) -> None:
    """The commands of `suspend.yaml`, on a platform: the step waits there for as long as the file lets it."""
    text = (EXAMPLES / "workflows" / "suspend.yaml").read_text()
    template = text.replace("kind: Workflow", "kind: WorkflowTemplate").replace("generateName: suspend-", "name: asks")
    platform = Platform(tmp_path / "platform")
    platform.write("asks.yaml", template.replace('suspend: {duration: "1"}', "suspend: {}"))
    platform.write("binding.yaml", BINDING)
    commands = [shlex.split(c)[1:] for _, c in headers() if c.startswith("retrain runs")]
    with platform:
        platform.post("/api/v1/events/default/any", {})
        platform.wait(lambda: _waits(platform), "the question is asked")
        for words in commands:
            platform.command(*words)
        run = platform.wait(lambda: _over(platform), "the run ends")

    phases = {node["displayName"]: node["phase"] for node in run["status"]["nodes"].values()}
    messages = [node.get("message") for node in run["status"]["nodes"].values()]
    assert (run["status"]["phase"], phases["deploy"], phases["leave"]) == (DONE, DONE, SKIPPED), messages


BINDING = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: any}
spec:
  event: {selector: "true"}
  submit: {workflowTemplateRef: {name: asks}}
"""


def _waits(platform: Platform) -> bool:
    return any(
        node["displayName"] == "ask" and node["phase"] == "Running"
        for run in platform.items("runs")
        for node in platform.get(f"/api/v1/runs/{run['metadata']['name']}")["status"].get("nodes", {}).values()
    )


def _over(platform: Platform) -> dict[str, Any]:
    names = [run["metadata"]["name"] for run in platform.items("runs") if run["status"].get("finishedAt")]
    return platform.get(f"/api/v1/runs/{names[0]}") if names else {}


def test_a_platform_on_the_examples_keeps_their_schedule_and_takes_their_messages(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform")
    for file in sorted((EXAMPLES / "workflows").glob("*.yaml")):
        platform.write(file.name, file.read_text().replace('"0 2 * * *"', '"@every 1s"'))
    with platform:
        platform.post("/api/v1/events/default/labels", {"day": "2026-11-20", "rows": 12})
        platform.post("/api/v1/events/default/labels", {"day": "2026-11-21", "rows": 1200})
        found = platform.wait(lambda: _ended(platform), "both workflows have run")

    labels = [run["metadata"]["labels"] for run in found]
    assert [one["day"] for one in labels if "day" in one] == ["2026-11-21"]
    assert [one["team"] for one in labels if "team" in one] == ["vision"]


def _ended(platform: Platform) -> list[dict[str, Any]]:
    found = [run for run in platform.items("runs") if run["status"].get("phase") == DONE]
    return found if len(found) >= 2 else []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_workflows_lint_without_a_finding_but_what_one_of_them_announces(folder: str) -> None:
    findings = lint([EXAMPLES / folder]).findings

    assert [one.code for one in findings] == (["not-portable"] if folder == "given" else [])
