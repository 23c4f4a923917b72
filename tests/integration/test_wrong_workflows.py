"""Every wrong workflow of tests/data/wrong_workflows is told what is wrong: by lint, when it is begun, or when it runs.

Each file ends in comments that pin all that is said:

    # expect LINE:COLUMN SEVERITY CODE MESSAGE    of lint, in order; no such line: lint finds nothing
    # expect-refusal MESSAGE                      `retrain run` exits with 2 and this
    # expect-run PHASE MESSAGE                    it runs, and the workflow ends so
    # expect-node NAME PHASE MESSAGE              so does a step of it, by its display name

`PROJECT` in a message is the directory that it runs in. What lint calls an error is not run at all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from retrain.app.projects.lint import lint
from retrain.cli import call

FOLDER = Path(__file__).parents[1] / "data" / "wrong_workflows"
FILES = sorted(FOLDER.glob("*.yaml"))
LONG = {"run-recursion-of-tasks-that-doubles"}
"""Those that take more than a few seconds."""
OWNED = Path("/tmp/retrain-owned")
"""What the archives of some files would write."""
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str


Run = Callable[[Path], Done]


def expected(file: Path, mark: str) -> list[str]:
    start = f"# {mark} "
    return [line.removeprefix(start) for line in file.read_text().splitlines() if line.startswith(start)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place, temporary = tmp_path / "project", tmp_path / "tmp"
    place.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    return place


@pytest.fixture
def run(project: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    def ask(file: Path) -> Done:
        shutil.copy(file, project)
        code = call(["run", file.name, "-o", "json", "--grace", "0.5"])
        return Done(code, *capsys.readouterr())

    yield ask
    assert list((project.parent / "tmp").iterdir()) == [], "a run leaves nothing behind"
    assert at_work(project.parent) == []


def at_work(place: Path) -> list[str]:
    """The processes that still work in a place."""
    return [one.name for one in Path("/proc").iterdir() if one.name.isdecimal() and _works_in(one, place)]


def _works_in(process: Path, place: Path) -> bool:
    try:
        return process.name != str(os.getpid()) and (process / "cwd").readlink().is_relative_to(place)
    except OSError:
        return False


def files(*marks: str) -> list[Any]:
    """The files that have one of these lines."""
    found = [file for file in FILES if any(expected(file, mark) for mark in marks)]
    return [pytest.param(one, id=one.stem, marks=[pytest.mark.slow] if one.stem in LONG else []) for one in found]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_lint_says_what_can_be_seen_before_it_runs(file: Path) -> None:
    found = [
        f"{f.line}:{f.column} {f.severity} {f.code} {f.message}".replace("\n", "\\n") for f in lint([file]).findings
    ]
    assert found == expected(file, "expect")
    assert any(" error " in one for one in found) or expected(file, "expect-refusal") or expected(file, "expect-run")


@pytest.mark.parametrize("file", files("expect-refusal"))
def test_what_cannot_run_here_is_refused_before_anything_starts(file: Path, run: Run) -> None:
    done = run(file)
    assert (done.exit_code, done.stderr.strip().splitlines()) == (
        2,
        [f"error: {one}" for one in expected(file, "expect-refusal")],
    )


@pytest.mark.parametrize("file", files("expect-run"))
def test_what_goes_wrong_when_it_runs_ends_with_a_plain_message(file: Path, run: Run, project: Path) -> None:
    done = run(file)

    status = json.loads(done.stdout)["status"]
    said = f"{status['phase']} {status.get('message', '')}".strip()
    assert [said.replace(str(project), "PROJECT")] == expected(file, "expect-run")
    nodes = [
        f"{one['displayName']} {one['phase']} {one.get('message', '')}".strip() for one in status["nodes"].values()
    ]
    assert set(expected(file, "expect-node")) <= set(nodes)
    assert done.exit_code == (0 if status["phase"] == "Succeeded" else 1)
    assert "Traceback" not in done.stderr
    assert not OWNED.exists()


def test_there_are_enough_of_them_and_each_is_of_its_own_kind() -> None:
    assert len(FILES) >= 40
    assert len({file.read_text() for file in FILES}) == len(FILES)


FULL = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: all
  templates:
    - name: all
      steps:
        - [{name: fill, template: fill, continueOn: {failed: true}}]
        - [{name: go-on, template: go-on}]
    - name: fill
      script: {image: "alpine:3", command: [sh], source: "head -c 50000000 /dev/zero > large || { rm large; exit 9; }"}
    - name: go-on
      container: {image: "alpine:3", command: [echo, here]}
"""


def test_a_full_disk_fails_the_step_and_not_the_run(tmp_path: Path) -> None:
    """On a file system of 8 MB, mounted for this process alone."""
    (tmp_path / "w.yaml").write_text(FULL)
    (tmp_path / "small").mkdir()
    call = f"{sys.executable} -c 'from retrain.cli import main; main()' run w.yaml -o json"
    script = f"mount -t tmpfs -o size=8m tmpfs small && TMPDIR=$PWD/small exec {call}"
    probe = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "small")], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip("this machine gives nobody a mount namespace of his own")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip

    status = json.loads(done.stdout)["status"]
    said = {one["displayName"]: (one["phase"], one.get("message")) for one in status["nodes"].values()}
    assert said["fill"] == ("Failed", "main: Error (exit code 9)")
    assert said["go-on"] == ("Succeeded", None)
    assert (done.returncode, status["phase"]) == (0, "Succeeded"), done.stderr
