"""Reading one file of a git repository, by the git program and without a work tree. Blocking; run in a thread.

Names come from manifests, so none of them may be taken for an option, lead out of the repository, or to a transport
that is not meant. The rules for running git are those of `deploy.git`.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from deploy.git import Git, classify
from retrain.errors import ConfigError, Permanent, Transient
from sensors import trigger_spec
from sensors.objects.settings import RemoteSettings

_PASSED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]*", re.ASCII)
_SCP = re.compile(r"(?:[A-Za-z0-9_.-]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?!//|:)[^\s-].*", re.ASCII)
_FILES = frozenset({"100644", "100755"})
_PORTS = {"https": 443, "ssh": 22}
_HERE = "refs/retrain/read"


@dataclass(frozen=True, slots=True, repr=False)
class GitAccess:
    """How to get in: a user with password or token, or a private SSH key. What is "" is not used."""

    username: str = ""
    password: str = ""
    ssh_key: str = ""


class GitReading:
    """Reads files of repositories. What a repository's ref still points to is not fetched again."""

    def __init__(self, home: Path, environment: Mapping[str, str], settings: RemoteSettings) -> None:
        passed = {name: environment[name] for name in _PASSED_ON if name in environment}
        self._git = Git(home, passed, network_s=settings.timeout_s)
        self._local = settings.local_git
        self._last: dict[tuple[str, str, str], tuple[bytes, bytes]] = {}

    def server_of(self, written: trigger_spec.Git) -> tuple[str, int] | None:
        """The host and port that will be talked to; None for a repository on this machine.

        Raises:
            ConfigError: the URL is none that may be read.
        """
        url = _url(written)
        if "://" not in url and (match := _SCP.fullmatch(url)):
            return match["host"], _PORTS["ssh"]
        parsed = _parse(url)
        if parsed.scheme == "file" and self._local:
            return None
        if parsed.scheme not in _PORTS or not parsed.host:
            raise ConfigError("git.url is https://..., ssh://... or user@host:path")
        if parsed.password:
            raise ConfigError("git.url holds a password; name it as a secret under git.creds")
        return parsed.host, parsed.port or _PORTS[parsed.scheme]

    def read(self, written: trigger_spec.Git, access: GitAccess) -> bytes:
        """The file as it is now.

        Raises:
            ConfigError: a name in it cannot be used.
            Transient, Permanent: the remote is away, says no, or has no such ref or file.
        """
        url, ref, path = _url(written), _ref(written), _path(written.file_path)
        try:
            return self._read(url, ref, path, access, any_host=written.insecure_ignore_host_key)
        except OSError as error:
            raise Transient(f"git cannot be run: {error}") from error

    def _read(self, url: str, ref: str, path: str, access: GitAccess, *, any_host: bool) -> bytes:
        with tempfile.TemporaryDirectory(prefix="retrain-git-") as folder:
            extra = _credentials(url, access, any_host, Path(folder))
            tip = self._git.run(None, "ls-remote", "--", url, ref, extra=extra, network=True)
            if not tip.strip():
                raise Permanent(f"the repository has no {ref}")
            last = self._last.get((url, ref, path))
            if last is None or last[0] != tip:
                last = tip, self._fetch(Path(folder) / "it.git", url, ref, path, extra)
                self._last[url, ref, path] = last
        return last[1]

    def _fetch(self, folder: Path, url: str, ref: str, path: str, extra: Mapping[str, str]) -> bytes:
        git = self._git
        git.run(None, "init", "-q", "--bare", "--template=", "--", str(folder))
        for name, value in (
            ("remote.origin.url", url),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialclonefilter", "blob:none"),
        ):
            git.run(folder, "config", "--", name, value)
        arguments = ("fetch", "-q", "--no-tags", "--no-write-fetch-head", "--depth=1")
        tail = ("--", "origin", f"+{ref}:{_HERE}")
        code, _, err = git.attempt(folder, *arguments, "--filter=blob:none", *tail, extra=extra, network=True)
        if code and b"filter" in err:  # some servers refuse filters instead of ignoring them
            code, _, err = git.attempt(folder, *arguments, *tail, extra=extra, network=True)
        if code:
            raise classify(err.decode(errors="replace"))
        line = git.run(folder, "ls-tree", "-z", _HERE, "--", path).decode(errors="replace")
        mode, _, rest = line.partition(" ")
        if mode not in _FILES:
            raise Permanent(f"{path!r} is not there" if not line else f"{path!r} is no plain file")
        name = rest.split()[1]
        return git.run(folder, "cat-file", "blob", name, extra=extra, network=True)


def _url(written: trigger_spec.Git) -> str:
    """Another remote than the one that would be cloned wins, as upstream has it."""
    url = written.remote.urls[0] if written.remote is not None and written.remote.urls else written.url
    if not url or url.startswith("-") or any(ord(char) < 33 for char in url):
        raise ConfigError("git.url is missing, or no URL")
    return url


def _parse(url: str) -> URL:
    try:
        return URL(url)
    except ValueError as error:
        raise ConfigError(f"git.url is no URL: {error}") from error


def _ref(written: trigger_spec.Git) -> str:
    for name, prefix in ((written.ref, ""), (written.tag, "refs/tags/"), (written.branch, "refs/heads/")):
        if name:
            if not _REF.fullmatch(name) or ".." in name or "@{" in name or name.endswith((".lock", "/", ".")):
                raise ConfigError(f"git: {name!r} is no name of a branch, tag or ref")
            return prefix + name
    return "HEAD"


def _path(path: str) -> str:
    parts = path.split("/")
    if not path or "\\" in path or "~" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ConfigError(f"git.filePath is a path inside of the repository, not {path!r}")
    return path


def _credentials(url: str, access: GitAccess, any_host: bool, folder: Path) -> dict[str, str]:
    """What tells git who we are, by its environment: nothing of it is on a command line."""
    extra: dict[str, str] = {}
    if url.startswith("https://") and (access.username or access.password):
        coded = b64encode(f"{access.username}:{access.password}".encode()).decode()
        extra |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {coded}",
        }
    options: list[str] = []
    if access.ssh_key:
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(access.ssh_key if access.ssh_key.endswith("\n") else f"{access.ssh_key}\n")
        options += ["-i", shlex.quote(str(key)), "-oIdentitiesOnly=yes"]
    if any_host:
        options += ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null"]
    if options:
        words = " ".join(options)
        extra["GIT_SSH_COMMAND"] = f"ssh -oBatchMode=yes -oConnectTimeout=20 {words}"
    return extra
