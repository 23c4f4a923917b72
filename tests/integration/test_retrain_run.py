"""`retrain run` as its users have it: a command in a terminal or a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow  # each is a command of its own

MAIN = "import sys; from retrain.cli import main; main()"
ROOT = Path(__file__).parents[2]


def workflow(source: str, name: str = "wf", **spec: Any) -> dict[str, Any]:
    template = {"name": "main", "script": {"image": "alpine:3", "command": ["sh"], "source": source}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name} if name else {"generateName": "gen-"},
        "spec": {"entrypoint": "main", "templates": [template], **spec},
    }


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root / "tmp"
        self.tmp.mkdir()
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.tmp)}

    def write(self, name: str, *documents: dict[str, Any]) -> Path:
        path = self.root / name
        path.write_text(yaml.safe_dump_all(documents, allow_unicode=True))
        return path

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", MAIN, "run", *map(str, words)]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, cwd=self.root, env=self.env, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str | Path) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_workflow_that_succeeds_exits_0_and_leaves_nothing(place: Place) -> None:
    file = place.write("w.yaml", workflow("echo hi"))
    code, out, err = place.run(file)
    assert (code, "Succeeded" in out) == (0, True), err
    assert list(place.tmp.iterdir()) == []


def test_a_workflow_that_fails_exits_1_and_shows_the_log(place: Place) -> None:
    code, out, err = place.run(place.write("w.yaml", workflow("echo what went wrong; exit 7")))
    assert code == 1
    assert "main: Error (exit code 7)" in out
    assert "what went wrong" in err


def test_a_workflow_is_checked_with_what_the_command_line_gives_it(place: Place) -> None:
    """As with `argo submit`: what the file leaves open may come with -p, a file of parameters and --labels."""
    arguments = {"parameters": [{"name": "lr"}, {"name": "epochs"}]}
    source = "echo {{workflow.parameters.lr}} {{workflow.parameters.epochs}} {{workflow.labels.team}}"
    file = place.write("w.yaml", workflow(source, arguments=arguments))
    values = place.write("values.yaml", {"epochs": 5})

    code, out, err = place.run(file, "-p", "lr=0.1", "-f", values, "--labels", "team=vision", "-o", "name")
    refused = place.run(file, "-p", "lr=0.1", "--labels", "team=vision")

    assert (code, out) == (0, "wf\n"), err
    assert refused[0] == 2
    assert "spec.arguments.epochs.value or spec.arguments.epochs.valueFrom is required" in refused[2]
    assert "spec.arguments.lr" not in refused[2]


def test_json_is_the_workflow_object_with_argos_status(place: Place) -> None:
    code, out, _ = place.run(place.write("w.yaml", workflow("exit 2")), "-o", "json")
    status = json.loads(out)["status"]
    assert code == 1
    assert status["phase"] == "Failed"
    assert status["nodes"]["wf"]["outputs"]["exitCode"] == "2"
    assert status["startedAt"]
    assert status["finishedAt"]


def test_generated_names_get_five_letters(place: Place) -> None:
    code, out, _ = place.run(place.write("w.yaml", workflow("true", name="")), "-o", "name")
    assert code == 0
    assert len(out.strip()) == len("gen-") + 5
    assert out.startswith("gen-")


def test_parameters_name_and_project_are_passed(place: Place) -> None:
    body = workflow('[ "{{workflow.parameters.a}}" = "x=y" ] && [ -e "$RETRAIN_PROJECT/w.yaml" ]')
    body["spec"]["arguments"] = {"parameters": [{"name": "a", "value": "no"}]}
    code, out, err = place.run(place.write("w.yaml", body), "-p", "a=x=y", "--name", "mine", "-o", "json")
    assert (code, json.loads(out)["metadata"]["name"]) == (0, "mine"), err


def test_templates_and_config_maps_are_loaded_beside(place: Place) -> None:
    template = {"name": "t", "script": {"image": "alpine:3", "command": ["sh"], "source": '[ "$V" = 5 ]'}}
    template["script"]["env"] = [{"name": "V", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]  # type: ignore[index]
    place.write(
        "beside.yaml",
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": "lib"},
            "spec": {"templates": [template]},
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "5"}},
    )
    body = workflow("true")
    step = {"name": "s", "templateRef": {"name": "lib", "template": "t"}}
    body["spec"]["templates"] = [{"name": "main", "steps": [[step]]}]
    code, out, err = place.run(place.write("w.yaml", body), "--with", place.root / "beside.yaml")
    assert code == 0, out + err


def test_several_files_run_in_order(place: Place) -> None:
    files = [place.write(f"{n}.yaml", workflow(f"echo {n} >> $RETRAIN_PROJECT/log", name=f"w{n}")) for n in (2, 1)]
    code, out, _ = place.run(*files, "-o", "name")
    assert (code, out.split()) == (0, ["w2", "w1"])
    assert (place.root / "log").read_text() == "2\n1\n"


@pytest.mark.parametrize(
    "words",
    [["no-such.yaml"], ["empty.yaml"], ["w.yaml", "-p", "novalue"], ["w.yaml", "--name", "Not A Name"], ["bad.yaml"]],
)
def test_bad_input_exits_2_and_runs_nothing(place: Place, words: list[str]) -> None:
    place.write("w.yaml", workflow("touch $RETRAIN_PROJECT/ran"))
    place.write("empty.yaml")
    place.write("bad.yaml", workflow("touch $RETRAIN_PROJECT/ran", entrypoint="nowhere"))
    code, out, err = place.run(*words)
    assert (code, out) == (2, "")
    assert err
    assert not (place.root / "ran").exists()


def test_what_is_not_built_is_refused_by_name(place: Place) -> None:
    body = workflow("true")
    body["spec"]["templates"] = [{"name": "main", "plugin": {"hello": {}}}]
    code, _, err = place.run(place.write("w.yaml", body))
    assert code == 2
    assert "plugin" in err


def test_keep_leaves_the_logs(place: Place) -> None:
    code, _, err = place.run(place.write("w.yaml", workflow("echo kept-line")), "--keep")
    assert code == 0
    (log,) = place.tmp.glob("retrain-kept-*/runs/*/*/main.log")
    assert log.read_text().endswith(" kept-line\n")
    assert "kept:" in err


def test_a_file_of_parameters_labels_and_another_entrypoint_are_passed(place: Place) -> None:
    body = workflow("exit 9")
    source = '[ "{{workflow.parameters.a}}{{workflow.parameters.count}}{{workflow.labels.team}}" = "from-p7vision" ]'
    body["spec"]["templates"].append({**body["spec"]["templates"][0], "name": "other"})
    body["spec"]["templates"][1]["script"] = {"image": "alpine:3", "command": ["sh"], "source": source}
    body["spec"]["arguments"] = {"parameters": [{"name": "a", "value": "no"}, {"name": "count", "value": "no"}]}
    body["metadata"]["labels"] = {"team": "none", "kept": "yes"}
    (place.root / "values.yaml").write_text("a: from-file\ncount: 7\n")
    words = ["-f", "values.yaml", "-p", "a=from-p", "--labels", "team=vision,x=y", "--entrypoint", "other"]
    code, out, err = place.run(place.write("w.yaml", body), *words, "-o", "json")
    assert code == 0, err
    assert json.loads(out)["metadata"]["labels"].items() >= {"team": "vision", "x": "y", "kept": "yes"}.items()


def test_an_image_that_nobody_knows_is_refused_before_anything_runs(place: Place) -> None:
    body = workflow("touch $RETRAIN_PROJECT/ran")
    body["spec"]["templates"][0]["script"]["image"] = "ghcr.io/team/own:1"
    file = place.write("w.yaml", body)
    code, out, err = place.run(file)
    assert (code, out) == (2, "")
    assert "ghcr.io/team/own:1" in err
    assert not (place.root / "ran").exists()
    assert place.run(file, "--any-image")[0] == 0
    assert (place.root / "ran").exists()


def test_a_data_directory_keeps_memos_for_the_next_run(place: Place) -> None:
    body = workflow('echo ran >> "$RETRAIN_PROJECT/log"; echo 7 > /tmp/out', name="")
    memo = {"key": "k", "maxAge": "1h", "cache": {"configMap": {"name": "memos"}}}
    outputs = {"parameters": [{"name": "n", "valueFrom": {"path": "/tmp/out"}}]}
    body["spec"]["templates"][0] |= {"memoize": memo, "outputs": outputs}
    file = place.write("w.yaml", body)
    for _ in range(2):
        code, out, err = place.run(file, "--data", "kept", "-o", "json")
        assert code == 0, err
        (node,) = json.loads(out)["status"]["nodes"].values()
        assert node["outputs"]["parameters"][0]["value"] == "7"
    assert (place.root / "log").read_text() == "ran\n"


def test_slots_of_the_command_line_count(place: Place) -> None:
    body = workflow('[ "$CUDA_VISIBLE_DEVICES" = 0,1 ] || [ "$CUDA_VISIBLE_DEVICES" = 1,0 ]')
    body["spec"]["templates"][0]["script"]["resources"] = {"limits": {"nvidia.com/gpu": 2}}
    file = place.write("w.yaml", body)
    code, _, err = place.run(file, "--gpus", "1")
    assert code == 2
    assert "nvidia.com/gpu" in err
    code, out, err = place.run(file, "--gpus", "2")
    assert code == 0, out + err
    assert place.run(file, "--slots", "nvidia.com/gpu=2,cpu=4")[0] == 0
    assert place.run(file, "--slots", "cpu")[0] == 2


@pytest.mark.parametrize(
    ("output", "holds"),
    [
        ("short", "STEP"),
        ("wide", "RESOURCESDURATION"),
        ("dot", "digraph"),
        ("mermaid", "flowchart LR"),
        ("svg", "<svg"),
        ("gantt", "✔ wf"),
        ("gantt-svg", "<svg"),
    ],
)
def test_the_run_is_printed_as_it_is_asked_for(place: Place, output: str, holds: str) -> None:
    code, out, err = place.run(place.write("w.yaml", workflow("true")), "-o", output)
    assert code == 0, err
    assert holds in out


def test_what_is_piped_has_no_colours_and_plain_letters_where_asked(place: Place) -> None:
    code, out, err = place.run(place.write("w.yaml", workflow("printf '\\033[31mred\\007\\n'; exit 1")), "--no-utf8")
    assert code == 1
    assert (out + err).replace("\n", "").isprintable()
    assert (out + err).isascii()
    assert "Failed wf" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_processes_and_exits_130(place: Place, number: signal.Signals) -> None:
    source = 'setsid sleep 4321 & touch "$RETRAIN_PROJECT/on"; sleep 4321'
    process = place.start(place.write("w.yaml", workflow(source)), "--grace", "1")
    deadline = time.monotonic() + 30
    while not (place.root / "on").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 130
    while _steps_of(place.root):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(place.tmp.iterdir()) == []


def _steps_of(project: Path) -> list[str]:
    wanted = f"RETRAIN_PROJECT={project}".encode()
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if wanted in (path / "environ").read_bytes().split(b"\0"):
                    found.append(path.name)
            except OSError:
                continue
    return found


def test_a_step_that_waits_for_a_person_says_so(place: Place) -> None:
    body = workflow("true")
    body["spec"]["templates"] = [{"name": "main", "suspend": {}}]
    process = place.start(place.write("w.yaml", body), "--grace", "1")
    assert process.stderr is not None
    try:
        assert "wf waits for a person" in process.stderr.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
