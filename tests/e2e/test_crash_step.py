"""A step's result is whole or it is none, whichever of the step's processes is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.local import process
from pipelines.local.process import Command
from tests.e2e.platform_driver import LOOK_S, PATIENCE_S


def wait(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(LOOK_S)


def children(pid: int) -> dict[str, int]:
    """The children of a process by name."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return {Path(f"/proc/{one}/comm").read_text().strip(): one for one in found}


@pytest.mark.parametrize("victim", ["tee", "leader"])
async def test_a_step_whose_output_was_not_kept_has_not_ended(tmp_path: Path, victim: str) -> None:
    """It said its result and ended well, but the result was still on its way: it is lost, and not empty."""
    home, word = tmp_path / "home", tmp_path / "word"
    home.mkdir()
    os.mkfifo(word)
    command = Command(("/bin/cat", str(word)), {"PATH": "/usr/bin:/bin"}, tmp_path, capture=True)
    leader = process.launch(home, command)
    try:
        wait(lambda: "tee" in children(leader.pid), "tee runs")
        tee = children(leader.pid)["tee"]
        os.kill(tee, signal.SIGSTOP)
        word.write_text("s3://models/1\n")
        wait(lambda: set(children(leader.pid)) == {"tee"}, "the step has ended")

        os.kill(tee if victim == "tee" else leader.pid, signal.SIGKILL)
        await leader.wait()

        assert process.exit_code(home) is None
    finally:
        leader.close()


async def test_a_step_whose_output_is_kept_has_its_exit_code_and_its_result(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = Command(("/bin/echo", "s3://models/1"), {"PATH": "/usr/bin:/bin"}, tmp_path, capture=True)

    leader = process.launch(home, command)
    await leader.wait()
    leader.close()

    assert process.exit_code(home) == 0
    assert (home / "stdout.log").read_text() == "s3://models/1\n"
