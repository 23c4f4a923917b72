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


@pytest.mark.parametrize(
    ("room", "statement", "named"),
    [
        ("pipelines", "import sensors", "pipelines.upward -> sensors"),
        ("retrain/store", "from retrain import app", "retrain.store.upward -> retrain.app"),
        ("pipelines", "import deploy", "pipelines.upward -> deploy"),
        ("retrain", "import retrain.store", ""),
        ("sensors", "import nats", "sensors.upward -> nats"),
    ],
)
def test_an_upward_import_is_caught_and_named(house: Path, room: str, statement: str, named: str) -> None:
    file = house / room / ("errors.py" if room == "retrain" else "upward.py")
    file.write_text(f"{statement}\n{file.read_text() if file.exists() else ''}")

    done = _contracts(house)

    assert done.returncode == 1
    assert named in done.stdout
