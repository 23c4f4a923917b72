"""Contents by their SHA-256: one copy on disk, however often and under however many names it is saved.

    blobs/<2 hex>/<62 hex>   the contents; written once, never changed
    tmp/                     what is being written

A blob gets its name by a rename when all of it is written, so a process that is killed leaves no broken one. After a
power cut a blob may be missing its end, as nothing is synced unless `sync` asks for it (then file and directories are,
before the rename and after it): its size is in every record that names it, and a blob of another size counts as
missing. Whatever is read of a blob is a copy: no step ever holds a name of the blob itself.

A blob that is found again is touched. So what a save relies on is young, and `sweep` takes only what is old.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from pipelines.artifacts import copying
from pipelines.artifacts.place import remove
from pipelines.artifacts.port import ArtifactMissing

SMALL = copying.CHUNK
"""Files up to this size are read at once, and written only if they are new."""
LARGE = 16 * copying.CHUNK
"""Files from this size on are first only hashed where a blob of exactly their size is there."""
_ZEROS = bytes(copying.CHUNK)


class Blobs:
    """The blobs of one directory. Threads and processes may share it."""

    def __init__(self, root: Path, *, sync: bool = False, known_size: Callable[[int], bool] = lambda _: False) -> None:
        """`known_size` says whether a blob of this size may be there already; a wrong answer costs time only."""
        self._root = root
        self._sync = sync
        self._known_size = known_size
        self._made: set[str] = set()
        self._lock = threading.Lock()

    def path(self, digest: str) -> Path:
        """Where a blob lies. Read it, never link to it."""
        return self._root / "blobs" / digest[:2] / digest[2:]

    # ---- in ----

    def add_bytes(self, data: bytes) -> str:
        """Keep these bytes; their digest."""
        digest = sha256(data).hexdigest()
        if not self._touch(digest, len(data)):
            with self._temporary() as (descriptor, temporary):
                copying.write_all(descriptor, data, 0)
                self._settle(descriptor, temporary, digest)
        return digest

    def add_file(self, source: int) -> tuple[str, int]:
        """Keep what an open regular file holds now: digest and size. What is hashed is what is kept, even if somebody
        writes to the file meanwhile."""
        size = os.fstat(source).st_size
        if size <= SMALL:
            data = _read(source, SMALL)
            return self.add_bytes(data), len(data)
        if size >= LARGE and self._known_size(size):
            digest, seen = _digest(source)
            if seen == size and self._touch(digest, size):
                return digest, size
        with self._temporary() as (descriptor, temporary):
            if copying.clone(source, descriptor):
                digest, size = _digest(descriptor)
            else:
                digest, size = _copy_hashed(source, descriptor)
            if not self._touch(digest, size):
                self._settle(descriptor, temporary, digest)
        return digest, size

    def add_chunks(self, chunks: Iterator[bytes]) -> tuple[str, int]:
        """Keep a stream; digest and size."""
        with self._temporary() as (descriptor, temporary):
            hasher, size = sha256(), 0
            for chunk in chunks:
                hasher.update(chunk)
                copying.write_all(descriptor, chunk, size)
                size += len(chunk)
            digest = hasher.hexdigest()
            if not self._touch(digest, size):
                self._settle(descriptor, temporary, digest)
        return digest, size

    def _touch(self, digest: str, size: int) -> bool:
        path = self.path(digest)
        try:
            os.utime(path)
            return path.stat().st_size == size
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def _temporary(self) -> Generator[tuple[int, Path]]:
        path = self._root / "tmp" / token_hex(12)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor, path
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):  # it has its name
                path.unlink()

    def _settle(self, descriptor: int, temporary: Path, digest: str) -> None:
        target = self.path(digest)
        if digest[:2] not in self._made:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._made.add(digest[:2])
        if self._sync:
            os.fsync(descriptor)
        temporary.rename(target)
        if self._sync:
            _sync_directory(target.parent)

    # ---- out ----

    def open(self, digest: str, size: int) -> int:
        """A descriptor to read a blob.

        Raises:
            ArtifactMissing: it is not there, or not whole.
        """
        try:
            descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ArtifactMissing(f"the contents {digest[:12]} are not in the repository any more") from None
        if os.fstat(descriptor).st_size != size:
            os.close(descriptor)
            raise ArtifactMissing(f"the contents {digest[:12]} are damaged: the machine went down while they were kept")
        return descriptor

    def copy_out(self, digest: str, size: int, to: Path | bytes, mode: int) -> None:
        """Make a new file with the blob's contents.

        Raises:
            ArtifactMissing: as `open`.
            FileExistsError: `to` is there.
        """
        source = self.open(digest, size)
        try:
            target = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if size <= SMALL:
                    copying.write_all(target, _read(source, SMALL), 0)
                else:
                    copying.copy(source, target, size)
                os.fchmod(target, mode)
            finally:
                os.close(target)
        finally:
            os.close(source)

    # ---- away ----

    def sweep(self, wanted: Callable[[str], bool], before: float) -> int:
        """Remove blobs that are not `wanted` and leftovers, last touched before this time (seconds since 1970); how
        many."""
        removed = 0
        for digest, path in self._all():
            if not wanted(digest) and _older(path, before):
                removed += self._remove(path, before)
        for left in _files(self._root / "tmp"):
            if _older(left, before):
                remove(left)
        return removed

    def _remove(self, path: Path, before: float) -> int:
        """By way of another name: a save that touched the blob a moment ago gets it back."""
        grave = self._root / "tmp" / token_hex(12)
        try:
            path.rename(grave)
        except FileNotFoundError:
            return 0
        if _older(grave, before):
            grave.unlink()
            return 1
        grave.rename(path)
        return 0

    def _all(self) -> Iterator[tuple[str, Path]]:
        root = self._root / "blobs"
        for folder in sorted(root.iterdir()) if root.exists() else ():
            for path in _files(folder):
                yield folder.name + path.name, path


def _files(folder: Path) -> Iterator[Path]:
    if folder.exists():
        with os.scandir(folder) as entries:
            for entry in entries:
                yield Path(entry.path)


def _older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _read(source: int, most: int) -> bytes:
    os.lseek(source, 0, os.SEEK_SET)
    data = os.read(source, most)
    while more := os.read(source, most):  # it grew, or came in pieces
        data += more
        if len(data) > most:
            break
    return data


def _digest(source: int) -> tuple[str, int]:
    """Of what a file holds; its holes are not read from disk."""
    hasher, size = sha256(), os.fstat(source).st_size
    buffer = memoryview(bytearray(copying.CHUNK))
    at = 0
    for offset, length in copying.segments(source, size):
        _hash_zeros(hasher, offset - at)
        at, end = offset, offset + length
        while at < end:
            count = os.preadv(source, [buffer[: min(copying.CHUNK, end - at)]], at)
            if not count:
                return hasher.hexdigest(), at
            hasher.update(buffer[:count])
            at += count
    _hash_zeros(hasher, size - at)
    return hasher.hexdigest(), size


def _copy_hashed(source: int, target: int) -> tuple[str, int]:
    hasher, size = sha256(), os.fstat(source).st_size
    buffer = memoryview(bytearray(copying.CHUNK))
    at = 0
    for offset, length in copying.segments(source, size):
        _hash_zeros(hasher, offset - at)
        at, end = offset, offset + length
        while at < end:
            count = os.preadv(source, [buffer[: min(copying.CHUNK, end - at)]], at)
            if not count:
                os.ftruncate(target, at)
                return hasher.hexdigest(), at
            hasher.update(buffer[:count])
            copying.write_all(target, buffer[:count], at)
            at += count
    _hash_zeros(hasher, size - at)
    os.ftruncate(target, size)
    return hasher.hexdigest(), size


class _Hasher(Protocol):
    def update(self, data: memoryview, /) -> None: ...


def _hash_zeros(hasher: _Hasher, count: int) -> None:
    while count > 0:
        hasher.update(memoryview(_ZEROS)[: min(count, len(_ZEROS))])
        count -= len(_ZEROS)


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
