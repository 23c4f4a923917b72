"""Fault points kill, at the pass that was armed, and nowhere else."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retrain import faults
from retrain.errors import ConfigError

SOURCE = """
import sys
from retrain import faults
faults.arm(sys.argv[1])
for i in range(3):
    print(i, flush=True)
    faults.point("runner.after_start")
"""


@pytest.mark.parametrize(
    ("spec", "printed"), [("runner.after_start", "0"), ("runner.after_start:2", "0 1"), ("host.after_commit", "0 1 2")]
)
def test_a_fault_point_kills_at_its_pass(spec: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SOURCE, spec], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == printed.split()
    assert done.returncode == (-signal.SIGKILL if spec.startswith("runner") else 0)


@pytest.mark.parametrize("spec", ["nowhere", "runner.after_start:0", "runner.after_start:x"])
def test_a_wrong_fault_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError):
        faults.arm(spec)
