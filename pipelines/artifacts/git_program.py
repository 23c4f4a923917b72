"""The `git` program for cloning what somebody names: own home, an environment from scratch, no hooks, no prompts, a
transport allow-list, a deadline, and the whole process group killed when it passes.

Blocks; call it from a worker thread.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrain.errors import ConfigError, Permanent, Transient

DEADLINE_S = 1800.0
"""Of one command. A stalled transfer is given up much earlier, by git's own low-speed limit."""

_PASSED_ON = (
    "PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY", "http_proxy", "no_proxy",
    "NO_PROXY",
)  # fmt: skip
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
)
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=10 -oServerAliveCountMax=3"
_ASK = """#!/bin/sh
case "$1" in
Username*) printf '%s\\n' "$RETRAIN_GIT_USER" ;;
*) printf '%s\\n' "$RETRAIN_GIT_PASSWORD" ;;
esac
"""

_NO = re.compile(
    r"authentication failed|permission denied|could not read (?:user|pass)|returned error: 40[13]|host key verification"
    r"|terminal prompts disabled|transport '[^']*' not allowed|does not appear to be a git repository|not found"
    r"|does not exist|couldn't find remote ref|pathspec|invalid reference|dubious ownership|unable to read tree",
    re.IGNORECASE,
)
_SECRET = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Access:
    """How to get into a repository. None of it is shown."""

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ssh_key: str | None = field(default=None, repr=False)
    any_host_key: bool = False
    any_certificate: bool = False


class GitProgram:
    """Runs git commands with one access, in a home that is thrown away."""

    def __init__(self, home: Path, access: Access, environ: Mapping[str, str], deadline_s: float = DEADLINE_S) -> None:
        self._home = home
        self._access = access
        self._environ = environ
        self._deadline_s = deadline_s

    def run(self, folder: Path | None, *arguments: str, network: bool = True) -> str:
        """Run one command in a work tree (or in none); its standard output. Without `network` a failure is final.

        Raises:
            Permanent: the repository or revision is not there, or we are not let in, in git's words.
            Transient: the server is away, or the deadline passed.
            ConfigError: there is no git.
        """
        settings = [word for setting in (*_SETTINGS, *self._own_settings()) for word in ("-c", setting)]
        place = [] if folder is None else ["-C", str(folder)]
        code, out, err = self._run(["git", *settings, *place, *arguments])
        if code == 0:
            return out.decode(errors="replace")
        words = _scrubbed((err or out).decode(errors="replace"))
        if code < 0:
            raise Transient(f"git {arguments[0]} ended by signal {-code}")
        final = not network or _NO.search(words)
        raise (Permanent if final else Transient)(f"git {arguments[0]}: {words}")

    def _run(self, command: list[str]) -> tuple[int, bytes, bytes]:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self._home,
                env=self._env(), start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise ConfigError("git: there is no program `git` on this machine") from None
        try:
            out, err = process.communicate(timeout=self._deadline_s)
            return process.returncode, out, err
        except subprocess.TimeoutExpired:
            raise Transient(f"git did not finish within {self._deadline_s:g} seconds") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def _own_settings(self) -> tuple[str, ...]:
        access = self._access
        # With a password no redirect is followed: another host could ask for it.
        follow = "http.followRedirects=" + ("false" if access.password is not None else "initial")
        return (follow, "http.sslVerify=false") if access.any_certificate else (follow,)

    def _env(self) -> dict[str, str]:
        access = self._access
        env = {
            "PATH": os.defpath,
            **{name: self._environ[name] for name in _PASSED_ON if name in self._environ},
            "HOME": str(self._home),
            "XDG_CONFIG_HOME": str(self._home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_HTTP_LOW_SPEED_LIMIT": "1024",
            "GIT_HTTP_LOW_SPEED_TIME": "60",
            "GIT_SSH_COMMAND": self._ssh(),
        }
        if access.user is not None or access.password is not None:
            env["GIT_ASKPASS"] = str(self._home / "ask")
            env["RETRAIN_GIT_USER"], env["RETRAIN_GIT_PASSWORD"] = access.user or "", access.password or ""
        return env

    def _ssh(self) -> str:
        words = [_SSH]
        if self._access.ssh_key is not None:
            words.append(f"-oIdentitiesOnly=yes -i {shlex.quote(str(self._home / 'key'))}")
        if self._access.any_host_key:
            words.append("-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null")
        else:
            words.append("-oStrictHostKeyChecking=yes")
        return " ".join(words)


@contextmanager
def open_git(
    access: Access, environ: Mapping[str, str], place: Path, deadline_s: float = DEADLINE_S
) -> Generator[GitProgram]:
    """A git whose home, with the key and the askpass program, lies below `place` and goes with the block."""
    with tempfile.TemporaryDirectory(prefix="git-", dir=place) as name:
        home = Path(name)
        _write(home / "ask", _ASK, 0o700)
        if access.ssh_key is not None:
            _write(home / "key", access.ssh_key.rstrip("\n") + "\n", 0o600)
        yield GitProgram(home, access, environ, deadline_s)


def _write(file: Path, text: str, mode: int) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:  # noqa: PTH123  # never readable by others
        out.write(text)


def _scrubbed(text: str) -> str:
    """Git's words on one line, without whatever stands before an `@` in an address."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    kept = [line for line in lines if line and not line.startswith(("hint:", "Cloning into"))]
    return _SECRET.sub(r"\1***@", "; ".join(kept))[:1000] or "failed without a word"
