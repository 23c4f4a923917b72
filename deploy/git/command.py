"""The `git` program, run so that nothing but what we say reaches it.

Own home, an environment built from scratch, no hooks, no prompts, a transport allow-list, deadlines, and the whole
process group killed when one passes. Errors come out told apart by what the caller should do. Everything here blocks:
call it from a worker thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.git.errors import classify
from retrain.errors import ConfigError, Transient

LOCAL_S = 60.0
NETWORK_S = 300.0
"""Deadlines of one command. A stalled transfer is given up much earlier, by git's own low-speed limit."""

_PROXIES = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
PASSED_ON = (
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
)
"""All that git gets to see of the environment that the app hands in."""

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "push.followTags=false",
    "protocol.version=2",
    "advice.detachedHead=false",
    "core.fsync=none",  # the cache may be thrown away at any time
)
SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=10 -oServerAliveCountMax=3"


@dataclass(slots=True)
class Git:
    """Runs git commands. `home` becomes its home; `environment` is looked through for `PASSED_ON` only."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    network_s: float = NETWORK_S
    _running: set[subprocess.Popen[bytes]] = field(default_factory=lambda: set())
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def run(
        self,
        folder: Path | None,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        network: bool = False,
        ok: tuple[int, ...] = (0,),
    ) -> bytes:
        """Run one command in a bare repository (or in none); its standard output.

        Raises:
            Race, Transient, Rejected, AuthFailed, GitFailed: it failed, by its own words; or its deadline passed.
        """
        code, out, err = self.attempt(folder, *arguments, stdin=stdin, extra=extra, network=network)
        if code not in ok:
            raise classify((err or out).decode(errors="replace"))
        return out

    def attempt(
        self,
        folder: Path | None,
        *arguments: str,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        network: bool = False,
    ) -> tuple[int, bytes, bytes]:
        """Run one command; exit code, standard output, standard error.

        Raises:
            Transient: its deadline passed, somebody killed it, or this runner was closed.
        """
        limit = self.network_s if network else LOCAL_S
        return self._finish(_command(folder, arguments), f"git {_verb(arguments)}", stdin, extra, limit)

    def other(
        self, command: list[str], *, stdin: bytes = b"", extra: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Run another program (gpg) under the same rules; exit code, standard output, standard error.

        Raises:
            ConfigError: there is no such program.
            Transient: as `attempt`.
        """
        try:
            return self._finish(command, command[0], stdin, extra, LOCAL_S)
        except FileNotFoundError:
            raise ConfigError(f"there is no program {command[0]!r} on this machine; install it") from None

    def _finish(
        self, command: list[str], name: str, stdin: bytes, extra: Mapping[str, str] | None, limit: float
    ) -> tuple[int, bytes, bytes]:
        process = self._start(command, self._env(extra or {}))
        try:
            out, err = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            raise Transient(f"{name} did not finish within {limit:g} seconds") from None
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)
        if process.returncode < 0:
            why = "stopped while git was running" if self._closed else f"ended by signal {-process.returncode}"
            raise Transient(f"{name}: {why}")
        return process.returncode, out, err

    @contextmanager
    def open(self, folder: Path, *arguments: str) -> Generator[subprocess.Popen[bytes]]:
        """A command that is talked to while it runs, under a `deadline` each time. It is killed when the block ends.

        Raises:
            Transient: this runner is closed.
        """
        process = self._start(_command(folder, arguments), self._env({}), quiet=True)
        try:
            yield process
        finally:
            _kill(process)
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not read any more
                    assert pipe is not None
                    pipe.close()
            with self._lock:
                self._running.discard(process)

    def close(self) -> None:
        """Kill what runs and start nothing more. What was pushed is found again by the next run."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _kill(process, reap=False)

    def _start(self, command: list[str], env: dict[str, str], *, quiet: bool = False) -> subprocess.Popen[bytes]:
        self.home.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if self._closed:
                raise Transient("git is closed")
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if quiet else subprocess.PIPE,
                cwd=self.home,
                env=env,
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def _env(self, extra: Mapping[str, str]) -> dict[str, str]:
        passed = {name: self.environment[name] for name in PASSED_ON if name in self.environment}
        return {
            "PATH": os.defpath,
            **passed,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "LC_ALL": "C",
            "TZ": "UTC",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:https:ssh",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_HTTP_LOW_SPEED_LIMIT": "1024",
            "GIT_HTTP_LOW_SPEED_TIME": "30",
            "GIT_SSH_COMMAND": SSH,
            **extra,
        }


@contextmanager
def deadline(process: subprocess.Popen[bytes], limit: float = LOCAL_S) -> Generator[None]:
    """Kill the command if the block takes longer than `limit` seconds: who reads from it finds its end."""
    watch = threading.Timer(limit, _kill, (process,), {"reap": False})
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _command(folder: Path | None, arguments: tuple[str, ...]) -> list[str]:
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    return ["git", *settings, *([] if folder is None else [f"--git-dir={folder}"]), *arguments]


def _verb(arguments: tuple[str, ...]) -> str:
    """What the command does, behind `-c name=value`."""
    rest = list(arguments)
    while rest[:1] == ["-c"]:
        del rest[:2]
    return rest[0]


def _kill(process: subprocess.Popen[bytes], *, reap: bool = True) -> None:
    """End a command and what it started: ssh and askpass hold the pipes beyond git's own end."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if reap:
            process.communicate()
