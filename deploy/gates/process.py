"""One command in a process of its own: limits, its own group, nothing of our environment, and an end in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from retrain.errors import Permanent

_LAUNCH = """
import os, resource, sys
for name, most in zip(("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_CORE"), map(int, sys.argv[1:5])):
    resource.setrlimit(getattr(resource, name), (most, most))
try:
    os.execvp(sys.argv[5], sys.argv[5:])
except OSError as error:
    print(f"retrain: {sys.argv[5]}: {error.strerror}", file=sys.stderr)
    sys.exit(126 if isinstance(error, PermissionError) else 127)
"""
"""Sets the limits, then becomes the command. Not in `preexec_fn`: that is not safe beside other threads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds on the wall, bytes of address space, bytes of what it may write to one file or say."""

    seconds: float = 60.0
    memory: int = 4 << 30
    output: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went. `code`: as a shell has it, 128 + n for signal n. `peak`: bytes of memory. `late`: it was killed."""

    code: int
    out: bytes
    err: bytes
    seconds: float
    peak: int
    late: bool


async def run(command: Sequence[str], stdin: bytes, folder: Path, env: Mapping[str, str], limits: Limits) -> Ended:
    """Run a command to its end, in `folder`. Whatever it started is killed with it, also when this is cancelled.

    Raises:
        Permanent: it cannot be started.
    """
    with _files(stdin, folder) as (given, out, err):
        process = await anyio.to_thread.run_sync(_start, command, (given, out, err), folder, env, limits)
        began, late = time.monotonic(), True
        try:
            with anyio.move_on_after(limits.seconds):
                await anyio.to_thread.run_sync(_wait, process.pid, abandon_on_cancel=True)
                late = False
        finally:
            code, peak = _reap(process)
        return Ended(code, _said(out, limits.output), _said(err, limits.output), time.monotonic() - began, peak, late)


@contextmanager
def _files(stdin: bytes, folder: Path) -> Generator[tuple[int, int, int]]:
    """Files without names, not pipes: a command that says much, or reads nothing, blocks nobody."""
    with (
        tempfile.TemporaryFile(dir=folder) as given,
        tempfile.TemporaryFile(dir=folder) as out,
        tempfile.TemporaryFile(dir=folder) as err,
    ):
        given.write(stdin)
        given.flush()
        given.seek(0)
        yield given.fileno(), out.fileno(), err.fileno()


def _start(
    command: Sequence[str], streams: tuple[int, int, int], folder: Path, env: Mapping[str, str], limits: Limits
) -> subprocess.Popen[bytes]:
    # Many threads compute for longer than the clock goes on; this limit is for what escapes the kill.
    computing = (int(limits.seconds) + 1) * (os.cpu_count() or 1)
    numbers = (limits.memory, computing, max(limits.output, 1 << 20) * 64, 0)
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, *map(str, numbers), *command]
    own = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder), **env}
    given, out, err = streams
    try:
        return subprocess.Popen(
            launch, stdin=given, stdout=out, stderr=err, cwd=folder, env=own, start_new_session=True, close_fds=True
        )
    except (OSError, ValueError) as error:
        raise Permanent(f"{command[0]} cannot be started: {error}") from error


def _wait(pid: int) -> None:
    """Until it is over, without reaping it: its number stays its own, so that its group can be killed by it."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _reap(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:
        return 255, 0
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    return (code if code >= 0 else 128 - code), usage.ru_maxrss * 1024


def _said(stream: int, most: int) -> bytes:
    """The beginning, and one byte more where there is more."""
    return os.pread(stream, most + 1, 0)
