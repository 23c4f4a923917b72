"""The load of the chain's measurements: a process that posts numbered webhooks over kept-alive raw sockets.

    python -m bench.load '{"port": 7300, "path": "/in", "count": 1000, "connections": 64, "pace": 0}' RESULT

Each body is 500 bytes of JSON with its number `n`. Writes `{"rate", "p50", "p99" (ms to the answer), "sent": [ns]}`.
`sent` is by the wall clock; with a pace (events a second) it is when each was due, within the millisecond that a timer
may be late: a stalled server cannot hide what it held up.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import uvloop

from bench.report import percentile

SIZE = 500


@dataclass(frozen=True, slots=True)
class Load:
    """What to post. `pace`: events a second, 0 for as fast as they are taken."""

    port: int
    path: str
    count: int
    connections: int = 64
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of it. `sent`: nanoseconds of the wall clock, by number."""

    rate: float
    p50: float
    p99: float
    sent: list[int]


def body(number: int) -> bytes:
    """The body of one webhook."""
    start = f'{{"n": {number}, "text": "'.encode()
    return start + b"x" * (SIZE - len(start) - 2) + b'"}'


def post(load: Load) -> Posted:
    """Post from another process and wait for its end."""
    with tempfile.NamedTemporaryFile() as result:
        command = [sys.executable, "-m", "bench.load", json.dumps(asdict(load)), result.name]
        subprocess.run(command, check=True)
        return Posted(**json.loads(result.read()))


async def generate(load: Load) -> Posted:
    times: list[float] = []
    sent = [0] * load.count
    head = f"POST {load.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    start = (head + f"content-length: {SIZE}\r\n\r\n").encode()
    sockets = [await asyncio.open_connection("127.0.0.1", load.port) for _ in range(load.connections)]
    begin = time.time_ns()

    async def connection(first: int) -> None:
        reader, writer = sockets[first]
        for number in range(first, load.count, load.connections):
            request = start + body(number)
            if load.pace:
                due = begin + int(number / load.pace * 1e9)
                await asyncio.sleep(max(0.0, (due - time.time_ns()) / 1e9))
                # A timer may ring late by itself; that is not the server's time.
                sent[number] = max(due, time.time_ns() - 1_000_000)
            else:
                sent[number] = time.time_ns()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 20"):
                raise RuntimeError(answer.decode())
            await reader.readexactly(_length(answer))
            times.append((time.time_ns() - sent[number]) / 1e6)
        writer.close()

    async with anyio.create_task_group() as group:
        for first in range(load.connections):
            group.start_soon(connection, first)
    seconds = (time.time_ns() - begin) / 1e9
    return Posted(load.count / seconds, percentile(times, 0.5), percentile(times, 0.99), sent)


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0]) if found else 0


if __name__ == "__main__":
    posted = uvloop.run(generate(Load(**json.loads(sys.argv[1]))))
    Path(sys.argv[2]).write_text(json.dumps(asdict(posted)))
