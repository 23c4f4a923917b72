"""Real servers for tests: found on the machine or started, never imitated.

MinIO is looked for in this order: an address in RETRAIN_TEST_MINIO (host:port; keys minioadmin, or
RETRAIN_TEST_MINIO_ACCESS and _SECRET), the program `minio` on PATH or in the cache folder that
`tests/servers/minio.sh install` fills, Docker by way of testcontainers. Else tests skip and say why; where CI is true
they fail.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
import urllib3
from minio import Minio
from minio.error import MinioException

READY_S = 60.0
SCRIPT = Path(__file__).with_name("minio.sh")
KEY = "minioadmin"
NODE = "10.244.0.1"
"""This machine, as pods of its cluster see it."""


@dataclass
class MinioServer:
    """A running MinIO. `stop` and `start` are there for servers that were started here (`program` is set)."""

    endpoint: str
    access_key: str = KEY
    secret_key: str = KEY
    program: str | None = None
    data: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        assert self.program is not None
        assert self.data is not None
        self._process = subprocess.Popen(
            [self.program, "server", "--quiet", "--address", self.endpoint, str(self.data)],
            env={
                **os.environ,
                "MINIO_ROOT_USER": self.access_key,
                "MINIO_ROOT_PASSWORD": self.secret_key,
                "MINIO_BROWSER": "off",
                "MINIO_UPDATE": "off",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Says 200 a moment before the API stops answering 503 with a Retry-After of a minute.
        wait_ready(f"http://{self.endpoint}/minio/health/ready", self._process)
        wait_until(self._answers, f"MinIO on {self.endpoint}")

    def client(self, pool: urllib3.PoolManager | None = None) -> Minio:
        """Its owner's way in."""
        return Minio(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region="us-east-1",
            http_client=pool,
        )

    def _answers(self) -> bool:
        pool = urllib3.PoolManager(retries=False)
        try:
            self.client(pool).list_buckets()
        except (MinioException, urllib3.exceptions.HTTPError):
            return False
        finally:
            pool.clear()
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def minio(data: Path) -> Generator[MinioServer]:
    """A MinIO server, for as long as the block lasts; skips the test (or fails it in CI) where there is none."""
    if address := os.environ.get("RETRAIN_TEST_MINIO"):
        access, secret = (os.environ.get(f"RETRAIN_TEST_MINIO_{name}", KEY) for name in ("ACCESS", "SECRET"))
        yield MinioServer(address, access, secret)
    elif programs := minio_programs():
        yield from started(programs[0], data)
    elif (
        shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    ):
        yield from _contained()
    else:
        absent("no MinIO: set RETRAIN_TEST_MINIO, put `minio` on PATH, or run tests/servers/minio.sh install")


@contextmanager
def minio_for_pods(data: Path) -> Generator[MinioServer]:
    """A MinIO server that pods of the machine's cluster reach, by the address that the cluster's bridge has here."""
    programs = minio_programs()
    if not programs:
        absent("no program of MinIO to listen where pods reach it: run tests/servers/minio.sh install")
    server = MinioServer(
        f"{NODE}:{free_port(NODE)}", "pods", f"the-secret-of-{secrets.token_hex(8)}", programs[0], data
    )
    yield from _while_used(server)


def minio_programs() -> list[str]:
    """Programs of MinIO on this machine, oldest build first: what is on PATH, then what the cache holds."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "retrain-servers"
    built = sorted(Path(os.environ.get("RETRAIN_SERVERS") or cache).glob("minio-*/minio"))
    on_path = shutil.which("minio")
    return [*([on_path] if on_path else []), *map(str, built)]


def started(program: str, data: Path) -> Iterator[MinioServer]:
    """A server of this program; ends with the iterator."""
    return _while_used(MinioServer(f"127.0.0.1:{free_port()}", program=program, data=data))


def _while_used(server: MinioServer) -> Iterator[MinioServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _contained() -> Iterator[MinioServer]:
    containers = pytest.importorskip("testcontainers.minio", reason="Docker is here, but not testcontainers[minio]")
    with containers.MinioContainer() as container:
        config = container.get_config()
        yield MinioServer(config["endpoint"], config["access_key"], config["secret_key"])


def absent(reason: str) -> NoReturn:
    """A server is not to be had: skip, or fail where CI promises that all are there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


def wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the server for {url} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    wait_until(answers, url)


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Wait for another program, which tells nobody when it is ready."""
    deadline = time.monotonic() + READY_S
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} was not ready after {READY_S} s")
        time.sleep(0.05)
