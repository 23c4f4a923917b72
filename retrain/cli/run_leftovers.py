"""What a run leaves on the disk, taken away again."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

FEW = 64
"""Steps whose directories are removed at once."""
_REMOVE = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"


def remove(data: Path) -> None:
    """Remove the data directory of a run that is over.

    To remove the directories of a thousand steps can take longer than to run them (a disk that discards freed blocks
    at once), so many of them are left to a process of their own, and the command does not wait for it.
    """
    steps = sum(1 for _ in data.glob("runs/*/*"))
    if steps <= FEW:
        shutil.rmtree(data, ignore_errors=True)
        return
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    words = [sys.executable, "-I", "-S", "-c", _REMOVE, os.fspath(data)]
    os.posix_spawn(words[0], words, {}, file_actions=null, setsid=True)
