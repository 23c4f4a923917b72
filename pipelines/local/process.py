"""A step as a process: started, found again after a restart of the platform, and ended with all that it left behind.

Every step is led by a tiny `sh`: the leader of its own session and process group. It writes who it is (`pid`), runs the
step's argument list as it is (nothing of it is ever read as shell text), and writes the exit code (`exit`). So both
outlive a `kill -9` of the platform: a step is never started twice, and one that ended meanwhile is not run again. The
leader costs 0.4 ms beside the 0.4 ms of a bare spawn.

    home/pid       "<boot id> <the leader's /proc/PID/stat>"; made with O_EXCL, so the first leader of a home wins
    home/exit      "<exit code>\n"; 128 + n after signal n
    home/code      the same before all of stdout is on disk, only where a result is wanted
    home/main.log    stdout and stderr in the order of writing
    home/stdout.log  stdout alone, only where a result is wanted
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anyio
import anyio.to_thread

MARKER = "RETRAIN_NODE"
"""The environment variable by which processes of a step are found that left its process group."""
RUN_MARKER = "RETRAIN_RUN_MARK"
"""The same for all processes of a run."""
LEADER_FAILED = 125
"""The leader's own exit code where it could not begin, or came second."""

_SHELL = "/bin/sh"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LAST_LOOK_S = 5.0

# $1 is home, $2 the working directory, then pairs of bind mounts up to "--", then the step's own arguments.
# The leader catches the signals that stop the step, so that it can still write the exit code.
_LEAD = """
set -C
read -r _rt_stat < /proc/$$/stat && read -r _rt_boot < /proc/sys/kernel/random/boot_id || exit 125
echo "$_rt_boot $_rt_stat" > "$1/pid" || exit 125
set +C
trap : TERM INT HUP QUIT
_rt_home=$1 _rt_cwd=$2
shift 2
while [ "$1" != -- ]; do mount --rbind -- "$1" "$2" || exit 125; shift 2; done
shift
cd -- "$_rt_cwd" || exit 125
unset OLDPWD
"""
_PLAIN = """
"$@"
echo $? > "$_rt_home/exit"
"""
# A background child that keeps stdout open would keep tee waiting: the group is told to end once the step has. tee
# must be deaf to that from its first moment, so what it inherits says so. The exit code counts once all of stdout is
# on disk: if tee is killed before, or the leader is, the step is lost, and does not succeed with half a result.
_CAPTURE = """
trap '' TERM INT HUP QUIT
{ { trap : TERM INT HUP QUIT; "$@" 2>&3 3>&-; echo $? > "$_rt_home/code"; kill -TERM 0; } |
  exec tee "$_rt_home/stdout.log" >&3; } 3>&1 &&
  read -r _rt_code < "$_rt_home/code" && echo "$_rt_code" > "$_rt_home/exit"
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `argv[0]` is an absolute path; `mounts` are (from, onto) pairs for a mount namespace of its own."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    capture: bool = False
    mounts: tuple[tuple[Path, Path], ...] = ()


@dataclass(frozen=True, slots=True)
class Leader:
    """A step's living leader. `pidfd` becomes readable when it has ended; `child` is False for one found again."""

    pid: int
    pidfd: int
    child: bool

    async def wait(self) -> None:
        """Wait until the leader has ended."""
        await anyio.wait_readable(self.pidfd)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the step's process group; nothing happens if nobody is left."""
        with contextlib.suppress(ProcessLookupError):
            if self.child or not self.ended():
                # Our own child's pid is not given to anyone else before `close` reaps it.
                os.killpg(self.pid, number)

    def ended(self) -> bool:
        """Whether the leader has ended."""
        return _ended(self.pidfd)

    def let_go(self) -> None:
        """Leave the process alone: it runs on, and another platform may `attach` to it."""
        os.close(self.pidfd)

    def close(self) -> None:
        """Kill what is left of the group, and take the ended leader off the process table."""
        self.signal_group(signal.SIGKILL)
        if self.child:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)


def launch(home: Path, command: Command) -> Leader:
    """Start the step of this home. Blocks for about a millisecond: call it on a thread.

    Raises:
        OSError: the arguments are too long, or the machine has no room for a process.
        ValueError: an argument or a variable holds a NUL character or broken text.
    """
    log_path = os.fspath(home / "main.log")
    script = _LEAD + (_CAPTURE if command.capture else _PLAIN)
    binds = [os.fspath(path) for pair in command.mounts for path in pair]
    argv = [_SHELL, "-c", script, "step", os.fspath(home), os.fspath(command.cwd), *binds, "--", *command.argv]
    if command.mounts:
        argv = [*namespace_prefix(), *argv]
    pid = os.posix_spawn(
        argv[0],
        argv,
        dict(command.env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # Python ignores SIGPIPE and SIGXFSZ; a step must not inherit that.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
        setsigmask=[],
    )
    return Leader(pid, os.pidfd_open(pid), child=True)


def began(home: Path) -> bool:
    """Whether a leader has ever started in this home."""
    return (home / "pid").exists()


def attach(home: Path) -> Leader | None:
    """The leader of this home if it still runs: the same boot, pid and start time. None if it is gone."""
    try:
        boot, _, stat = (home / "pid").read_text().partition(" ")
        pid, start = _identity(stat)
        pidfd = os.pidfd_open(pid)
    except (OSError, ValueError, IndexError):
        return None
    # The pidfd holds whoever has the number now; the start time says whether that is ours.
    with contextlib.suppress(OSError, ValueError, IndexError):
        now_running = _identity(Path(f"/proc/{pid}/stat").read_text())
        if boot == _boot() and now_running == (pid, start) and not _ended(pidfd):
            return Leader(pid, pidfd, child=False)
    os.close(pidfd)
    return None


def exit_code(home: Path) -> int | None:
    """The exit code that the leader has written; None if it did not come to that."""
    try:
        text = (home / "exit").read_text()
    except FileNotFoundError:
        return None
    return int(text) if text.endswith("\n") else None


async def stop(leader: Leader, node: str, grace_s: float) -> None:
    """End a step: `urge` it, and kill whoever left its group. Returns at its end. Nobody else may be waiting for it."""
    async with anyio.create_task_group() as group:
        group.start_soon(urge, leader, grace_s)
        await leader.wait()
        group.cancel_scope.cancel()
    await clear(leader, node)


async def urge(leader: Leader, grace_s: float) -> None:
    """SIGTERM to the step's group, and SIGKILL after `grace_s`. Cancel it once the leader has ended."""
    leader.signal_group(signal.SIGTERM)
    await anyio.sleep(grace_s)
    leader.signal_group(signal.SIGKILL)


async def clear(leader: Leader, node: str) -> None:
    """Kill what is left of an ended step: its group, and the processes that left the group."""
    leader.signal_group(signal.SIGKILL)
    await anyio.to_thread.run_sync(sweep, MARKER, [node])


def sweep(marker: str, values: Iterable[str]) -> int:
    """Kill every process whose environment has `marker` set to one of `values`; how many there were.

    Finds what `setsid` or a double fork took out of the group. Reads the environment of every process that we may
    see, so it is for ends and not for every step. A process that forks while we look is found by the next round.
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


@cache
def namespace_prefix() -> tuple[str, ...]:
    """The argument list in front of a command that gives it a mount namespace of its own; () where there is none.

    Tried once in each process. Without root a user namespace is made, in which the step sees itself as root.
    """
    options = ("-m",) if os.geteuid() == 0 else ("-Urm",)
    for path in ("/usr/bin/unshare", "/bin/unshare"):
        prefix = (path, *options)
        probe = [*prefix, _SHELL, "-c", "mount --rbind /tmp /tmp"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(probe, capture_output=True, timeout=_LAST_LOOK_S, check=False)
            if done.returncode == 0:
                return prefix
    return ()


def _identity(stat: str) -> tuple[int, int]:
    """(pid, start time in clock ticks since boot) of a /proc/PID/stat line. The name in it may hold blanks and `)`."""
    head, _, tail = stat.rpartition(")")
    return int(head.split()[0]), int(tail.split()[19])


@cache
def _boot() -> str:
    return _BOOT_ID.read_text().strip()


def _ended(pidfd: int) -> bool:
    # Not `select`: it takes no descriptor from 1024 on. True for a zombie too, whose parent may never reap it.
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
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
