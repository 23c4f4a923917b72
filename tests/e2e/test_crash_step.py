"""A step's result is whole or it is none, whenever its leader is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.local import process
from pipelines.local.process import Command
from pipelines.local.spawner import open_spawner
from tests.e2e.platform_driver import LOOK_S, PATIENCE_S

ENV = {"PATH": "/usr/bin:/bin"}


def wait(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(LOOK_S)


def leader_of(home: Path) -> int:
    return int((home / "pid").read_text().split()[1])


async def test_a_step_whose_output_was_not_kept_has_not_ended(tmp_path: Path) -> None:
    """It said its result and ended well, but the result was still on its way: it is lost, and not empty."""
    home, word = tmp_path / "home", tmp_path / "word"
    home.mkdir()
    os.mkfifo(word)
    async with open_spawner() as spawner:
        leader = spawner.launch(home, Command(("/bin/cat", str(word)), ENV, tmp_path, capture=True))
        os.kill(leader_of(home), signal.SIGSTOP)
        word.write_text("s3://models/1\n")
        stat = Path(f"/proc/{leader.pid}/stat")
        wait(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "the step has ended")

        os.kill(leader_of(home), signal.SIGKILL)
        await leader.wait()
        leader.close()

    assert process.ending(home) is None


async def test_a_step_whose_output_is_kept_has_its_exit_code_and_its_result(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    async with open_spawner() as spawner:
        leader = spawner.launch(home, Command(("/bin/echo", "s3://models/1"), ENV, tmp_path, capture=True))
        await leader.wait()
        leader.close()

    ending = process.ending(home)
    assert ending is not None
    assert ending.code == 0
    assert (home / "stdout.log").read_text() == "s3://models/1\n"
