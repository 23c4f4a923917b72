"""A real server for tests, run by its script in this folder: started, killed, started again on the same port and data.

`NAME.sh install` puts it on the machine once, `NAME.sh start PORT DATADIR ...` runs it in the foreground. Tests that
find none skip and say why; where CI is true they fail.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.launch import absent, free_port, wait_until

SCRIPTS = Path(__file__).parent
END_S = 20.0


def cache() -> Path:
    """Where the scripts keep what they have built or fetched."""
    given = os.environ.get("RETRAIN_SERVERS")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else (Path(base) if base else Path.home() / ".cache") / "retrain-servers"


@dataclass
class Program:
    """One server. `words` follow PORT and DATADIR in the script's call; `env` adds to its environment.

    It is ready when `health` (a path) answers 200 over HTTP, or, where that is empty, when the port accepts.
    """

    name: str
    data: Path
    port: int = field(default_factory=free_port)
    words: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    health: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that was started; the script has become the server where that is one process."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def output(self) -> Path:
        """What it has printed."""
        return self.data.with_name(f"{self.data.name}.log")

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        assert self._process is None, f"{self.name} runs already"
        self.data.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                ["bash", str(SCRIPTS / f"{self.name}.sh"), "start", str(self.port), str(self.data), *self.words],
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(self._ready, f"{self.name} on {self.port}")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a power cut would: at once, with all its children."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it stand still, with its connections open, as a network that swallows everything would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # The one that listened may be a child, which is gone a moment later.
        wait_until(lambda: not accepts(self.port), f"the end of {self.name} on {self.port}")

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = self.output.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended at its start with {self._process.returncode}: {said}")
        return self._healthy() if self.health else accepts(self.port)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}{self.health}", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(program: Program, *, there: bool, how: str) -> Generator[Program]:
    """The program for as long as the block lasts. `there`: whether the machine has it; `how` says how to get it."""
    if not there:
        absent(f"no {program.name} on this machine: {how}")
    program.start()
    try:
        yield program
    finally:
        program.kill()
