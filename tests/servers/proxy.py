"""A TCP proxy that spoils connections as networks do: it cuts, tears, delays and half-closes them when a test says so.

It stands between the platform and a server; a test's own client goes to the server directly, so that what was sent is
known. What passes is not looked at. While the server is away, whoever connects is hung up on.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a reset, as when a machine or a router forgets a connection."""

# The last: asyncio's word for writing to what was half-closed a moment ago.
BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, RuntimeError)


@dataclass(eq=False)
class _Pair:
    """One connection: the platform's end and the server's."""

    client: SocketStream
    server: SocketStream
    scope: anyio.CancelScope
    torn: bool = False
    """The next thing that the server says is the last, and half of it."""
    ended: bool = False
    """What the server says comes to nobody."""

    def reset(self) -> None:
        """End both sides at once, without a goodbye."""
        for side in (self.client, self.server):
            with suppress(*BROKEN):
                side.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.scope.cancel()


@dataclass
class Proxy:
    """A running proxy. `done` counts what it has done to connections, by the method's name."""

    port: int
    target: str
    delay_s: float = 0.0
    """What each piece waits, in both directions."""

    done: dict[str, int] = field(default_factory=dict)
    _pairs: set[_Pair] = field(default_factory=set)
    _connected: anyio.Event = field(default_factory=anyio.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def connected(self) -> None:
        """Wait until there is a connection."""
        while not self._pairs:
            self._connected = anyio.Event()
            await self._connected.wait()

    def cut(self) -> None:
        """End all connections with a reset, now."""
        for pair in list(self._pairs):
            self._count("cut")
            pair.reset()

    def tear(self) -> None:
        """End each connection in the middle of what its server says next: half of it arrives."""
        for pair in self._pairs:
            pair.torn = True

    async def half_close(self) -> None:
        """Tell each client that the server has said its last, and go on listening to the client."""
        for pair in list(self._pairs):
            self._count("half_close")
            pair.ended = True
            with suppress(*BROKEN):
                await pair.client.send_eof()

    def _count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    async def serve(self, client: SocketStream) -> None:
        """One connection, to its end."""
        host, _, port = self.target.rpartition(":")
        async with client:
            try:
                server = await anyio.connect_tcp(host, int(port))
            except OSError:
                return
            async with server:
                await self._carry(client, server)

    async def _carry(self, client: SocketStream, server: SocketStream) -> None:
        with anyio.CancelScope() as scope:
            pair = _Pair(client, server, scope)
            self._pairs.add(pair)
            self._connected.set()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pump, pair, client, server)
                    tasks.start_soon(self._pump, pair, server, client)
            finally:
                self._pairs.discard(pair)

    async def _pump(self, pair: _Pair, source: SocketStream, sink: SocketStream) -> None:
        """One direction, to its end, which is told to the other side; where it breaks, both are ended."""
        try:
            while True:
                piece = await source.receive(CHUNK)
                if self.delay_s:
                    self._count("delay")
                    await anyio.sleep(self.delay_s)
                from_server = source is pair.server
                if from_server and pair.torn:
                    self._count("tear")
                    await sink.send(piece[: len(piece) // 2])
                    pair.scope.cancel()
                elif not (from_server and pair.ended):
                    await sink.send(piece)
        except anyio.EndOfStream:
            with suppress(*BROKEN):
                await sink.send_eof()
        except BROKEN:
            pair.reset()


@asynccontextmanager
async def proxy(target: str, port: int = 0) -> AsyncGenerator[Proxy]:
    """A proxy to `target` (host:port) for as long as the block lasts, on `port` or any free one."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    made = Proxy(listener.extra(SocketAttribute.local_port), target)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, made.serve)
        try:
            yield made
        finally:
            made.cut()
            tasks.cancel_scope.cancel()
