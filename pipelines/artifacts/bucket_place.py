"""A key in a bucket, whoever serves it: one object, or all objects below it as a directory.

Source: argo-workflows workflow/artifacts/s3, read and not copied: a key that is no object is taken for a directory;
keys that end in a slash are none; links of a saved directory are left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol

from pipelines.artifacts import trees
from pipelines.artifacts.local import safe_path
from pipelines.artifacts.place import PAUSES_S, attempt
from pipelines.artifacts.port import ArtifactMissing, BadArtifact
from retrain.log import get_logger

log = get_logger()

_PAGE = 1000


class Bucket(Protocol):
    """The objects of one bucket. Each call is one attempt.

    Raises:
        ArtifactMissing: there is no such object.
        Permanent: the server refuses.
        Transient: the server is away, busy or broken.
    """

    def get(self, key: str, to: Path) -> None:
        """Write the object to a new file."""
        ...

    def put(self, key: str, file: Path) -> None:
        """Store a file; readers see the old object or the new one."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Read the object."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """All keys that begin so, in order, a page at a time."""
        ...

    def has(self, key: str) -> bool:
        """Whether there is such an object."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; none is as good."""
        ...


class BucketPlace:
    """What lies at `key`."""

    def __init__(self, bucket: Bucket, key: str, pauses: tuple[float, ...] = PAUSES_S) -> None:
        self._bucket = bucket
        self._key = key
        self._pauses = pauses

    def fetch(self, to: Path, sub: str) -> bool:
        if not self._key.endswith("/") and self._has_got(self._key, to):
            return False
        key = "/".join(part for part in (self._key.rstrip("/"), sub) if part)
        if not (sub and self._has_got(key, to)):
            self._fetch_folder(to, key)
        return True

    def _has_got(self, key: str, to: Path) -> bool:
        try:
            self._get(key, to)
        except ArtifactMissing:
            to.unlink(missing_ok=True)
            return False
        return True

    def _fetch_folder(self, to: Path, key: str) -> None:
        prefix = key.rstrip("/") + "/" if key else ""
        for name in self._list(prefix):
            path = to / os.fsdecode(safe_path(os.fsencode(name[len(prefix) :])))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._get(name, path)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise BadArtifact(f"below {key!r} a key is both a file and a directory: {name!r}") from error
        if not to.exists():
            raise ArtifactMissing(f"nothing lies at {self._key!r}")

    def _get(self, key: str, to: Path) -> None:
        def once() -> None:
            if to.is_dir():
                raise IsADirectoryError(to)
            to.unlink(missing_ok=True)  # what an attempt before this one left
            self._bucket.get(key, to)

        attempt(once, key, self._pauses)

    def put(self, found: Path) -> None:
        if not found.is_dir():
            self._put(self._key, found)
            return
        root = os.fsencode(found)
        for path, seen in trees.walk(root):
            if stat.S_ISDIR(seen.st_mode):
                continue
            if stat.S_ISLNK(seen.st_mode):
                log.warning("artifact.left_out", path=os.fsdecode(path), reason="a link, and archive is none")
            elif trees.usable(path, seen):
                self._put("/".join((self._key.rstrip("/"), _text(path))), found / os.fsdecode(path))

    def _put(self, key: str, file: Path) -> None:
        attempt(lambda: self._bucket.put(key, file), key, self._pauses)

    def keys(self) -> Iterator[str]:
        key = self._key.rstrip("/")
        empty = True
        for name in self._list(key + "/" if key else ""):
            empty = False
            yield name
        if empty and not (key and attempt(lambda: self._bucket.has(key), key, self._pauses)):
            raise ArtifactMissing(f"no key found of name {self._key}")

    def _list(self, prefix: str) -> Iterator[str]:
        names = attempt(lambda: _begun(self._bucket.list(prefix)), prefix, self._pauses)
        return (name for name in names if not name.endswith("/"))

    def open(self) -> BinaryIO:
        return attempt(lambda: self._bucket.open(self._key), self._key, self._pauses)

    def delete(self) -> None:
        key = self._key.rstrip("/")
        attempt(lambda: self._bucket.delete(key), key, self._pauses)
        # Page for page from the start: a list is not to be trusted while its keys go.
        while names := attempt(lambda: list(islice(self._bucket.list(key + "/"), _PAGE)), key, self._pauses):
            for name in names:
                self._delete(name)

    def _delete(self, name: str) -> None:
        attempt(lambda: self._bucket.delete(name), name, self._pauses)


def _begun(names: Iterator[str]) -> Iterator[str]:
    """The same, with the first page asked for: so its failure is seen here."""
    first = next(names, None)

    def all_of() -> Iterator[str]:
        if first is not None:
            yield first
            yield from names

    return all_of()


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError:
        raise BadArtifact(f"{os.fsdecode(path)!a} is not UTF-8: a bucket cannot hold it; archive as tar") from None
