"""jq and Lua run in a process of their own, which may neither take long, nor take much, nor reach anything.

    program = Program("jq", "{a: .b}")
    sandbox = shared()
    sandbox.check(program)                                # raises SandboxError if it cannot be compiled
    sandbox.run(program, "transform", '{"b": 1}')         # '{"a":1}'

One worker for a process of the platform, started with the first program. It has no environment, no files, no processes
to start, a limit of memory, and for each call a limit of computing time (not of time on the wall: a busy machine must
not change what a sensor decides). A call that goes over a limit ends the worker and fails; the next call starts a new
one, which is sent the programs again. Calls from many threads take turns.

`sandbox_worker` says what goes over the pipes.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import IO, Literal, cast

from retrain.errors import ConfigError, Transient
from retrain.log import get_logger

log = get_logger()

MAX_PROGRAM = 64 * 1024
"""Characters."""
MAX_DATA = 64 * 1024 * 1024
"""Bytes of one event."""

_WORKER = Path(__file__).with_name("sandbox_worker.py")
_HEAD = struct.Struct("!IB")
_KEEP = {"jq": b"J", "lua": b"L"}
_RUN = {("jq", "transform"): b"j", ("lua", "filter"): b"f", ("lua", "transform"): b"t"}
_OUT_OF_MEMORY = 77

Act = Literal["filter", "transform"]


class SandboxError(ConfigError):
    """The program cannot be compiled, or failed, or went over a limit."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one worker may take."""

    memory: int = 256 << 20
    """Bytes of address space, Python itself (about 25 MiB) among them. Lua may have half."""
    deadline: float = 1.0
    """Seconds of computing for one call."""
    patience: float = 10.0
    """Seconds on the wall for one call: longer than `deadline`, for a machine that is busy or asleep."""
    result: int = 1 << 20
    """Bytes of what a call gives back."""
    start: float = 30.0
    """Seconds on the wall until a new worker is ready. It takes 0.1 s on a quiet machine."""


@dataclass(frozen=True, slots=True)
class Program:
    """A text in one of the two languages, and its name in the worker."""

    language: Literal["jq", "lua"]
    text: str
    digest: bytes

    @classmethod
    def of(cls, language: Literal["jq", "lua"], text: str) -> Program:
        """Raises SandboxError for a text that is too long or that UTF-8 cannot hold."""
        if len(text) > MAX_PROGRAM:
            raise SandboxError(f"the program has {len(text)} characters: more than {MAX_PROGRAM}")
        try:
            return cls(language, text, sha256(_KEEP[language] + text.encode()).digest())
        except UnicodeEncodeError as error:
            raise SandboxError(f"the program has half a character at offset {error.start}") from None


class _Died(Exception):
    """The worker is gone; `why` if its call is to blame beyond doubt, else a new worker may try."""

    def __init__(self, why: str | None = None) -> None:
        super().__init__(why)
        self.why = why


class Sandbox:
    """One worker at a time, and the lock before it."""

    def __init__(self, limits: SandboxLimits | None = None) -> None:
        self.limits = limits or SandboxLimits()
        self._lock = Lock()
        self._worker: _Worker | None = None

    @property
    def pid(self) -> int | None:
        """Of the worker that is there now."""
        return self._worker.process.pid if self._worker else None

    def check(self, program: Program) -> None:
        """Compile it.

        Raises:
            SandboxError: it cannot be; the message has line and reason.
            Transient: no worker can be started.
        """
        self._call(program, _KEEP[program.language], program.text.encode())

    def run(self, program: Program, act: Act, data: str) -> str:
        """The answer to `data`, which is JSON text. A filter says "true" or nothing, a transform JSON text.

        Raises:
            SandboxError: the program failed on this data or went over a limit.
            Transient: no worker can be started.
        """
        body = program.digest + data.encode("utf-8", "surrogatepass")
        if len(body) > MAX_DATA:
            raise SandboxError(f"the event's data has {len(body)} bytes: more than {MAX_DATA}")
        return self._call(program, _RUN[program.language, act], body)

    def close(self) -> None:
        """End the worker. The next call starts another."""
        with self._lock:
            self._drop()

    def forget(self) -> None:
        """In a child by fork: the worker is the parent's, and its pipes are not to be written to by two."""
        self._lock = Lock()
        worker, self._worker = self._worker, None
        if worker:
            worker.leave()

    def _call(self, program: Program, what: bytes, body: bytes) -> str:
        with self._lock:
            try:
                return self._once(program, what, body)
            except _Died as died:
                if died.why:
                    raise SandboxError(died.why) from None
            try:
                # It was an older worker: it may have been killed from outside, or by what earlier calls left behind.
                return self._once(program, what, body)
            except _Died as died:
                raise SandboxError(died.why or "the process that ran it was killed from outside") from None

    def _once(self, program: Program, what: bytes, body: bytes) -> str:
        fresh = self._worker is None
        worker = self._worker = self._worker or _Worker(self.limits)
        try:
            status, out = worker.ask(what, body)
            if status == b"n":
                status, out = worker.ask(_KEEP[program.language], program.text.encode())
                if status == b"o":
                    status, out = worker.ask(what, body)
        except BaseException as error:
            self._drop()
            if not isinstance(error, OSError | EOFError | TimeoutError):
                raise
            why = self._why(worker, error)
            log.warning("sandbox.worker_lost", reason=why, language=program.language, code=worker.process.returncode)
            raise _Died(why if fresh or isinstance(error, TimeoutError) or worker.timed_out else None) from None
        if status != b"o":
            raise SandboxError(out.decode("utf-8", "replace"))
        return out.decode()

    def _why(self, worker: _Worker, error: BaseException) -> str:
        limits = self.limits
        if worker.timed_out:
            return f"it computed for more than {limits.deadline:g} s and was stopped"
        if isinstance(error, TimeoutError):
            return f"it gave no answer within {limits.patience:g} s and was stopped"
        if worker.process.returncode in (_OUT_OF_MEMORY, -signal.SIGABRT):
            return f"it took more than {limits.memory >> 20} MiB of memory and was stopped"
        return f"its process crashed (code {worker.process.returncode}): it is nested too deep, or took too much memory"

    def _drop(self) -> None:
        worker, self._worker = self._worker, None
        if worker:
            worker.end()


class _Worker:
    """A process and its two pipes. Not for two threads at a time."""

    def __init__(self, limits: SandboxLimits) -> None:
        """Raises Transient if it does not start."""
        self._patience = limits.patience
        self._result = limits.result
        try:
            self.process = subprocess.Popen(
                _command(limits),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the platform, which then ends the worker
            )
        except OSError as error:
            raise Transient(f"the sandbox for jq and Lua does not start: {error}") from error
        self._in = cast("IO[bytes]", self.process.stdin)
        self._out = cast("IO[bytes]", self.process.stdout)
        os.set_blocking(self._in.fileno(), False)
        try:
            self._receive(time.monotonic() + limits.start)
        except (OSError, EOFError, TimeoutError) as error:
            self.end()
            code = self.process.returncode
            raise Transient(f"the sandbox for jq and Lua does not start: its process ended with {code}") from error

    @property
    def timed_out(self) -> bool:
        """Whether the kernel ended it because it computed for too long."""
        return self.process.returncode == -signal.SIGPROF

    def ask(self, what: bytes, body: bytes) -> tuple[bytes, bytes]:
        """One frame there, one frame back.

        Raises:
            OSError, EOFError: it is gone.
            TimeoutError: it did not answer in time.
        """
        until = time.monotonic() + self._patience
        self._send(_HEAD.pack(len(body), what[0]) + body, until)
        return self._receive(until)

    def end(self) -> None:
        """Close its pipes, see whether it goes by itself, and kill it if not."""
        self._in.close()
        self._out.close()
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def leave(self) -> None:
        """Close our ends of the pipes; the process goes on."""
        self._in.close()
        self._out.close()
        self.process.returncode = 0  # or else Popen would warn that nobody waited for it

    def _send(self, data: bytes, until: float) -> None:
        view = memoryview(data)
        while True:
            with suppress(BlockingIOError):
                view = view[os.write(self._in.fileno(), view) :]
            if not view:
                return
            _wait(self._in.fileno(), select.POLLOUT, until)

    def _receive(self, until: float) -> tuple[bytes, bytes]:
        data = b""
        size = _HEAD.size
        while len(data) < size:
            _wait(self._out.fileno(), select.POLLIN, until)
            some = os.read(self._out.fileno(), max(size - len(data), 65536))
            if not some:
                raise EOFError
            data += some
            if size == _HEAD.size <= len(data):
                size += min(_HEAD.unpack_from(data)[0], self._result)
        return data[_HEAD.size - 1 : _HEAD.size], data[_HEAD.size : size]


def _wait(fd: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(max(until - time.monotonic(), 0) * 1000):
        raise TimeoutError


def _command(limits: SandboxLimits) -> list[str]:
    """Isolated from environment, user site and `sitecustomize`; it is told where the two bindings are."""
    specs = [find_spec(name) for name in ("jq", "lupa")]
    # A package lies in its folder, a module beside the others.
    origins = [Path(spec.origin).parent for spec in specs if spec and spec.origin]
    paths = [str(origin.parent if (origin / "__init__.py").exists() else origin) for origin in origins]
    settings = {"paths": paths, "memory": limits.memory, "deadline": limits.deadline, "result": limits.result}
    return [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(_WORKER), json.dumps(settings)]


_shared = Sandbox()
atexit.register(_shared.close)
os.register_at_fork(after_in_child=_shared.forget)


def shared() -> Sandbox:
    """The one of this process."""
    return _shared
