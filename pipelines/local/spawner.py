"""The spawner, from the platform's side: a small process that forks leaders, and the leaders that wait for a step.

A fork costs what the forking process weighs, so the platform, which is heavy, does not fork. A leader that has seen its
step to the end gets the next one. They are in sessions of their own: Ctrl-C at the terminal does not reach them. The
spawner ends when the platform does, and its leaders when their steps do.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from pipelines.local import cgroups
from pipelines.local.isolation import leading
from pipelines.local.process import Command, Leader
from pipelines.local.wires import Wire
from retrain.errors import ConfigError

_PLATFORM = 3
_GOODBYE = b"."
_ANSWER = 4096
_SPAWNERS = 3
"""How many spawners are started for one leader before it is given up."""
_TRIES = 20
"""How many leaders may die before the step has begun, one after the other."""
_ALL_DEAD = "the processes that lead steps die one after the other"


_IDLE = cgroups.steps()
"""How many leaders without a step are kept."""


class Spawner:
    """Starts steps. Get one from `open_spawner`; any thread may use it, but `lead` is for the event loop."""

    def __init__(self, if_killed: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._if_killed = if_killed
        self._process: _Process | None = None
        self._idle: list[socket.socket] = []
        self._wires: list[Wire] = []
        self._closed = False

    def start(self) -> None:
        """Start the process now, so that the first step need not wait for it."""
        with self._lock:
            if self._process is None:
                self._process = _Process(self._if_killed)

    def launch(self, home: Path, command: Command) -> Leader:
        """Have a leader start the step of this home. Blocks for about a millisecond: call it on a thread.

        Returns when the step's process is there; if its program could not be started, `ending` says why. If leaders or
        the spawner were killed, others take over: the first leader of a home wins, so no step is started twice.

        Raises:
            FileExistsError: this home has, or had, a leader: see `attach` and `ending`.
            OSError: the machine has no room for a process, or the disk none for its files.
            ValueError: an argument or a variable holds a NUL character or broken text.
        """
        order = _order(home, command, hasty=False)
        for _ in range(_TRIES):
            leader = self._take()
            try:
                return self._ask(leader, order)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                # It was killed while it waited, or just now; if it had claimed the home, the next one will say so.
                leader.close()
        raise ChildProcessError(_ALL_DEAD)

    async def lead(self, home: Path, command: Command) -> Leader:
        """The same without a thread, on the event loop; a step that ends at once may have ended when it returns.

        Raises:
            FileExistsError, OSError, ValueError: as `launch`.
        """
        order = _order(home, command, hasty=True)
        for _ in range(_TRIES):
            wire = await self._wire()
            try:
                return await wire.lead(order, partial(self._hang_up, wire))
            except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                wire.close()
                if not command.recorded and os.path.exists(home):  # noqa: ASYNC240, PTH110  # one look at a local disk
                    # It may have begun, and there is no record that would keep the next one from beginning again.
                    raise FileExistsError(home) from error
            except OSError:
                self._keep(wire)
                raise
        raise ChildProcessError(_ALL_DEAD)

    def hang_up(self) -> None:
        """End the leaders that have no step, of those that the event loop hears. On the loop, before `close`."""
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.close()

    async def _wire(self) -> Wire:
        while self._wires:
            wire = self._wires.pop()
            if wire.usable:
                return wire
            wire.close()
        return Wire(await anyio.to_thread.run_sync(self._take))

    def _hang_up(self, wire: Wire, ended: bool) -> None:
        """Keep a leader whose step has ended for the next one; close one that was killed, or is to be let alone."""
        if ended and wire.noted:
            wire.forget()
            self._keep(wire)
        else:
            wire.close()

    def _keep(self, wire: Wire) -> None:
        if self._closed or len(self._wires) >= _IDLE:
            wire.close()
        else:
            self._wires.append(wire)

    def close(self) -> None:
        """End the spawner and the leaders that have no step; the others when theirs has ended."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            process, self._process = self._process, None
        for leader in idle:
            leader.close()
        if process is not None:
            process.close()

    def _take(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            for _ in range(_SPAWNERS):
                if self._process is None:
                    self._process = _Process(self._if_killed)
                try:
                    return self._process.fork()
                except (BrokenPipeError, ConnectionResetError):
                    self._process.close()
                    self._process = None
        raise ChildProcessError("the process that starts steps is killed again and again")

    def _ask(self, leader: socket.socket, order: bytes) -> Leader:
        # libuv, which uvloop waits with, makes what it polls non-blocking for good.
        leader.setblocking(True)
        leader.sendall(order)
        # The end may be behind the answer already, and must stay to be seen.
        answer = b""
        while not answer.endswith(b"\n"):
            seen = leader.recv(_ANSWER, socket.MSG_PEEK)
            if not seen:
                raise EOFError
            answer += leader.recv(seen.find(b"\n") + 1 or len(seen))
        if answer.startswith(b"!"):
            self._give_back(leader)
            number, _, text = answer[1:].decode().strip().partition(" ")
            raise OSError(int(number), text)
        return Leader(int(answer), leader.fileno(), give_back=partial(self._part, leader))

    def _part(self, leader: socket.socket, ended: bool) -> None:
        """Take a leader back whose step has ended; one that was killed, or is to be let alone, is closed."""
        said = b""
        if ended:
            with contextlib.suppress(OSError):
                said = leader.recv(_ANSWER, socket.MSG_DONTWAIT)
        if said.startswith(b"E"):
            self._give_back(leader)
        else:
            leader.close()

    def _give_back(self, leader: socket.socket) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < _IDLE:
                self._idle.append(leader)
                return
        leader.close()


@asynccontextmanager
async def open_spawner(if_killed: Sequence[str] = ()) -> AsyncGenerator[Spawner]:
    """A spawner for the time of the block. Steps that run at its end run on. `if_killed`: the argument list of what is
    to run if this process is gone without having left the block.

    Raises:
        ConfigError: this is not Linux (5.4 or newer): a step could not be found again after a crash.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        raise ConfigError("local steps need Linux 5.4 or newer: their leaders are found by pidfd and /proc")
    spawner = Spawner(if_killed)
    try:
        await anyio.to_thread.run_sync(spawner.start)
        yield spawner
    finally:
        with anyio.CancelScope(shield=True):
            spawner.hang_up()
            await anyio.to_thread.run_sync(spawner.close)


class _Process:
    """One spawner process, and the socket to it."""

    def __init__(self, if_killed: Sequence[str]) -> None:
        self._socket, other = socket.socketpair()
        words = [*leading("serve"), *if_killed]
        spare = max(other.fileno(), _PLATFORM) + 1
        try:
            self._pid = os.posix_spawn(
                words[0],
                words,
                {"PATH": "/usr/bin:/bin"},
                file_actions=[
                    # By way of a spare number: a descriptor that is put onto itself stays closed on exec.
                    (os.POSIX_SPAWN_DUP2, other.fileno(), spare),
                    (os.POSIX_SPAWN_DUP2, spare, _PLATFORM),
                    (os.POSIX_SPAWN_CLOSE, spare),
                    *((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)),
                ],
                setsid=True,
                setsigmask=[],
            )
        finally:
            other.close()

    def fork(self) -> socket.socket:
        """A new leader's socket.

        Raises:
            BrokenPipeError, ConnectionResetError: the spawner was killed.
        """
        mine, other = socket.socketpair()
        with other:
            try:
                socket.send_fds(self._socket, [b"+"], [other.fileno()])
            except OSError:
                mine.close()
                raise
        return mine

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.send(_GOODBYE)
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _order(home: Path, command: Command, *, hasty: bool) -> bytes:
    argv, env = tuple(command.argv), dict(command.env)
    _check((*argv, *env, *env.values()))
    body = marshal.dumps(
        {
            "home": os.fspath(home),
            "argv": argv,
            "env": env,
            "cwd": os.fspath(command.cwd),
            "capture": command.capture,
            "umask": command.umask,
            "layout": command.layout.plain() if command.layout else None,
            "makes": command.makes,
            "script": command.script,
            "recorded": command.recorded,
            "fleeting": command.fleeting,
            "hasty": hasty,
        }
    )
    return len(body).to_bytes(4, "little") + body


def _check(texts: Sequence[str]) -> None:
    # All at once: the leader encodes them, who is a process of its own.
    if os.fsencode("".join(texts)).find(b"\0") >= 0:
        raise ValueError("embedded null byte")
