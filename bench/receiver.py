"""What the HTTP triggers of the measurements call: a process that notes when each number came, and answers 204.

A line `wait COUNT SECONDS` on its stdin is answered by `{"arrivals": [[n, ns]]}` once so many have come (or the time is
over); then they are forgotten. The first line on its stdout is its port.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import uvloop

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def wait(self, count: int, seconds: float) -> list[tuple[int, int]]:
        """(number, nanoseconds of the wall clock) of what came, in order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"wait {count} {seconds}\n")
        self._process.stdin.flush()
        return [(number, at) for number, at in json.loads(self._process.stdout.readline())["arrivals"]]


@contextmanager
def receiver() -> Generator[Receiver]:
    """A receiver in a process of its own."""
    command = [sys.executable, "-m", "bench.receiver"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield Receiver(process)
        finally:
            process.kill()


class _Connection(asyncio.Protocol):
    """One connection: requests with a content-length, one after the other."""

    arrivals: list[tuple[int, int]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if len(self._buffer) < end + 4 + length:
                return
            content = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(ANSWER)  # type: ignore[attr-defined]
            self.arrivals.append((int(json.loads(content)["n"]), now))


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        _, count, seconds = line.split()
        deadline = time.monotonic() + float(seconds)
        while len(_Connection.arrivals) < int(count) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # waking up for each arrival would cost the measured ones
        # A little longer: what comes twice comes late.
        await asyncio.sleep(0.3)
        print(json.dumps({"arrivals": _Connection.arrivals}), flush=True)
        _Connection.arrivals.clear()


if __name__ == "__main__":
    uvloop.run(serve())
