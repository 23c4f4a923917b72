"""The repository that needs no server: a directory with blobs and a table of keys.

What is saved is not packed: a directory is a list of blobs, and the reader gets the files. Whoever wants the bytes that
upstream would have stored (`open`, `archive: none` on a key that was saved as tar) has them packed while reading.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from pipelines.artifacts import trees
from pipelines.artifacts.blobs import LARGE, Blobs
from pipelines.artifacts.packing import Member, pack
from pipelines.artifacts.port import ArtifactMissing, BadArtifact
from pipelines.artifacts.records import Packing, Record, Records
from pipelines.artifacts.unpacking import check_links
from retrain.log import get_logger

log = get_logger()

GRACE_S = 24 * 3600.0
"""Seconds that contents without a key are kept: longer than any save takes."""


@dataclass(frozen=True, slots=True)
class Owner:
    """By whom, and how, something is saved."""

    run_id: str
    named: bool
    packing: Packing
    level: int


class LocalRepository:
    """All artifacts below `root`."""

    def __init__(self, root: Path, *, sync: bool = False) -> None:
        self.root = root
        self.records = Records(root / "records.db", sync=sync)
        self.blobs = Blobs(root, sync=sync, known_size=self.records.knows_size)

    # ---- in ----

    def save(self, key: str, found: Path, owner: Owner) -> None:
        """Keep a file or directory at a key."""
        name = os.fsencode(key).rstrip(b"/")
        top = os.lstat(found)
        if not stat.S_ISDIR(top.st_mode):
            self.records.put([self._file(name, os.fsencode(found), owner, os.fsencode(found.name), large := [])], large)
        elif owner.packing == "none":
            self._save_files(name, found, owner)
        else:
            self._save_tree(name, found, top.st_mode & trees.MODES, owner)

    def _file(self, key: bytes, path: bytes, owner: Owner, base: bytes, large: list[tuple[int, str]]) -> Record:
        digest, size, mode = self._add(path, large)
        return Record(
            key, "file", digest, size, mode, owner.packing, owner.level, base, owner.run_id, owner.named, time.time()
        )

    def _add(self, path: bytes, large: list[tuple[int, str]]) -> tuple[str, int, int]:
        source = trees.open_file(path)
        try:
            digest, size = self.blobs.add_file(source)
            if size >= LARGE:
                large.append((size, digest))
            return digest, size, os.fstat(source).st_mode & trees.MODES
        finally:
            os.close(source)

    def _save_tree(self, key: bytes, found: Path, mode: int, owner: Owner) -> None:
        large: list[tuple[int, str]] = []
        digest, size = self.blobs.add_chunks(_joined(self._entries(os.fsencode(found), large)))
        base = os.fsencode(found.name)
        record = Record(
            key, "tree", digest, size, mode, owner.packing, owner.level, base, owner.run_id, owner.named, time.time()
        )
        self.records.put([record], large)

    def _entries(self, root: bytes, large: list[tuple[int, str]]) -> Iterator[bytes]:
        for path, seen in trees.walk(root):
            full = root + b"/" + path
            if stat.S_ISDIR(seen.st_mode):
                yield trees.encode(trees.Entry("d", path, seen.st_mode & trees.MODES))
            elif stat.S_ISLNK(seen.st_mode):
                yield trees.encode(trees.Entry("l", path, target=os.readlink(full)))  # noqa: PTH115
            elif trees.usable(full, seen):
                digest, size, mode = self._add(full, large)
                yield trees.encode(trees.Entry("f", path, mode, size, digest))

    def _save_files(self, key: bytes, found: Path, owner: Owner) -> None:
        """Each file at a key of its own, as in a bucket; links are left out, as upstream does."""
        root, large, records = os.fsencode(found), list[tuple[int, str]](), list[Record]()
        filled: set[bytes] = set()
        folders = [b""]
        for path, seen in trees.walk(root):
            if stat.S_ISDIR(seen.st_mode):
                folders.append(path)
            elif stat.S_ISLNK(seen.st_mode):
                log.warning("artifact.left_out", path=os.fsdecode(path), reason="a link, and archive is none")
                continue
            elif trees.usable(root + b"/" + path, seen):
                records.append(self._file(_join(key, path), root + b"/" + path, owner, path.rpartition(b"/")[2], large))
            filled.add(path.rpartition(b"/")[0])
        records += [
            Record(
                _join(key, path) + b"/", "empty", "", 0, 0o755, "none", -1, b"", owner.run_id, owner.named, time.time()
            )
            for path in folders
            if path not in filled
        ]
        self.records.put(records, large)

    # ---- out ----

    def find(self, key: str) -> Record | None:
        """What lies at this very key."""
        return self.records.get(os.fsencode(key).rstrip(b"/"))

    def below(self, key: str) -> Iterator[Record]:
        """What lies below a key, in order."""
        name = os.fsencode(key).rstrip(b"/")
        return self.records.below(name + b"/" if name else b"")

    def unpacked(self, record: Record, to: Path, sub: str = "") -> None:
        """Make the file or directory that was saved, or the part `sub` of the directory.

        Raises:
            ArtifactMissing: there is no such part, or the contents are gone.
            BadArtifact: a link leads out.
        """
        if record.kind == "tree":
            self._grow(record, to, os.fsencode(sub))
        elif sub:
            raise ArtifactMissing(f"there is no {sub!r} in a single file")
        else:
            self.blobs.copy_out(record.digest, record.size, to, record.mode | 0o400)

    def _grow(self, record: Record, to: Path, sub: bytes) -> None:
        root, linked, found = os.fsencode(to), False, not sub
        if found:
            to.mkdir(mode=record.mode | 0o700)
        for entry in self.entries(record):
            path = _part(entry.path, sub)
            if path is None:
                continue
            found = True
            self._make(entry, root + b"/" + path if path else root)
            linked = linked or entry.kind == "l"
        if not found:
            raise ArtifactMissing(f"there is no {os.fsdecode(sub)!r} in it")
        if linked:
            check_links(to)

    def _make(self, entry: trees.Entry, path: bytes) -> None:
        match entry.kind:
            case "d":
                os.mkdir(path, entry.mode | 0o700)  # noqa: PTH102  # names as bytes
            case "l":
                os.symlink(entry.target, path)  # noqa: PTH211
            case "f":
                self.blobs.copy_out(entry.digest, entry.size, path, entry.mode | 0o400)

    def entries(self, record: Record) -> Iterator[trees.Entry]:
        """What is in a directory that was saved as one."""
        with BufferedReader(FileIO(self.blobs.open(record.digest, record.size))) as file:
            yield from trees.read(file)

    def packed(self, record: Record, out: BinaryIO) -> None:
        """Write the bytes that lie at the key, as upstream would have stored them."""
        if record.packing == "none":
            with BufferedReader(FileIO(self.blobs.open(record.digest, record.size))) as file:
                while data := file.read(1024 * 1024):
                    out.write(data)
        else:
            pack(self._members(record), record.packing, record.level, out)

    def _members(self, record: Record) -> Iterator[Member]:
        if record.kind == "file":
            source = self.blobs.open(record.digest, record.size)
            yield Member("f", record.base, record.mode, record.size, source=source)
            return
        yield Member("d", record.base, record.mode)
        for entry in self.entries(record):
            name = record.base + b"/" + entry.path
            source = self.blobs.open(entry.digest, entry.size) if entry.kind == "f" else b""
            yield Member(entry.kind, name, entry.mode, entry.size, entry.target, source)

    # ---- away ----

    def delete(self, key: str) -> None:
        """Forget a key and what is below it; the contents go with the next sweep."""
        self.records.delete(os.fsencode(key))

    def forget_run(self, run_id: str) -> int:
        """Forget what a deleted run saved under keys that it did not choose itself; how many."""
        return self.records.forget_run(run_id)

    def sweep(self, now: float, keep_days: int | None = None, grace_s: float = GRACE_S) -> int:
        """Remove contents that no key names any more; how many. `now` in seconds since 1970.

        Safe beside saves and loads of any process. `keep_days`: first forget what is older, under keys that no
        workflow chose.
        """
        if keep_days is not None:
            self.records.forget_before(now - keep_days * 86_400)
        wanted: set[str] = set()
        for kind, digest, size in self.records.contents():
            wanted.add(digest)
            if kind == "tree":
                wanted.update(self._parts(digest, size))
        removed = self.blobs.sweep(wanted.__contains__, now - grace_s)
        self.records.forget_gone(lambda digest: self.blobs.path(digest).exists())
        return removed

    def _parts(self, digest: str, size: int) -> Iterable[str]:
        try:
            with BufferedReader(FileIO(self.blobs.open(digest, size))) as file:
                return [entry.digest for entry in trees.read(file) if entry.kind == "f"]
        except ArtifactMissing:  # damaged: nobody can load it
            return ()

    def close(self) -> None:
        """Let go of the table's file."""
        self.records.close()


def child(record: Record, key: str) -> bytes:
    """The path of a record below a key.

    Raises:
        BadArtifact: no file can have it.
    """
    name = os.fsencode(key).rstrip(b"/")
    return safe_path(record.key[len(name) + 1 if name else 0 :].rstrip(b"/"))


def safe_path(path: bytes) -> bytes:
    """A part of a key as a path below a directory.

    Raises:
        BadArtifact: it leads out, or is none.
    """
    parts = path.split(b"/")
    if (any(part in (b"", b".", b"..") for part in parts) and path) or b"\0" in path:
        raise BadArtifact(f"the key {os.fsdecode(path)[:200]!r} is no path below a directory")
    return path


def _join(key: bytes, path: bytes) -> bytes:
    return key + b"/" + path if key and path else key or path


def _part(path: bytes, sub: bytes) -> bytes | None:
    """A path as seen from `sub`; None if it is not below it."""
    if not sub:
        return path
    if path == sub:
        return b""
    return path[len(sub) + 1 :] if path.startswith(sub + b"/") else None


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """In larger pieces."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size > 256 * 1024:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)
