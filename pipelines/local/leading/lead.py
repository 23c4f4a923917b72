"""A leader: one step after the other, each from its start to its end."""

# No pathlib: it is slow to load, and every leader would carry it.
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import select
import signal
import time

from .homes import Homes, claim, put_script
from .output import RESULT_BYTES, Log, Stream, open_streams, write_all
from .record import Ending, write_end
from .root import NoPlace, enter, libc

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to load
    from .root import Order

_UMASK = 0o022
_HASTE_S = 0.004
"""A step that ends so soon is told of once, begun and ended, where the platform does not wait for its start."""
_CLEAR_S = 5.0
_DRAIN_S = 1.0
_PARTIAL_S = 0.5
_REAP_S = 10.0
_PR_SET_CHILD_SUBREAPER = 36


class _Step:
    """The step that this process leads; 0 for none."""

    pid = 0


def reap() -> None:
    """Take ended children off the process table: leaders, or a step's orphans. The step itself is left to be asked."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid != _Step.pid:
            os.waitpid(found.si_pid, os.WNOHANG)


def be_leader(platform: int, boot: bytes) -> None:
    """Lead one step after the other, until the platform has closed the socket. Does not return."""
    try:
        os.setsid()
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        me = b"%s %d %s" % (boot, os.getpid(), start_time())
        homes = Homes()
        while order := _next_order(platform):
            _lead(order, platform, me, homes)
    except ConnectionResetError:
        pass  # the platform has gone
    finally:
        os._exit(0)


class _Teller:
    """What the platform is told of a step: that it began, at once or together with its end, and how it ended."""

    def __init__(self, platform: int, hasty: bool) -> None:
        self._platform = platform
        self._until = time.monotonic() + (_HASTE_S if hasty else 0.0)
        self._begun = b""

    def begun(self, pid: int) -> None:
        self._begun = b"%d\n" % pid

    def pause(self) -> float | None:
        """Seconds until the start has to be told; None once it is."""
        if not self._begun:
            return None
        left = self._until - time.monotonic()
        if left > 0:
            return left
        self._write(b"")
        return None

    def ended(self, record: bytes) -> None:
        self._write(b"E" + record)

    def refused(self, error: OSError) -> None:
        self._begun = b""
        self._write(f"!{error.errno} {error.strerror}\n".encode())

    def _write(self, text: bytes) -> None:
        text, self._begun = self._begun + text, b""
        # The platform may have gone: that is no reason to leave the step alone.
        with contextlib.suppress(OSError):
            os.write(self._platform, text)


def _next_order(platform: int) -> Order | None:
    size = _read_exactly(platform, 4)
    body = _read_exactly(platform, int.from_bytes(size, "little")) if size else b""
    return marshal.loads(body) if body else None  # noqa: S302  # from the platform that has started us


def _read_exactly(descriptor: int, size: int) -> bytes:
    """So many bytes; none if the other side has gone."""
    found = b""
    while len(found) < size:
        more = os.read(descriptor, size - len(found))
        if not more:
            return b""
        found += more
    return found


def _lead(order: Order, platform: int, me: bytes, homes: Homes) -> None:
    """One step, from its start to its end."""
    opened: list[int] = []
    teller = _Teller(platform, order["hasty"])
    try:
        home = homes.open(order, opened)
        log = Log(home, opened)
        ending = Ending(time.time())
        record = claim(home, me + b" %.6f\n" % ending.started, opened) if order["recorded"] else -1
        if order["script"] is not None:
            put_script(home, order["script"])
        streams, watched = _begin(order, record, ending)
        teller.begun(_Step.pid)
        if watched is not None:
            _attend(streams, watched, log, ending, teller)
            if order["capture"]:
                _keep_result(home, streams[0], ending)
            ending.trouble = ending.trouble or log.trouble
        if order["fleeting"] and ending.well and not log.opened:
            homes.spare(order)
        teller.ended(write_end(record, ending))
    except OSError as error:
        teller.refused(error)
    finally:
        _Step.pid = 0
        for descriptor in opened:
            os.close(descriptor)


def _begin(order: Order, record: int, ending: Ending) -> tuple[list[Stream], int | None]:
    """Start the step: where its output comes from, and a descriptor that tells of its end; None if it did not start."""
    streams = open_streams(order["capture"])
    ends = [stream.write_end for stream in streams]
    try:
        _Step.pid = _spawn_in_root(order, ends) if order["layout"] else _spawn(order, ends)
        watched = os.pidfd_open(_Step.pid)
        if record >= 0:
            os.write(record, b"%d\n" % _Step.pid)
    except (OSError, ValueError) as error:
        ending.never_began(_why(error, os.fsdecode(order["argv"][0])))
        for stream in streams:
            os.close(stream.read_end)
        return [], None
    finally:
        for descriptor in ends:
            os.close(descriptor)
    return streams, watched


def _why(error: Exception, program: str) -> str:
    if isinstance(error, NoPlace):
        return error.strerror or ""
    reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return f"fork/exec {program}: {reason}"


def _spawn(order: Order, ends: list[int]) -> int:
    _go_to(order["cwd"])
    os.umask(order["umask"])
    try:
        return os.posix_spawn(
            order["argv"][0],
            order["argv"],
            order["env"],
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, ends[0], 1),
                (os.POSIX_SPAWN_DUP2, ends[-1], 2),
            ],
            setpgroup=0,
            setsigmask=[],
        )
    finally:
        os.umask(_UMASK)
        # Whoever removes the step's directory shall not find us in it.
        os.chdir("/")


def _go_to(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise NoPlace(error.errno, f"working directory {path}: {reason}") from error


def _spawn_in_root(order: Order, ends: list[int]) -> int:
    """The same, in a private root: the fork makes it for itself, and says on a pipe what went wrong."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_step(order, ends, said)
    os.close(said)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    problem = b""
    while more := os.read(heard, 4096):
        problem += more
    os.close(heard)
    if problem:
        os.waitpid(pid, 0)
        number, _, text = problem.decode().partition(" ")
        raise NoPlace(text) if text else OSError(int(number), os.strerror(int(number)))
    return pid


def _become_step(order: Order, ends: list[int], said: int) -> None:
    try:
        os.setpgid(0, 0)
        enter(order["layout"])
        _go_to(order["cwd"])
        null = os.open("/dev/null", os.O_RDONLY)
        for descriptor, number in ((null, 0), (ends[0], 1), (ends[-1], 2)):
            os.dup2(descriptor, number)
        os.umask(order["umask"])
        os.execve(order["argv"][0], order["argv"], order["env"])  # noqa: S606  # the step is an argument list
    except OSError as error:
        text = f" {error.strerror}" if isinstance(error, NoPlace) else ""
        os.write(said, f"{error.errno or 0}{text}".encode())
    except ValueError as error:
        os.write(said, f"{errno.EINVAL} {error}".encode())
    finally:
        os._exit(127)


def _attend(streams: list[Stream], watched: int, log: Log, ending: Ending, teller: _Teller) -> None:
    """Copy what the step prints until it has ended; then end what it left, and take what is still in the pipes."""
    watch = select.epoll()
    watch.register(watched, select.EPOLLIN)
    open_streams = {stream.read_end: stream for stream in streams}
    for stream in streams:
        watch.register(stream.read_end, select.EPOLLIN | (select.EPOLLET if stream.narrow else 0))
    ended = False
    while not ended:
        untold = teller.pause()
        happened = watch.poll(untold or (_PARTIAL_S if log.has_partial() else _REAP_S))
        ended = any(descriptor == watched for descriptor, _ in happened)
        _copy(happened, open_streams, watch, log)
        if not happened and untold is None:
            log.end_partial()
            reap()
    watch.unregister(watched)
    os.close(watched)
    _clear(_Step.pid, ending)
    deadline = time.monotonic() + _DRAIN_S
    while open_streams and (happened := watch.poll(0)) and time.monotonic() < deadline:
        _copy(happened, open_streams, watch, log)
    log.end_partial()
    for descriptor in open_streams:
        os.close(descriptor)
    watch.close()


def _copy(happened: list[tuple[int, int]], streams: dict[int, Stream], watch: select.epoll, log: Log) -> None:
    for descriptor, event in happened:
        stream = streams.get(descriptor)
        if stream is None:
            continue
        if not stream.take(log, hung_up=bool(event & select.EPOLLHUP)):
            watch.unregister(descriptor)
            os.close(descriptor)
            del streams[descriptor]


def _clear(step: int, ending: Ending) -> None:
    """Kill the step's group and its orphans, and note the step's end. They are ours: we are their reaper."""
    with contextlib.suppress(OSError):
        os.killpg(step, signal.SIGKILL)
    _, status, usage = os.wait4(step, 0)
    ending.note(status, usage)
    deadline, pause = time.monotonic() + _CLEAR_S, 0.0005
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if pid:
                ending.add(usage)
                continue
            for child in _children():
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # no pathlib: it is slow to load
            return [int(one) for one in file.read().split()]
    except OSError:
        return []


def _keep_result(home: int, stdout: Stream, ending: Ending) -> None:
    try:
        kept = os.open("stdout.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640, dir_fd=home)
        try:
            write_all(kept, bytes(stdout.tail[-RESULT_BYTES:]))
        finally:
            os.close(kept)
    except OSError as error:
        ending.trouble = f"its result could not be kept: {error.strerror}"


def start_time() -> bytes:
    """This process's start, in clock ticks since the machine's."""
    stat = os.open("/proc/self/stat", os.O_RDONLY)
    try:
        return os.read(stat, 4096).rpartition(b")")[2].split()[19]
    finally:
        os.close(stat)
