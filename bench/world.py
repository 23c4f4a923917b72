"""A real platform to measure: `retrain up` as a process of its own, with what /proc says of it and its children."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

LIMIT_S = 60.0
STOP_S = 30.0
COMMAND = (sys.executable, "-c", "from retrain.cli import main; main()")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class World:
    """A platform that answers. `ready_s`: from the start of its process to 200 of `/readyz`."""

    port: int
    pid: int
    data: Path
    ready_s: float


@contextmanager
def platform(documents: list[Mapping[str, object]]) -> Generator[World]:
    """Run a platform on these documents, with its state in a new directory; all of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="retrain-bench-") as folder:
        project, data = Path(folder) / "project", Path(folder) / "data"
        project.mkdir()
        (project / "all.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        with started(project, data, Path(folder) / "log") as world:
            yield world


@contextmanager
def started(project: Path, data: Path, log: Path, *options: str) -> Generator[World]:
    """Run a platform on a project that is there, with this state. `options`: more words for `retrain up`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RETRAIN_LOG_LEVEL": "warning"}
    words = ["up", str(project), "--port", "0", "--data", str(data), "-o", "json", *options]
    begin = time.perf_counter()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=project
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the platform did not start:\n{log.read_text()}")
        port = urlsplit(json.loads(line)["url"]).port
        assert port is not None
        _await_ready(port, begin)
        yield World(port, process.pid, data, time.perf_counter() - begin)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def kill(pid: int) -> None:
    """`kill -9` a platform and all that descends from it, as a power cut would, and wait until it is gone."""
    for one in family(pid):
        os.kill(one, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _await_ready(port: int, begin: float) -> None:
    while time.perf_counter() - begin < LIMIT_S:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return
        time.sleep(0.002)
    raise RuntimeError(f"/readyz was not 200 within {LIMIT_S:.0f} s")


# --- what /proc says ------------------------------------------------------------------------------------------------


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def program(pid: int) -> str:
    """The program's name."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def memory_mb(pid: int) -> float:
    """What a process holds in memory (RSS), what it shares with others included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS")


def cpu_s(pid: int) -> float:
    """Seconds of processor that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
