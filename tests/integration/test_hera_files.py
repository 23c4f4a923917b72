"""Workflows written with Hera run as they are: `retrain run pipeline.py`, with the outputs that a cluster would give.

The files are in the style of Hera's own examples; each shows another part of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retrain.app.projects.lint import lint
from retrain.app.projects.python_files import manifests_of
from retrain.errors import ConfigError

pytestmark = pytest.mark.slow  # each is a command of its own

MAIN = "import sys; from retrain.cli import main; main()"
ROOT = Path(__file__).parents[2]
HERA = ROOT / "tests" / "data" / "hera"

EXPECTED: dict[str, dict[str, Any]] = {
    # display name of a node: its phase, and what it gave
    "hello_steps": {"first": "Succeeded", "left": "Succeeded", "right": "Succeeded"},
    "diamond": {"A": "Succeeded", "B": {"result": "B"}, "C": {"result": "C"}, "D": "Succeeded"},
    "inline_scripts": {"numbers": {"result": "[0, 1, 4, 9]"}, "total": "Succeeded"},
    "runner_artifacts": {
        "prepare": {"mean": "2.0", "artifacts": ["table"]},
        "summarise": {"summary": "5 rows, mean 2.0", "artifacts": ["report"]},
        "show": "Succeeded",
    },
    "loops": {
        "fixed(0:0.5)": "Succeeded",
        "fixed(1:0.25)": "Succeeded",
        "tried(0:depth:2,lr:0.1)": {"result": "12"},
        "tried(1:depth:3,lr:0.01)": {"result": "4"},
        "best": "Succeeded",
    },
    "conditions": {
        "accuracy": {"result": "0.91"},
        "deploy": "Succeeded",
        "tell": "Skipped",
        "attempt": "Failed",
        "repair": "Succeeded",
        "celebrate": "Omitted",
        "always": "Succeeded",
    },
    "retries": {"(0)": "Failed", "(1)": "Failed", "(2)": "Succeeded"},
    "suspends": {"pause": "Succeeded", "ask": {"approve": "no"}, "say": "Succeeded"},
    "container_set": {"a": "Succeeded", "b": "Succeeded", "main": "Succeeded", "together": {"text": "abc"}},
    "volumes": {"nothing": "Succeeded", "write": "Succeeded", "read": "Succeeded"},
    "typed_io": {"train": {"score": "4.0", "artifacts": ["weights"]}, "judge": "Succeeded"},
    "exits": {"make": {"artifacts": ["text"]}, "take": "Failed", ".onExit": "Succeeded"},
    "helped": {"double": "Succeeded"},
}
PRINTED = {
    "hello_steps": ["hello world", "hello moon", "hello nobody"],
    "diamond": ["D after B and C"],
    "inline_scripts": ["sum=14 7"],
    "runner_artifacts": ["5/2.0"],
    "loops": ["12"],
    "conditions": ["repaired", "ended"],
    "retries": ["attempt 2"],
    "suspends": ["no"],
    "container_set": ["abc"],
    "volumes": ["kept"],
    "typed_io": ["4.0 of 2"],
    "exits": ["a model", "it ended Failed"],
    "helped": ["42"],
}


def run(place: Path, *words: str | Path) -> tuple[int, str, str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}
    argv = [sys.executable, "-c", MAIN, "run", *map(str, words)]
    done = subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def short(node: dict[str, Any], workflow: str) -> str:
    """A node's display name, without the name that the workflow drew."""
    return str(node["displayName"]).removeprefix(workflow)


def given(node: dict[str, Any]) -> dict[str, Any]:
    outputs = node.get("outputs") or {}
    found = {p["name"]: p.get("value") for p in outputs.get("parameters") or ()}
    names = [a["name"] for a in outputs.get("artifacts") or ()]
    result = {"result": outputs["result"]} if "result" in outputs else {}
    return {**found, **result, **({"artifacts": names} if names else {})}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_workflow_of_hera_runs_as_it_is(name: str, tmp_path: Path) -> None:
    code, out, err = run(tmp_path, HERA / f"{name}.py", "--keep", "-o", "json")
    assert out, err
    workflow = json.loads(out)
    nodes = {short(node, workflow["metadata"]["name"]): node for node in workflow["status"]["nodes"].values()}

    assert (code, workflow["status"]["phase"]) == ((1, "Failed") if name == "exits" else (0, "Succeeded")), err
    for display, expected in EXPECTED[name].items():
        if isinstance(expected, str):
            assert (display, nodes[display]["phase"]) == (display, expected)
        else:
            assert (display, nodes[display]["phase"]) == (display, "Succeeded")
            assert given(nodes[display]).items() >= expected.items()
    logs = "".join(log.read_text() for log in tmp_path.rglob("main.log"))
    printed = [line.split(" ", 3)[3] for line in logs.splitlines()]
    assert set(PRINTED[name]) <= set(printed)


def test_templates_of_the_file_are_there_for_its_workflows(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, HERA / "templates.py", "--keep", "-o", "name")

    assert (code, [name.rpartition("-")[0] for name in out.split()]) == (0, ["takes", "whole"]), err
    logs = "".join(log.read_text() for log in tmp_path.rglob("main.log"))
    assert sorted(line.split(" ", 3)[3] for line in logs.splitlines()) == ["TAKEN", "WHOLE"]


def test_parameters_of_the_command_line_go_over_those_of_the_file(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, HERA / "helped.py", "-p", "n=4", "--name", "mine", "--keep", "-o", "json")

    assert (code, json.loads(out)["metadata"]["name"]) == (0, "mine"), err
    (log,) = tmp_path.rglob("main.log")
    assert log.read_text().split()[-1] == "8"


def test_a_schedule_of_hera_is_a_manifest_that_lints(tmp_path: Path) -> None:
    (manifest,) = manifests_of(HERA / "nightly.py")
    (tmp_path / "nightly.yaml").write_text(json.dumps(manifest))

    report = lint([tmp_path])

    assert manifest["kind"] == "CronWorkflow"
    assert [str(one) for one in report.findings if one.severity == "error"] == []


WORKFLOWS = sorted(file for file in HERA.glob("*.py") if file.stem != "helping")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_what_hera_writes_down_lints(file: Path, tmp_path: Path) -> None:
    for number, manifest in enumerate(manifests_of(file)):
        (tmp_path / f"{number}.yaml").write_text(json.dumps(manifest))

    assert [str(one) for one in lint([tmp_path]).findings if one.severity == "error"] == []


def test_only_what_a_file_submits_is_run(tmp_path: Path) -> None:
    """A file may build workflows that it keeps to itself; templates beside those that it submits are taken always."""
    source = """
from hera.workflows import ClusterWorkflowTemplate, Container, Workflow

def built(kind, name):
    with kind(name=name, entrypoint="m") as w:
        Container(name="m", image="busybox:1", command=["true"])
    return w

built(Workflow, "tried")
built(ClusterWorkflowTemplate, "library")
built(Workflow, "meant").create(wait=True)
"""
    (tmp_path / "pipeline.py").write_text(source)

    names = [manifest["metadata"]["name"] for manifest in manifests_of(tmp_path / "pipeline.py")]

    assert names == ["library", "meant"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n", "it defines no hera.workflows.Workflow"),
        ("raise ValueError('no data')\n", "ValueError: no data"),
        ("import sys; sys.exit('wrong')\n", "wrong"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_a_file_that_defines_no_workflow_says_so(source: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.py"
    file.write_text(source)

    with pytest.raises(ConfigError, match=message):
        manifests_of(file)


def test_a_program_is_never_run_unless_it_is_named(tmp_path: Path) -> None:
    """Neither `lint` nor a folder of manifests runs a Python file that lies there."""
    (tmp_path / "pipeline.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (tmp_path / "w.yaml").write_text(
        "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {name: w}, spec: {entrypoint: m,"
        " templates: [{name: m, container: {image: 'busybox:1', command: ['true']}}]}}"
    )

    lint([tmp_path])
    code, _, err = run(tmp_path, tmp_path / "w.yaml", "--with", tmp_path)

    assert code == 0, err
    assert not (tmp_path / "ran").exists()
