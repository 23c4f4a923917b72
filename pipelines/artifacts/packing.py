"""Files and directories as one stream: tar with gzip, or zip. The same contents give the same bytes.

Names begin with the name of what is packed, as upstream packs them: the reader takes a single top entry for the whole.
No times and no owners are written. Flat memory; a hole costs the zeros it stands for.

Source: argo-workflows util/archive, read and not copied: one top entry, gzip at the declared level.
"""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pipelines.artifacts import trees
from pipelines.artifacts.port import BadArtifact
from pipelines.artifacts.records import Packing

CHUNK = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can say."""


@dataclass(frozen=True, slots=True)
class Member:
    """One thing to pack. `name` is its whole name in the archive."""

    kind: str
    """`f`, `d` or `l`, as in `pipelines.artifacts.trees`."""
    name: bytes
    mode: int
    size: int = 0
    target: bytes = b""
    source: bytes | int | Path = b""
    """Of a file: its path, or an open descriptor, which is closed here."""


class _Out(Protocol):
    def write(self, data: bytes, /) -> int: ...


def members_of(found: Path) -> Iterator[Member]:
    """What a file or directory on disk is made of."""
    root, base = os.fsencode(found), os.fsencode(found.name)
    top = os.lstat(root)
    if not stat.S_ISDIR(top.st_mode):
        yield Member("f", base, top.st_mode & trees.MODES, top.st_size, source=root)
        return
    yield Member("d", base, top.st_mode & trees.MODES)
    for path, seen in trees.walk(root):
        full = root + b"/" + path
        if not trees.usable(full, seen):
            continue
        mode, name = seen.st_mode & trees.MODES, base + b"/" + path
        if stat.S_ISLNK(seen.st_mode):
            yield Member("l", name, mode, target=os.readlink(full))  # noqa: PTH115
        elif stat.S_ISDIR(seen.st_mode):
            yield Member("d", name, mode)
        else:
            yield Member("f", name, mode, seen.st_size, source=full)


def pack(members: Iterable[Member], packing: Packing, level: int, out: BinaryIO) -> None:
    """Write the archive.

    Raises:
        BadArtifact: a file changed while it was packed, or a zip cannot hold a name.
    """
    if packing == "zip":
        _zip(members, out)
    else:
        _tar(members, level, out)


def _tar(members: Iterable[Member], level: int, out: BinaryIO) -> None:
    zipped = gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=out, mtime=0)
    # GNU's format holds any length, any size and names that are not UTF-8.
    with zipped, tarfile.open(fileobj=zipped, mode="w|", format=tarfile.GNU_FORMAT, bufsize=CHUNK) as tar:
        forgetful: Any = tar
        for member in members:
            forgetful.members.clear()  # else it remembers them all
            entry = tarfile.TarInfo(os.fsdecode(member.name))
            entry.mode = member.mode
            match member.kind:
                case "d":
                    entry.type = tarfile.DIRTYPE
                    tar.addfile(entry)
                case "l":
                    entry.type, entry.linkname = tarfile.SYMTYPE, os.fsdecode(member.target)
                    tar.addfile(entry)
                case _:
                    with _opened(member) as file:
                        entry.size = os.fstat(file.fileno()).st_size
                        _add(tar, entry, file)


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, file: BinaryIO) -> None:
    try:
        tar.addfile(entry, file)
    except OSError as error:
        if "end of data" in str(error):
            raise BadArtifact(f"{entry.name} became shorter while it was packed") from error
        raise


def _zip(members: Iterable[Member], out: BinaryIO) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            try:
                name = member.name.decode()
            except UnicodeDecodeError:
                raise BadArtifact(
                    f"{os.fsdecode(member.name)!a} is not UTF-8: a zip cannot hold it; pack as tar"
                ) from None
            kind = {"d": stat.S_IFDIR, "l": stat.S_IFLNK}.get(member.kind, stat.S_IFREG)
            entry = zipfile.ZipInfo(name + "/" * (member.kind == "d"), _EPOCH)
            entry.create_system = 3  # Unix: the mode counts
            entry.external_attr = (kind | member.mode) << 16 | (0x10 if member.kind == "d" else 0)
            if member.kind == "d":
                archive.writestr(entry, b"")
            elif member.kind == "l":
                archive.writestr(entry, member.target)
            else:
                entry.compress_type = zipfile.ZIP_DEFLATED
                with _opened(member) as file, archive.open(entry, "w", force_zip64=True) as into:
                    _copy(file, into)


def _copy(file: BinaryIO, into: _Out) -> None:
    while data := file.read(CHUNK):
        into.write(data)


def _opened(member: Member) -> BinaryIO:
    given = member.source
    descriptor = given if isinstance(given, int) else trees.open_file(os.fsencode(given))
    return FileIO(descriptor)  # unbuffered: it is read in large pieces
