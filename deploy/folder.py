"""The digest of a model that is a folder: that of the list of its files' digests."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path

from deploy.canonical import digest_of

MOST_FILES = 10_000


def digest_of_files(files: Mapping[str, str]) -> str:
    """`sha256:` and 64 hex digits, from `{path in the folder, with "/": sha256 of the file in hex}`.

    It is the SHA-256 of that object as canonical JSON (RFC 8785): `{"MLmodel":"9f2c...","data/model.pkl":"77e0..."}`.
    A model that is one file has the file's own digest, not this.
    """
    return digest_of(dict(files))


def digest_of_folder(folder: Path) -> str | None:
    """The digest of a folder on this machine; None where it has none: it holds links, or nothing, or too much.

    Raises:
        OSError: it cannot be read.
    """
    found: dict[str, str] = {}
    for path in folder.rglob("*"):
        if path.is_symlink() or len(found) > MOST_FILES:
            return None
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = file_digest(file, "sha256").hexdigest()
    return digest_of_files(found) if found else None
