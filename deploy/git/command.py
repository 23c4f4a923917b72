"""The `git` program, run so that nothing but what we say reaches it.

Own home, an environment built from scratch, no hooks, no prompts, a transport allow-list, deadlines, and the whole
process group killed when one passes. Errors come out told apart by what the caller should do. Everything here blocks:
call it from a worker thread.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.names import one_line
from retrain.errors import Permanent, Transient

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
)
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=10 -oServerAliveCountMax=3"


class Race(Transient):
    """Somebody else moved the branch first: derive everything again from where it is now."""


class Rejected(Permanent):
    """The server said no, by a rule; `str()` holds its words."""


class AuthFailed(Rejected):
    """The server does not know us, or does not let us."""


class GitFailed(Permanent):
    """A git command failed for a reason that none of the classes above covers."""


_RACE = re.compile(
    r"non-fast-forward|fetch first|stale info|cannot lock ref|incorrect old value provided|failed to update ref"
    r"|reference already exists",
    re.IGNORECASE,
)
_AUTH = re.compile(
    r"invalid username or (?:password|token)|permission denied \(|authentication failed|could not read (?:user|pass)"
    r"|returned error: 401|host key verification failed|terminal prompts disabled",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"pre-receive hook declined|update hook declined|hook declined|protected branch|GH006|GH013|TF401027"
    r"|does not follow the pattern|can only push your own|returned error: 403|refusing to allow|denyNonFastForwards"
    r"|denied by|prohibited by|push declined|not allowed to push|branch is currently checked out|read-only"
    r"|transport '[^']*' not allowed",
    re.IGNORECASE,
)
_TRANSIENT = re.compile(
    r"could not resolve host|timed out|early EOF|RPC failed|returned error: (?:429|5\d\d)|remote end hung up"
    r"|unexpected disconnect|connection (?:refused|reset|closed)|couldn't connect|failed to connect|no route to host"
    r"|network is unreachable|temporarily unavailable|does not appear to be a git repository|repository .*not found"
    r"|returned error: 404|could not read from remote repository|unable to access|does not exist|the remote end"
    r"|low speed|unable to create temporary|died of signal",
    re.IGNORECASE,
)
_SECRET = re.compile(r"(://)[^/@\s]+@")


def classify(text: str) -> Transient | Permanent:
    """The error that git's words mean. Rules come before causes: a declined hook also says `failed to push`."""
    words = scrub(text)
    if _AUTH.search(text):
        return AuthFailed(words)
    if _POLICY.search(text):
        return Rejected(words)
    if _RACE.search(text):
        return Race(words)
    return Transient(words) if _TRANSIENT.search(text) else GitFailed(words)


def scrub(text: str) -> str:
    """Git's words on one line, without progress, hints and whatever stands before an `@` in an address."""
    lines = [line.removeprefix("remote: ").strip() for line in re.split(r"[\r\n]+", text)]
    kept = [
        line for line in lines if line and not line.startswith(("hint:", "To ", "remote:", "error: failed to push"))
    ]
    return one_line(_SECRET.sub(r"\1***@", "; ".join(kept)), 1000) or "git failed without a word"


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
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        place = [] if folder is None else [f"--git-dir={folder}"]
        limit = self.network_s if network else LOCAL_S
        process = self._start(["git", *settings, *place, *arguments], self._env(extra or {}))
        try:
            out, err = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            raise Transient(f"git {arguments[0]} did not finish within {limit:g} seconds") from None
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)
        if process.returncode < 0:
            why = "stopped while git was running" if self._closed else f"ended by signal {-process.returncode}"
            raise Transient(f"git {arguments[0]}: {why}")
        return process.returncode, out, err

    def close(self) -> None:
        """Kill what runs and start nothing more. What was pushed is found again by the next run."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _kill(process, reap=False)

    def _start(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        self.home.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if self._closed:
                raise Transient("git is closed")
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
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
            "GIT_SSH_COMMAND": _SSH,
            **extra,
        }


def _kill(process: subprocess.Popen[bytes], *, reap: bool = True) -> None:
    """End a command and what it started: ssh and askpass hold the pipes beyond git's own end."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if reap:
            process.communicate()
