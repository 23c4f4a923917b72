"""A look at an artifact: the beginning of a file, or what a directory or an archive holds, without loading it.

Nothing is written to a disk but the copy of a zip (whose list is at its end), nothing is unpacked but what passes by,
and all of it is bounded: what an archive claims of itself is not believed. Names are told as they are; they never
become paths.
"""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, FileIO
from itertools import islice
from typing import IO, Any, BinaryIO, Literal, Protocol, cast

from pipelines.artifacts.limits import MIB
from pipelines.artifacts.local_place import LocalPlace
from pipelines.artifacts.places import Surroundings, find_place, kind_of
from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, BadArtifact
from pipelines.artifacts.records import Record
from pipelines.artifacts.unpacking import Forward, listed_bytes
from pipelines.core.nodes import Artifact

Kind = Literal["file", "folder", "link", "other"]
ENTRIES = 500
"""Entries that are told."""
WALKED = 20_000
"""Entries of an archive that are passed on the way to one of them."""
PASSED = 64 * MIB
"""Bytes of an archive, unpacked, that are passed."""
ZIPPED = 32 * MIB
"""Bytes of a zip that is looked into."""
LISTED = MIB
"""Bytes of a zip's list of entries."""
FAR = ("http", "git", "artifactory")
"""Kinds of places that are asked for a whole thing only."""
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error, NotImplementedError)


class TooFar(BadArtifact):
    """What is looked for may be there, but further on than anybody looks."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a directory or an archive. `size` in bytes, None where nobody knows it; `target` of a link."""

    name: str
    kind: Kind = "file"
    size: int | None = None
    target: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is. Of a file: `head`, its beginning, which is `whole` if it is all of it. Of a directory or archive:
    its `entries`, and whether there are `more`."""

    name: str
    size: int | None = None
    head: bytes = b""
    whole: bool = True
    entries: tuple[Entry, ...] | None = None
    more: bool = False


class Readable(Protocol):
    """Bytes that come one after the other."""

    def read(self, size: int = -1, /) -> bytes: ...


Walk = Iterator[tuple[Entry, Readable | None]]
"""What is in something, each file with its bytes, which can be read until the next one is asked for."""


def look(around: Surroundings, artifact: Artifact, run: ArtifactRun, path: str, most: int) -> Look:
    """Look at an artifact, or at what is at `path` in it; at most `most` bytes of a file.

    Raises:
        ArtifactMissing: there is nothing.
        BadArtifact: it is broken, or (TooFar) larger than anybody looks.
        ConfigError, Permanent, Transient, OSError: as the port says.
    """
    if kind_of(artifact) in FAR:
        raise TooFar(f"it lies at another server ({kind_of(artifact)}); download it")
    place = find_place(artifact, run, around).place
    if isinstance(place, LocalPlace):
        return _local(place, path, most)
    with place.open() as file:
        found = _file(str(artifact.get("name")), None, file, path, most)
    # Packed by the platform: a single file is what was saved, which may be an archive itself.
    return _file(found.name, found.size, io.BytesIO(found.head), path, most) if found.whole and found.head else found


def _local(place: LocalPlace, path: str, most: int) -> Look:
    repository, key = place.repository, place.key
    record = repository.find(key)
    if record is None:
        inside = (_of_record(one, key, place) for one in repository.below(key))
        return _inside(posixpath.basename(key.rstrip("/")), _begun(inside, key), path, most)
    if record.kind == "tree":
        return _inside(_text(record.base), _of_tree(place, record), path, most)
    with _blob(place, record.digest, record.size) as file:
        return _file(_text(record.base) or posixpath.basename(key), record.size, file, path, most)


def _begun(inside: Walk, key: str) -> Walk:
    first = next(inside, None)
    if first is None:
        raise ArtifactMissing(f"nothing lies at {key!r} in the repository")

    def whole() -> Walk:
        yield first
        yield from inside

    return whole()


def _of_record(one: Record, key: str, place: LocalPlace) -> tuple[Entry, Readable | None]:
    name = _text(one.key[len(os.fsencode(key.rstrip("/"))) + 1 :])
    if one.kind == "empty":
        return Entry(name.rstrip("/"), "folder"), None
    return Entry(name, "file", one.size), _Later(place, one.digest, one.size)


def _of_tree(place: LocalPlace, record: Record) -> Walk:
    for one in place.repository.entries(record):
        name = _text(one.path)
        if one.kind == "f":
            yield Entry(name, "file", one.size), _Later(place, one.digest, one.size)
        else:
            yield Entry(name, "folder" if one.kind == "d" else "link", target=_text(one.target)), None


def _text(name: bytes) -> str:
    """A name as text; one that is none has its bytes written out, and is found by that."""
    return name.decode(errors="backslashreplace")


@contextmanager
def _blob(place: LocalPlace, digest: str, size: int) -> Generator[BinaryIO]:
    with BufferedReader(FileIO(place.repository.blobs.open(digest, size))) as file:
        yield cast("BinaryIO", file)


class _Later:
    """A kept file that is opened when it is read: a directory may have many, and one of them is wanted."""

    def __init__(self, place: LocalPlace, digest: str, size: int) -> None:
        self._said = (place, digest, size)

    def read(self, size: int = -1, /) -> bytes:
        place, digest, whole = self._said
        with _blob(place, digest, whole) as file:
            return file.read(size)


# --- files and archives ----------------------------------------------------------------------------------------------


def _file(name: str, size: int | None, file: Readable, path: str, most: int) -> Look:
    """A file, or what is in it if it is an archive."""
    head = file.read(most + 1)
    try:
        if head.startswith(b"PK\x03\x04"):
            with _copied(head, file) as copy:
                return _inside(name, _of_zip(copy), path, most)
        if head.startswith(b"\x1f\x8b"):
            return _gzipped(name, head, file, path, most)
        if head[257:262] == b"ustar":
            return _inside(name, _of_tar(_Chained(head, file)), path, most)
    except _BROKEN as error:
        if isinstance(error, BadArtifact):
            raise
        raise BadArtifact(f"the archive cannot be read: {error}") from error
    if path:
        raise ArtifactMissing(f"there is no {path[:200]!r} in a single file")
    return Look(name, size, head[:most], len(head) <= most)


def _gzipped(name: str, head: bytes, file: Readable, path: str, most: int) -> Look:
    with gzip.GzipFile(fileobj=cast("Any", _Chained(head, file))) as opened:
        begin = opened.read(most + 1)
        if begin[257:262] == b"ustar":
            found = _inside(name, _of_tar(_Chained(begin, opened)), path, most)
            return _single(found, path)
    if path:
        raise ArtifactMissing(f"there is no {path[:200]!r} in a single file")
    return Look(name.removesuffix(".gz"), None, begin[:most], len(begin) <= most)


def _single(found: Look, path: str) -> Look:
    """An archive of one file is that file: so the platform keeps those."""
    only = found.entries[0] if found.entries is not None and len(found.entries) == 1 and not found.more else None
    if path or only is None or only.kind != "file":
        return found
    return Look(only.name, only.size, found.head, found.whole)


def _inside(name: str, inside: Walk, path: str, most: int) -> Look:
    """What is in something, or the file at `path` in it."""
    told: list[Entry] = []
    head, whole = b"", True
    try:
        for number, (entry, file) in enumerate(_until(inside)):
            if path and entry.name == path:
                return _member(entry, file, most)
            if not number and file is not None and not path:
                begin = file.read(most + 1)
                head, whole = begin[:most], len(begin) <= most
            told.append(entry)
            if not path and len(told) > ENTRIES:
                break
    except _Enough:
        if path:
            raise TooFar(f"{path[:200]!r} is not among what is looked at; download the whole") from None
        return Look(name, entries=tuple(told[:ENTRIES]), more=True)
    if path:
        raise ArtifactMissing(f"there is no {path[:200]!r} in it")
    return Look(name, head=head, whole=whole, entries=tuple(told[:ENTRIES]), more=len(told) > ENTRIES)


def _until(inside: Walk) -> Walk:
    yield from islice(inside, WALKED)
    if next(inside, None) is not None:
        raise _Enough


def _member(entry: Entry, file: Readable | None, most: int) -> Look:
    if file is None:
        raise BadArtifact(f"{entry.name[:200]!r} is no file but a {entry.kind}")
    begin = file.read(most + 1)
    name = posixpath.basename(entry.name)
    if begin.startswith(b"\x1f\x8b") and len(begin) <= most:
        with gzip.GzipFile(fileobj=io.BytesIO(begin)) as opened:
            begin = opened.read(most + 1)
        return Look(name.removesuffix(".gz"), None, begin[:most], len(begin) <= most)
    return Look(name, entry.size, begin[:most], len(begin) <= most)


def _of_tar(file: Readable) -> Walk:
    source: Any = Forward(cast("Any", _Bounded(file)))
    with tarfile.open(fileobj=source, mode="r:", errorlevel=2) as tar:
        forgetful: Any = tar
        while (entry := tar.next()) is not None:
            forgetful.members.clear()  # else it remembers them all
            yield _told(entry), cast("IO[bytes]", tar.extractfile(entry)) if entry.isreg() else None


def _told(entry: tarfile.TarInfo) -> Entry:
    name = _text(os.fsencode(entry.name)).removeprefix("./") or "."
    if entry.isreg():
        return Entry(name, "file", entry.size)
    if entry.issym() or entry.islnk():
        return Entry(name, "link", target=_text(os.fsencode(entry.linkname)))
    return Entry(name, "folder" if entry.isdir() else "other")


def _of_zip(file: IO[bytes]) -> Walk:
    if listed_bytes(file) > LISTED:
        raise TooFar("the zip has more entries than are looked at; download it")
    with zipfile.ZipFile(file) as source:
        for entry in source.infolist():
            link = stat.S_IFMT(entry.external_attr >> 16) == stat.S_IFLNK
            if entry.is_dir() or link or entry.flag_bits & 0x1:
                kind: Kind = "link" if link else "folder" if entry.is_dir() else "other"
                yield Entry(entry.filename.rstrip("/"), kind), None
                continue
            with source.open(entry) as opened:
                yield Entry(entry.filename, "file", entry.file_size), opened


@contextmanager
def _copied(head: bytes, file: Readable) -> Generator[IO[bytes]]:
    """A copy that can be read from anywhere."""
    with tempfile.SpooledTemporaryFile(max_size=MIB) as copy:
        copy.write(head)
        while data := file.read(MIB):
            copy.write(data)
            if copy.tell() > ZIPPED:
                raise TooFar(f"a zip of more than {ZIPPED // MIB} MiB is not looked into; download it")
        copy.seek(0)
        yield cast("IO[bytes]", copy)


class _Enough(Exception):
    """So much was passed that nobody looks further."""


class _Bounded:
    """A stream that ends with `_Enough` after `PASSED` bytes."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._left = PASSED

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _Enough
        return data


class _Chained:
    """What was read already, and then the rest."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        first = self._head.read(size)
        if size < 0:
            return first + self._rest.read()
        return first if len(first) == size else first + self._rest.read(size - len(first))
