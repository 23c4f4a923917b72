"""A step as a process: found again after a restart of the platform, watched, and ended with all that it left behind.

Every step has a leader (`leader.py`), a small process: it notes who it is, starts the step in a process group of its
own (nothing of its arguments is ever read as shell text), copies what it prints to the log with the time, and notes how
it ended. So both outlive a `kill -9` of the platform: a step is never started twice, and one
that ended meanwhile is not run again.

    home/pid         "<boot id> <pid> <start time> <time of day>" of the leader, made with O_EXCL: the first leader of
                     a home wins; then a line with the pid of the step, which is its process group; then blanks, and
                     from byte 512 on how it ended, JSON, see `Ending`: the room is taken before the step begins
    home/main.log    what the step prints, see `logs.py`; not there before it has printed anything
    home/stdout.log  the last 256 KiB of stdout alone, only where a result is wanted; there before its end is noted
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

from pipelines.local.leading.record import END_AT, RECORD_ROOM
from pipelines.local.mounts import Layout

MARKER = "RETRAIN_NODE"
"""The environment variable by which processes of a step are found whose leader was killed."""
RUN_MARKER = "RETRAIN_RUN_MARK"
"""The same for all processes of a run."""

_NOTING_S = 0.005
"""How often to look whether the leader of a step that has ended, found again, has noted that."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `argv[0]` is an absolute path, and `cwd` a directory, as the step sees them.

    `layout` is the private root to make; None starts the step on the host's tree. `umask` is the step's. `makes`:
    names of directories that the leader makes in the home first, and the home too; `script`: what it writes there.
    Without `recorded` nobody finds the step after this process; `fleeting`: nobody looks into its home if it ended well
    and left nothing there.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    capture: bool = False
    layout: Layout | None = None
    umask: int = 0o022
    makes: tuple[str, ...] = ()
    script: bytes | None = None
    recorded: bool = True
    fleeting: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a step ended, as its leader noted it.

    code: 128 + n after signal n; 64 for a program that could not be started.
    began: whether the program was started.
    cpu_s, peak_bytes: of the step with all that it started; the peak is that of the largest of them, and at least what
    the leader itself weighed when it started the step (about 10 MB).
    trouble: why it could not be started, or what of its output was lost (the disk was full).
    """

    code: int
    signal: int | None
    began: bool
    started: datetime
    finished: datetime
    cpu_s: float
    peak_bytes: int
    trouble: str


class Line(Protocol):
    """What a leader says of its step, heard on the event loop."""

    @property
    def over(self) -> bool:
        """Whether the step has ended, and its end is noted; or the leader is gone."""
        ...

    @property
    def ending(self) -> Ending | None:
        """How it ended; None if the leader did not come to say it."""
        ...

    async def end(self) -> None:
        """Wait until it is `over`."""
        ...


@dataclass(frozen=True, slots=True)
class Leader:
    """A step's leader. `pid` is the step's, and its process group; 0 if it never began.

    `descriptor` becomes readable when the step has ended, or the leader. `give_back` is called once, with whether the
    step has ended: it closes the descriptor, or keeps the leader for another step. `found` is the home of a step that
    an earlier platform started. Where there is a `line`, that is heard in place of the descriptor.
    """

    pid: int
    descriptor: int
    give_back: Callable[[bool], None]
    found: Path | None = None
    line: Line | None = None

    async def wait(self) -> None:
        """Wait until the step has ended and its exit is noted, or the leader is gone."""
        if self.line is not None:
            await self.line.end()
            return
        await anyio.wait_readable(self.descriptor)
        while self.found is not None and _notes(self.found):  # noqa: ASYNC110  # another process makes the file
            await anyio.sleep(_NOTING_S)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the step's process group. The leader is not in it, so it lives on to note the end.

        Nothing happens if the step has ended.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.pid and not self.ended():
                os.killpg(self.pid, number)

    def ended(self) -> bool:
        """Whether the step has ended."""
        return self.line.over if self.line is not None else _readable(self.descriptor)

    def let_go(self) -> None:
        """Leave the process alone: it runs on, and another platform may `attach` to it."""
        self.give_back(False)

    def close(self) -> None:
        """Let go of the leader of an ended step. It has killed what the step left, unless it was killed itself (see
        `clear`)."""
        self.give_back(True)


def began(home: Path) -> bool:
    """Whether a leader has ever started in this home."""
    return os.path.exists(f"{home}/pid")  # noqa: PTH110  # for every step: a Path costs more than the look


def attach(home: Path) -> Leader | None:
    """The leader of a step that has not ended: the same boot, pid and start time. None if it is gone.

    One that was killed a moment ago may still be seen; its `wait` returns at once then.
    """
    opened: list[int] = []
    try:
        boot, leader, start, step = _noted(home)
        opened.append(os.pidfd_open(leader))
        if step:
            with contextlib.suppress(ProcessLookupError):
                opened.append(os.pidfd_open(step))
        if not _notes(home) or not _is(boot, leader, start):
            raise ProcessLookupError
    except (OSError, ValueError, IndexError):
        for descriptor in opened:
            os.close(descriptor)
        return None
    either = select.epoll()
    for descriptor in opened:
        either.register(descriptor, select.EPOLLIN)
    return Leader(step, either.fileno(), partial(_close_all, either, opened), found=home)


def _close_all(either: select.epoll, opened: list[int], _ended: bool) -> None:
    either.close()
    for descriptor in opened:
        os.close(descriptor)


def ending(home: Path) -> Ending | None:
    """How the step of this home ended; None if its leader did not come to say it.

    Raises:
        OSError: the record is there and cannot be read.
    """
    try:
        with (home / "pid").open("rb", buffering=0) as file:
            return read_ending(os.pread(file.fileno(), RECORD_ROOM, END_AT))
    except FileNotFoundError:
        return None


def read_ending(record: bytes) -> Ending | None:
    """How a step ended, from what its leader noted; None if that is no ending."""
    if not record.startswith(b"{"):
        return None
    # Read by hand: our own leader wrote it, and pydantic would take longer to load than the step to run.
    try:
        found: dict[str, Any] = json.loads(record.partition(b"\n")[0])
        found |= {name: datetime.fromisoformat(found[name]) for name in ("started", "finished")}
        return Ending(**found)
    except (ValueError, TypeError, KeyError):
        return None


async def stop(leader: Leader, node: str, grace_s: float) -> None:
    """End a step: `urge` it, and kill whoever is left. Returns at its end. Nobody else may be waiting for it."""
    async with anyio.create_task_group() as group:
        group.start_soon(urge, leader, grace_s)
        await leader.wait()
        group.cancel_scope.cancel()
    await clear(node)


async def urge(leader: Leader, grace_s: float) -> None:
    """SIGTERM to the step's group, and SIGKILL after `grace_s`. Cancel it once the leader has ended."""
    leader.signal_group(signal.SIGTERM)
    await anyio.sleep(grace_s)
    leader.signal_group(signal.SIGKILL)


async def clear(node: str) -> None:
    """Kill what is left of a step by its mark. Only for one whose leader may have been killed: others leave nothing."""
    await anyio.to_thread.run_sync(sweep, MARKER, [node])


def sweep(marker: str, values: Iterable[str]) -> int:
    """Kill every process whose environment has `marker` set to one of `values`; how many there were.

    Reads the environment of every process that we may see, so it is for ends and not for every step. A process that
    forks while we look is found by the next round.
    """
    wanted = {f"{marker}={value}".encode() for value in values}
    killed = 0
    for _ in range(10):
        found = [pid for pid in _pids() if not wanted.isdisjoint(_environ(pid))]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed


def began_at(home: Path) -> datetime | None:
    """When the leader of a home started; None if none has."""
    try:
        with (home / "pid").open("rb") as file:
            return datetime.fromtimestamp(float(file.readline().split(b" ")[3]), UTC)
    except OSError:
        return None
    except (ValueError, IndexError):
        return datetime.fromtimestamp((home / "pid").stat().st_mtime, UTC)


def _noted(home: Path) -> tuple[str, int, int, int]:
    """(boot, pid, start time) of the leader of a home, and the pid of its step, 0 if it is not there yet."""
    with (home / "pid").open("rb") as file:
        first, second = file.readline().decode(), file.readline()
    boot, pid, start, _ = first.split(" ")
    return boot, int(pid), int(start), int(second) if second.endswith(b"\n") else 0


def _notes(home: Path) -> bool:
    """Whether a leader has yet to note the end of its step, and lives."""
    try:
        boot, leader, start, _ = _noted(home)
        return ending(home) is None and _is(boot, leader, start)
    except (OSError, ValueError, IndexError):
        return False


def _is(boot: str, pid: int, start: int) -> bool:
    """Whether a process is the one that was noted, and runs. Its name in /proc/PID/stat may hold blanks and `)`."""
    if boot != _boot():
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(state[19]) == start and state[0] not in "ZX"


@cache
def _boot() -> str:
    return _BOOT_ID.read_text().strip()


def _readable(descriptor: int) -> bool:
    # Not `select`: it takes no descriptor from 1024 on.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _pids() -> list[int]:
    return [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and int(path.name) != os.getpid()
    ]


def _environ(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()
