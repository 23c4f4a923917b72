"""A leader's socket, heard on the event loop: an order goes out; later it says that the step began and how it ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import anyio

from pipelines.local.process import Ending, Leader, read_ending

_ANSWER = 8192


class Wire:
    """One leader that is heard by a loop. Only on that loop.

    The loop keeps the descriptor for the leader's whole life: to register and remove it for each wait, as
    `anyio.wait_readable` does, costs as much as all else that a short step needs here.
    """

    def __init__(self, leader: socket.socket) -> None:
        self._socket = leader
        self._loop: asyncio.AbstractEventLoop | None = None
        self._said = bytearray()
        self._gone = False
        self._news: anyio.Event | None = None
        leader.setblocking(False)

    @property
    def usable(self) -> bool:
        """Whether it may get a step: the leader lives, and has nothing left to say."""
        return not self._gone and not self._said

    @property
    def over(self) -> bool:
        """Whether the step has ended, and its end is noted; or the leader is gone."""
        return self._gone or (self._said.startswith(b"E") and self._said.endswith(b"\n"))

    @property
    def noted(self) -> bool:
        """Whether the leader has said how the step ended."""
        return self.over and not self._gone

    @property
    def ending(self) -> Ending | None:
        """How the step ended; None if the leader did not come to say it."""
        return read_ending(bytes(self._said[1:])) if self._said.startswith(b"E") else None

    async def lead(self, order: bytes, give_back: Callable[[bool], None]) -> Leader:
        """Have the leader start a step. Returns when that has begun, or has ended already.

        Raises:
            OSError: the leader's refusal.
            EOFError, BrokenPipeError, ConnectionResetError: it is gone.
        """
        self._listen()
        # An order that is out is seen to its answer: nobody else could know what became of it.
        with anyio.CancelScope(shield=True):
            await self._send(order)
            while b"\n" not in self._said and not self._gone:
                await self._more()
        line, end, _ = self._said.partition(b"\n")
        if not end:
            raise EOFError
        answer = line.decode()
        del self._said[: len(line) + 1]
        if answer.startswith("!"):
            number, _, text = answer[1:].partition(" ")
            raise OSError(int(number), text)
        return Leader(int(answer), self._socket.fileno(), give_back, line=self)

    async def end(self) -> None:
        """Wait until it is `over`."""
        while not self.over:
            await self._more()

    def forget(self) -> None:
        """The step's end is known: the leader may get another one."""
        self._said.clear()

    def close(self) -> None:
        """Let go of the leader: it sees its step to the end, and goes."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._loop = None
        self._gone = True
        self._socket.close()

    def _listen(self) -> None:
        # Not by anyio, which has no descriptor that stays registered.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            loop.add_reader(self._socket.fileno(), self._hear)
            self._loop = loop

    def _hear(self) -> None:
        try:
            data = self._socket.recv(_ANSWER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._said += data
        if not data:
            self._gone = True
            if self._loop is not None:
                self._loop.remove_reader(self._socket.fileno())
        if self._news is not None:
            self._news.set()

    async def _more(self) -> None:
        self._news = anyio.Event()
        try:
            await self._news.wait()
        finally:
            self._news = None

    async def _send(self, order: bytes) -> None:
        left = memoryview(order)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
