"""Servers of which a machine has one: all processes that test on it share it, and the last one ends it.

Whoever uses the server holds a shared lock on a file; a process that is killed loses it. Who leaves and can have the
lock alone is the last: it ends the server, if a test has started it. One that a person has started stays.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LIMIT_S = 300


@dataclass(frozen=True)
class Shared:
    """A server by its script, which knows `start`, `running` and `stop`. `home` is where it keeps itself.

    `mark` begins the names of our files there, where two servers have one home.
    """

    script: Path
    home: Path
    mark: str = ""

    @contextmanager
    def used(self) -> Generator[None]:
        """It runs for as long as the block lasts, and longer where others use it."""
        with (self.home / f"{self.mark}tests.users").open("a") as users:
            with self._alone():
                self._start()
                fcntl.flock(users, fcntl.LOCK_SH)
            try:
                yield
            finally:
                fcntl.flock(users, fcntl.LOCK_UN)
                with self._alone():
                    self._leave(users)

    def run(self, verb: str) -> subprocess.CompletedProcess[str]:
        words = ["bash", str(self.script), verb]
        return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Nobody else starts or ends it meanwhile."""
        with (self.home / f"{self.mark}tests.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self) -> None:
        if self.run("running").returncode == 0:
            return
        self._ours.touch()
        done = self.run("start")
        if done.returncode != 0:
            self.run("stop")
            self._ours.unlink()
            raise RuntimeError(f"{self.script} start: {done.stderr[-2000:]}")

    def _leave(self, users: IO[str]) -> None:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if self._ours.exists():
            self.run("stop")
            self._ours.unlink()

    @property
    def _ours(self) -> Path:
        """There while a server runs that a test has started."""
        return self.home / f"{self.mark}tests.started"
