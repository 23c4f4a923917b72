"""The import contracts are not decoration: an import that goes upstream is caught."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("retrain", "eventsources", "sensors", "triggers", "pipelines", "deploy")


def _contracts(house: Path) -> subprocess.CompletedProcess[str]:
    words = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(
        words, cwd=house, capture_output=True, text=True, env={"PYTHONPATH": str(house), "LANG": "C.UTF-8"}
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the code that a test may spoil."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_house_keeps_its_contracts(house: Path) -> None:
    done = _contracts(house)

    assert done.returncode == 0, done.stdout


UPWARD = {
    "pipelines/upward.py": ("import sensors", "pipelines.upward -> sensors"),
    "pipelines/sideways.py": ("import deploy", "pipelines.sideways -> deploy"),
    "retrain/store/upward.py": ("from retrain import app", "retrain.store.upward -> retrain.app"),
    "retrain/errors.py": ("import retrain.store", "retrain.errors -> retrain.store"),
    "sensors/upward.py": ("import nats", "sensors.upward -> nats"),
    "retrain/clock.py": ("import retrain.events", "retrain.clock -> retrain.events"),
}
"""File, the import that must not be there, and how the contract names it. All in one run: each takes seconds."""


def test_upward_imports_are_caught_and_named(house: Path) -> None:
    for name, (statement, _) in UPWARD.items():
        file = house / name
        code = file.read_text() if file.exists() else ""
        # Behind the docstring and the __future__ import, where an import may stand.
        file.write_text(f"{code}\n{statement}\n")

    done = _contracts(house)

    assert done.returncode == 1
    assert {named for _, named in UPWARD.values() if named not in done.stdout} == set()
