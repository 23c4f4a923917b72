"""When Workflows were there: a process that watches a namespace and notes when it hears of each, by its parameter.

    python -m bench.observer KUBECONFIG NAMESPACE

A line `wait COUNT SECONDS` on its stdin is answered by `{"arrivals": [[n, ns]]}` once so many have come (or the time is
over); then they are forgotten. Its first line on stdout says that it watches. It hears of an object some milliseconds
after it was made, and of everybody's alike.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from pathlib import Path

from pipelines.kubernetes.submission import path_to
from retrain.kube import Cluster, cluster

LATE_S = 0.5
"""So long it waits for what comes twice."""


class Observer:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        process.stdout.readline()

    def wait(self, count: int, seconds: float) -> list[tuple[int, int]]:
        """(number, nanoseconds of the wall clock) of the Workflows that were created, in order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"wait {count} {seconds}\n")
        self._process.stdin.flush()
        return [(number, at) for number, at in json.loads(self._process.stdout.readline())["arrivals"]]


@contextmanager
def observer(kubeconfig: Path, namespace: str) -> Generator[Observer]:
    """One in a process of its own."""
    command = [sys.executable, "-m", "bench.observer", str(kubeconfig), namespace]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Observer(process)
        finally:
            process.kill()


async def watch(server: Cluster, namespace: str, arrivals: list[tuple[int, int]]) -> None:
    listed = await server.get(path_to(namespace), {"limit": "1"})
    version = str(listed["metadata"]["resourceVersion"])
    async with aclosing(server.watch(path_to(namespace), {}, version)) as stream:
        async for events in stream:
            now = time.time_ns()
            if not events:
                print("watching", flush=True)
            for event in events:
                if event["type"] == "ADDED":
                    arrivals.append((int(event["object"]["spec"]["arguments"]["parameters"][0]["value"]), now))


async def serve(kubeconfig: str, namespace: str) -> None:
    arrivals: list[tuple[int, int]] = []
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with cluster(kubeconfig) as server, asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(server, namespace, arrivals))
        while line := await commands.readline():
            _, count, seconds = line.split()
            deadline = time.monotonic() + float(seconds)
            while len(arrivals) < int(count) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # waking up for each arrival would cost the measured ones
            await asyncio.sleep(LATE_S)
            print(json.dumps({"arrivals": arrivals}), flush=True)
            arrivals.clear()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).read_text(), sys.argv[2]))
