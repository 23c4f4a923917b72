"""A connection to an SSH server that lists files: the login, whose key the server must show, what is there."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR

from retrain.errors import ConfigError, NotFound, Transient

PORT = 22
TIMEOUT_S = 20.0
ALIVE_S = 15
"""Seconds between two signs of life; after three without an answer the connection counts as dead."""
DEPTH = 32
"""Folders below one another that are entered."""

_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?-----END [A-Z0-9 ]*PRIVATE KEY-----", re.S)
_PUBLIC = re.compile(r"^(?!#)(?:\S+ )?((?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+)", re.M)


@dataclass(frozen=True, slots=True)
class Login:
    """Where to and as whom. `host_key`: the server's public key in OpenSSH's form; empty: any, `Server` tells which."""

    address: str
    user: str
    password: str = ""
    private_key: str = ""
    host_key: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as it is now. `modified`: POSIX time in whole seconds, all that the protocol has."""

    size: int
    modified: int

    @property
    def version(self) -> str:
        return f"{self.size}:{self.modified}"


class Server:
    """A server that one is logged in to. `host_key`: what it has shown, in OpenSSH's form."""

    def __init__(self, client: asyncssh.SFTPClient, host_key: str) -> None:
        self._client = client
        self.host_key = host_key

    async def files(self, directory: str, *, recursive: bool) -> AsyncGenerator[tuple[str, Remote]]:
        """The regular files in a directory, by their paths in it. Links are not followed.

        Names are text; a byte that is no UTF-8 is one of Python's surrogates.

        Raises:
            NotFound: there is no such directory, or it may not be read.
            Transient: the connection is lost.
        """
        folders = [(b"", 0)]
        top = os.fsencode(directory)
        while folders:
            folder, depth = folders.pop()
            with _translated(directory):
                async for entry in self._client.scandir(os.path.join(top, folder)):  # noqa: PTH118 - paths of a server
                    name = os.path.join(folder, _bytes(entry.filename))  # noqa: PTH118
                    kind, attributes = entry.attrs.type, entry.attrs
                    if kind == FILEXFER_TYPE_REGULAR:
                        yield os.fsdecode(name), Remote(attributes.size or 0, int(attributes.mtime or 0))
                    elif recursive and kind == FILEXFER_TYPE_DIRECTORY and depth < DEPTH and not _is_dots(name):
                        folders.append((name, depth + 1))


@asynccontextmanager
async def connected(login: Login) -> AsyncGenerator[Server]:
    """Log in. Nothing of this machine's own SSH settings, keys or agents has a part in it.

    Raises:
        ConfigError: the login is refused, the server's key is another one, or a secret holds no key.
        Transient: the server cannot be reached, or does not speak SSH.
    """
    host, port = _place(login.address)
    options: dict[str, Any] = {
        "known_hosts": _known(login.host_key),
        "username": login.user,
        "client_keys": [_private(login.private_key)] if login.private_key else None,
        "password": login.password or None,
        "agent_path": None,
        "config": None,
        "gss_host": None,
        "connect_timeout": TIMEOUT_S,
        "login_timeout": TIMEOUT_S,
        "keepalive_interval": ALIVE_S,
    }
    with _translated(login.address):
        async with asyncssh.connect(host, port, **options) as connection:
            shown = connection.get_server_host_key()
            text = shown.export_public_key().decode().strip() if shown is not None else ""
            async with connection.start_sftp_client(path_encoding=None) as client:
                yield Server(client, " ".join(text.split()[:2]))


@contextmanager
def _translated(what: str) -> Generator[None]:
    """Errors of the library and the network in words, as ours."""
    try:
        yield
    except asyncssh.PermissionDenied as error:
        raise ConfigError(f"{what} refuses the login") from error
    except asyncssh.HostKeyNotVerifiable as error:
        raise ConfigError(f"{what} shows another host key than the one that is known") from error
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied, asyncssh.SFTPNotADirectory) as error:
        raise NotFound(f"directory {what!r} is not there, or may not be read: {error.reason}") from error
    except (asyncssh.SFTPError, asyncssh.DisconnectError) as error:
        raise Transient(f"{what}: {error.reason}") from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise Transient(f"{what} cannot be reached: {str(error) or type(error).__name__}") from error


def host_key_of(text: str) -> str:
    """The public key in a line of known_hosts or authorized_keys, without the name before and the comment behind it.

    Raises:
        ConfigError: there is none.
    """
    match = _PUBLIC.search(text)
    if match is None:
        raise ConfigError("hostKey holds no public key, such as `ssh-ed25519 AAAA...`")
    return match[1]


def public_key_beside(text: str) -> str:
    """The public key that stands beside a private one in the same text; empty where there is none."""
    match = _PUBLIC.search(_PRIVATE.sub("", text))
    return match[1] if match is not None else ""


def _place(address: str) -> tuple[str, int]:
    host, colon, port = address.strip().rpartition(":")
    if not colon or host.endswith(":"):
        return address.strip().strip("[]"), PORT
    if not port.isdigit():
        raise ConfigError("address is no host:port")
    return host.strip("[]"), int(port)


def _known(host_key: str) -> Any:
    """What the server may show; None: anything."""
    if not host_key:
        return None
    try:
        return ([asyncssh.import_public_key(host_key)], [], [])
    except (asyncssh.KeyImportError, ValueError) as error:
        raise ConfigError("hostKey holds no public key that can be read") from error


def _private(text: str) -> asyncssh.SSHKey:
    match = _PRIVATE.search(text)
    try:
        return asyncssh.import_private_key(f"{match[0]}\n" if match is not None else text)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        raise ConfigError("sshKeySecret holds no private key, or one with a passphrase") from error


def _is_dots(name: bytes) -> bool:
    """The folder itself, and the one above it: servers list them, too."""
    return os.path.basename(name) in (b".", b"..")  # noqa: PTH119 - a path of a server


def _bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else os.fsencode(name)
