"""`python` is there for steps, whatever this machine calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipelines.local.programs import python_folder


def test_an_interpreter_with_both_names_stays_where_it_is(tmp_path: Path) -> None:
    for name in ("python", "python3"):
        (tmp_path / name).symlink_to(sys.executable)
    assert python_folder(tmp_path / "bin", tmp_path / "python3") == tmp_path


def test_a_machine_that_has_only_python3_gets_python(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    for _ in range(2):
        folder = python_folder(tmp_path / "bin", tmp_path / "python3")
    said = subprocess.run([folder / "python", "-c", "print('here')"], capture_output=True, text=True, check=True)
    assert said.stdout == "here\n"
