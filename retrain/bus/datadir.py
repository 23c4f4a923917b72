"""One server on one directory: a lock that is held exactly while somebody may write there.

The lock is an flock on a file that the server inherits, so it is held while the owner or its server lives, and the
kernel lets go of it however they die. The file says who: the owner's pid and its start time, since pids come again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import structlog

from retrain.errors import Refused

log = structlog.get_logger()

LOCK = "lock"
GRACE_S = 1.0
"""How long an owner that was told to end, or a server whose owner died, may take to be gone."""

KILL_S = 10.0
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that started the server. `started` is in clock ticks after boot."""

    pid: int
    started: int
    host: str

    def alive(self) -> bool:
        return self.host == socket.gethostname() and _started(self.pid) == self.started


@asynccontextmanager
async def claim(directory: Path, command_mark: str) -> AsyncGenerator[int]:
    """Hold the directory's lock; gives its file descriptor, to be inherited by the server.

    `command_mark` is an argument that only a server on this directory has: one that outlived its owner is known by it,
    and killed.

    Raises:
        Refused: another living process holds it; the message says which.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await _take(descriptor, directory, command_mark)
        pid = os.getpid()
        owner = Owner(pid, _started(pid) or 0, socket.gethostname())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(owner)).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


async def _take(descriptor: int, directory: Path, command_mark: str) -> None:
    # An owner that is just being killed, or is just stopping, looks alive for a moment.
    if await _locked_within(descriptor, GRACE_S):
        return
    owner = _owner(descriptor)
    if owner is not None and owner.alive():
        raise Refused(
            f"{directory}: process {owner.pid} on {owner.host} runs a bus there. Stop it, or use another data directory"
        )
    for pid in servers(command_mark):
        log.warning("bus.leftover_killed", pid=pid, directory=str(directory))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    if not await _locked_within(descriptor, KILL_S):
        raise Refused(
            f"{directory}: its lock is held, last by {_owner(descriptor)}, and no server to end is found here"
        )


async def _locked_within(descriptor: int, timeout_s: float) -> bool:
    with anyio.move_on_after(timeout_s):
        while not _locked(descriptor):  # noqa: ASYNC110 - a lock tells nobody that it is free
            await anyio.sleep(POLL_S)
        return True
    return False


def servers(command_mark: str) -> Iterator[int]:
    """Pids of living nats-servers that were started with this argument."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if Path(os.fsdecode(arguments[0])).name == "nats-server" and os.fsencode(command_mark) in arguments:
                    yield int(entry.name)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> Owner | None:
    try:
        return Owner(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):  # being written just now, or by an older version
        return None


def _started(pid: int) -> int | None:
    """When a process started; None if there is none, or only its remains."""
    try:
        # The name in parentheses may hold anything, parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])
