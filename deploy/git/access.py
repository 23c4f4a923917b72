"""How git gets into a repository: user and password by an askpass helper, or an SSH key with known host keys.

Nothing of it is on a command line, in an address, in a configuration, in a log or on a disk: git's environment has the
password, for its helper, and keys lie in memory that has a name while the command runs.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Protocol

from deploy.git.spec import Repo, Secret
from retrain.errors import ConfigError, RetrainError, Transient

_ASKPASS = """\
#!/bin/sh
case "$1" in
Username*) printf '%s\\n' "$RETRAIN_GIT_USERNAME" ;;
Password*) printf '%s\\n' "$RETRAIN_GIT_PASSWORD" ;;
esac
"""
_SSH = (
    "ssh -F /dev/null -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=10 -oServerAliveCountMax=3"
    " -oStrictHostKeyChecking=yes -oGlobalKnownHostsFile=/dev/null -oUpdateHostKeys=no -oIdentitiesOnly=yes"
    " -oIdentityAgent=none -oPreferredAuthentications=publickey -oForwardAgent=no -oClearAllForwardings=yes"
)


class Secrets(Protocol):
    """Where `secretKeyRef` looks, as the event sources do."""

    def secret(self, name: str, key: str) -> str:
        """The value of `key` in the secret `name`.

        Raises:
            RetrainError: there is none.
        """
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Vault:
    """Reads the secrets of a manifest. `environment` is the process's own; relative files start at `root`."""

    secrets: Secrets | None
    environment: Mapping[str, str]
    root: Path

    def read(self, secret: Secret) -> str:
        """The value as it is now.

        Raises:
            Transient: it is not there (yet); the message names where it was looked for, never a value.
        """
        value = self._find(secret).removesuffix("\n").removesuffix("\r")
        if not value.strip():
            raise Transient(f"{secret}: is empty")
        return value

    def _find(self, secret: Secret) -> str:
        if secret.env is not None:
            if secret.env not in self.environment:
                raise Transient(f"{secret}: is not set")
            return self.environment[secret.env]
        if secret.file is not None:
            try:
                return (self.root / secret.file).read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise Transient(f"{secret}: cannot be read: {type(error).__name__}") from None
        reference = secret.secretKeyRef
        if self.secrets is None or reference is None:
            raise Transient(f"{secret}: secrets are not known here; use env or file")
        try:
            return self.secrets.secret(reference.name, reference.key)
        except RetrainError as error:
            raise Transient(str(error)) from error


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """What git is given to get in. What is "" is not used."""

    username: str = ""
    password: str = ""
    ssh_key: str = ""
    known_hosts: str = ""
    ca: str = ""

    @contextmanager
    def environment(self, home: Path) -> Generator[dict[str, str]]:
        """Variables for a git command; what they name is gone after the block. The helper lies in `home`."""
        extra: dict[str, str] = {}
        with ExitStack() as stack:
            if self.password:
                extra["GIT_ASKPASS"] = str(_helper(home))
                extra |= {"RETRAIN_GIT_USERNAME": self.username, "RETRAIN_GIT_PASSWORD": self.password}
            if self.ssh_key:
                key = stack.enter_context(in_memory(ended(self.ssh_key)))
                hosts = stack.enter_context(in_memory(ended(self.known_hosts)))
                extra["GIT_SSH_COMMAND"] = f"{_SSH} -oIdentityFile={key} -oUserKnownHostsFile={hosts}"
            if self.ca:
                extra["GIT_SSL_CAINFO"] = stack.enter_context(in_memory(ended(self.ca)))
            yield extra


def resolve(repo: Repo, vault: Vault) -> Access:
    """What the manifest's secrets hold now.

    Raises:
        Transient: one is not there.
        ConfigError: one holds what no user name, password or key can be.
    """
    ca = vault.read(repo.ca) if repo.ca else ""
    given = repo.credentials
    if given is None:
        return Access(ca=ca)
    if given.ssh is not None:
        return Access(ssh_key=vault.read(given.ssh.key), known_hosts=vault.read(given.ssh.knownHosts), ca=ca)
    secret = given.password or given.token
    assert secret is not None
    username = vault.read(given.username) if isinstance(given.username, Secret) else given.username or "git"
    password = vault.read(secret)
    for what, value in (("the user name", username), (f"the {secret}", password)):
        if any(char in value for char in "\n\r\0"):
            raise ConfigError(f"repo.credentials: {what} holds a line end; it must be one line")
    return Access(username=username, password=password, ca=ca)


@contextmanager
def in_memory(text: str) -> Generator[str]:
    """A file that is on no disk, for programs that want a path; only this user can open it. Its path."""
    fd = os.memfd_create("retrain", os.MFD_CLOEXEC)
    try:
        os.fchmod(fd, 0o600)
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(text.encode())
        yield f"/proc/{os.getpid()}/fd/{fd}"
    finally:
        os.close(fd)


def ended(text: str) -> str:
    """With a line end, which keys must have."""
    return text if text.endswith("\n") else f"{text}\n"


def _helper(home: Path) -> Path:
    file = home / "askpass"
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        fd, name = mkstemp(prefix="askpass-", dir=home)
        os.close(fd)
        fresh = Path(name)
        fresh.write_text(_ASKPASS)
        fresh.chmod(0o700)
        fresh.replace(file)
    return file


def trust(ca: Secret | None, vault: Vault, field: str) -> ssl.SSLContext | None:
    """What a server's certificate is held to; None: what this machine trusts. `field`: where `ca` is written.

    Raises:
        ConfigError: the secret holds no certificate.
        Transient: it is not there.
    """
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cadata=vault.read(ca))
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{field}: {ca} holds no certificate in PEM") from None
