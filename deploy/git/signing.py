"""Signatures on commits: by an SSH key or by GPG, checked by git itself before anything is pushed.

Keys come from secrets. An SSH key lies in memory while git signs; GPG wants a home of its own, which is in a private
folder for as long as it signs. No passphrases: nobody is there to type them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from deploy.git.access import in_memory
from deploy.git.command import Git
from deploy.git.errors import GitFailed, scrub
from deploy.git.writing import Author
from retrain.errors import ConfigError, Permanent

PrivateKey = Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be: `tree` and `base` are in the repository."""

    tree: str
    base: str
    message: str
    author: Author


class Signer(Protocol):
    """Makes signed commits of trees that are there."""

    def commit(self, git: Git, folder: Path, draft: Draft) -> str:
        """A signed commit, whose signature git has found to be ours; its SHA.

        Raises:
            GitFailed: it could not be signed, or the signature is not what it should be.
        """
        ...


@dataclass(frozen=True, slots=True, repr=False)
class SshSigner:
    """Signs with an SSH key. `key`: PEM or OpenSSH, without a passphrase."""

    key: str

    def commit(self, git: Git, folder: Path, draft: Draft) -> str:
        """See `Signer`."""
        private, public = ssh_texts(load_key(self.key, "commit.sign.ssh.key"))
        with ExitStack() as stack:
            key = stack.enter_context(in_memory(private))
            allowed = stack.enter_context(in_memory(f'{draft.author.email} namespaces="git" {public}\n'))
            settings = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")
            sha = _commit(git, folder, draft, settings, {})
            check = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={allowed}")
            _verify(git, folder, sha, check, {}, "")
        return sha


@dataclass(frozen=True, slots=True, repr=False)
class GpgSigner:
    """Signs with an OpenPGP key. `key`: armoured private key; `key_id`: which of its keys."""

    key: str
    key_id: str

    def commit(self, git: Git, folder: Path, draft: Draft) -> str:
        """See `Signer`."""
        wanted = self.key_id.lower().removeprefix("0x").upper()
        with gpg_home(git, self.key) as home:
            extra = {"GNUPGHOME": str(home)}
            settings = ("-c", "gpg.format=openpgp", "-c", f"user.signingKey={wanted}!")
            sha = _commit(git, folder, draft, settings, extra)
            _verify(git, folder, sha, (), extra, wanted)
        return sha


def _commit(git: Git, folder: Path, draft: Draft, settings: tuple[str, ...], extra: dict[str, str]) -> str:
    words = (*settings, "commit-tree", "-S", draft.tree, "-p", draft.base, "-F", "-")
    try:
        out = git.run(folder, *words, stdin=draft.message.encode(), extra={**draft.author.environment, **extra})
    except Permanent as error:
        raise GitFailed(f"the commit could not be signed, nothing was pushed: {error}") from error
    return out.decode().strip()


def _verify(git: Git, folder: Path, sha: str, settings: tuple[str, ...], extra: dict[str, str], key_id: str) -> None:
    code, _, err = git.attempt(folder, *settings, "verify-commit", "--raw", sha, extra=extra)
    said = err.decode(errors="replace")
    ours = all(name in said for name in ("VALIDSIG", key_id)) if key_id else 'Good "git" signature for' in said
    if code or not ours:
        raise GitFailed(f"the signature of our own commit does not verify, nothing was pushed: {scrub(said)}")


@contextmanager
def gpg_home(git: Git, *keys: str) -> Generator[Path]:
    """A GnuPG home that knows these keys (armoured); it and its agent are gone after the block.

    Raises:
        ConfigError: there is no gpg, or one of the texts is no key.
    """
    # Not in our own folders: its sockets may have short names only.
    home = Path(tempfile.mkdtemp(prefix="retrain-gpg-", dir="/tmp"))
    extra = {"GNUPGHOME": str(home)}
    try:
        for key in keys:
            code, _, err = git.other(
                ["gpg", "--batch", "--quiet", "--no-tty", "--import"], stdin=key.encode(), extra=extra
            )
            if code:
                raise ConfigError(f"commit.sign.gpg: gpg does not take the key: {scrub(err.decode(errors='replace'))}")
        yield home
    finally:
        git.other(["gpgconf", "--kill", "all"], extra=extra)
        shutil.rmtree(home, ignore_errors=True)


def load_key(text: str, where: str) -> PrivateKey:
    """A private key from PEM or OpenSSH text.

    Raises:
        ConfigError: it is none, has a passphrase, or is of a kind that is not for signing.
    """
    load = pem.load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else pem.load_pem_private_key
    try:
        key = load(f"{text.strip()}\n".encode(), None)
    except TypeError:
        raise ConfigError(f"{where}: the key has a passphrase; give one without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{where}: is no private key (PEM or OpenSSH)") from None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey | EllipticCurvePrivateKey):
        raise ConfigError(f"{where}: must be an Ed25519, ECDSA or RSA key")
    return key


def ssh_texts(key: PrivateKey) -> tuple[str, str]:
    """The key as OpenSSH writes it, private and public."""
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.OpenSSH, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.OpenSSH, pem.PublicFormat.OpenSSH)
    return private.decode(), public.decode()
