"""Archives of unknown origin, unpacked so that nothing of it lands outside and nothing of it grows without end.

Refused, each by its name: absolute names, `..`, devices and pipes, links that lead out of the directory (seen when
all is there, so that a chain of links is followed too), names that are there twice as different things, encrypted
zips, more than the limits. Owners, times and the set-user-id bits are not restored; what the reader gets it can always
read and remove. Files are written before any link exists, so no file is written through one.

What is an archive is decided as upstream does: as declared, else what is a tar within gzip. A zip is one only when
declared. A single top entry stands for the whole.

Source: argo-workflows workflow/executor (`isTarball`, `untar`, `unzip`), read and not copied.
"""

from __future__ import annotations

import gzip
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipelines.artifacts.limits import Limits, Meter
from pipelines.artifacts.port import BadArtifact
from pipelines.artifacts.records import Packing
from pipelines.artifacts.trees import MODES

CHUNK = 1024 * 1024
_HEADER = 8 * 1024 * 1024
"""The longest header of a tar: more is an attack on memory."""
_LINK = 4096
_ZIP_ENTRY = 1024
"""Bytes that an entry of a zip's list may have, on average."""
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    struct.error,
    NotImplementedError,
)


def is_tarball(file: Path) -> bool:
    """Whether a file is a tar within gzip."""
    with file.open("rb") as raw:
        if raw.read(2) != b"\x1f\x8b":
            return False
        raw.seek(0)
        try:
            with gzip.GzipFile(fileobj=raw) as inner:
                head = inner.read(tarfile.BLOCKSIZE)
            if head != bytes(tarfile.BLOCKSIZE):  # that is an empty one
                tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except (*_BROKEN, OSError):
            return False
    return True


def unpack(archive: Path, packing: Packing, to: Path, limits: Limits) -> None:
    """Unpack a tar (with gzip or plain) or zip; `to` must not be there. After an error what is there is to be removed.

    Raises:
        BadArtifact: it is broken, too large, or not to be trusted; the message names the entry.
        OSError: this machine's disk.
    """
    landing = to.with_name(to.name + ".in")
    landing.mkdir()
    meter = Meter(limits, landing, packed=archive.stat().st_size)
    try:
        linked = (_unzip if packing == "zip" else _untar)(archive, _Landing(landing, meter))
    except _BROKEN as error:
        raise BadArtifact(f"the {packing} cannot be read: {error}") from error
    single = [entry.path for entry in os.scandir(landing)]
    (Path(single[0]) if len(single) == 1 else landing).rename(to)
    if len(single) == 1:
        landing.rmdir()
    if linked:
        check_links(to)


def check_links(root: Path) -> None:
    """See that no link below `root` (or `root` itself) leads out of it.

    Raises:
        BadArtifact: one does; it is named.
    """
    home = os.path.realpath(root.parent) + os.sep + root.name
    if root.is_symlink():
        raise BadArtifact(f"the link {str(root.readlink())!r} leads out of the artifact")
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118  # a walk of 100,000 files
            if not os.path.islink(path):  # noqa: PTH114
                continue
            target = os.path.realpath(path)
            if target != home and not target.startswith(home + os.sep):
                shown = os.path.relpath(path, root)
                raise BadArtifact(f"the link {shown!r} -> {os.readlink(path)!r} leads out of the artifact")  # noqa: PTH115


class _Landing:
    """Where entries are put, each checked before."""

    def __init__(self, root: Path, meter: Meter) -> None:
        self._root = os.fspath(root)
        self._meter = meter
        self._links: list[tuple[str, str]] = []

    def check_list(self, size: int) -> None:
        """Whether a zip's list of entries, of so many bytes, can hold no more entries than are allowed."""
        if size > self._meter.limits.max_entries * _ZIP_ENTRY:
            raise BadArtifact(f"the archive has more than {self._meter.limits.max_entries} entries")

    def place(self, name: str) -> str:
        """The path for an entry, its parents made.

        Raises:
            BadArtifact: it leads out.
        """
        self._meter.entry()
        if name.startswith("/") or "\0" in name:
            raise BadArtifact(f"the entry {name[:200]!r} has an absolute name")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise BadArtifact(f"the entry {name[:200]!r} leads out of the archive")
        path = "/".join((self._root, *parts))
        os.makedirs("/".join((self._root, *parts[:-1])), exist_ok=True)  # noqa: PTH103
        return path

    def folder(self, name: str, mode: int) -> None:
        path = self.place(name)
        os.makedirs(path, exist_ok=True)  # noqa: PTH103
        if path.rstrip("/") != self._root:
            os.chmod(path, mode & MODES | 0o700)  # noqa: PTH101

    def file(self, name: str, mode: int, read: Callable[[int], bytes]) -> None:
        """A regular file; of entries with one name the last counts."""
        path = self.place(name)
        if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
            os.unlink(path)  # noqa: PTH108
        with open(path, "xb", buffering=0) as out:  # noqa: PTH123
            zeros_last = False
            while data := read(CHUNK):
                self._meter.wrote(len(data))
                zeros_last = len(data) == CHUNK and not data.strip(b"\0")
                if zeros_last:
                    out.seek(len(data), os.SEEK_CUR)  # a hole
                else:
                    _write(out, data)
            if zeros_last:
                out.truncate(out.tell())
            os.fchmod(out.fileno(), mode & MODES | 0o400)

    def same(self, name: str, other: str) -> None:
        """A further name of a file that is there already."""
        path, source = self.place(name), self.place(other)
        if not os.path.isfile(source):  # noqa: PTH113
            raise BadArtifact(f"the entry {name[:200]!r} is a link to {other[:200]!r}, which is no file before it")
        os.link(source, path)

    def link(self, name: str, target: str) -> None:
        """A symbolic link; made when all else is there."""
        if "\0" in target or len(os.fsencode(target)) > _LINK:
            raise BadArtifact(f"the link {name[:200]!r} has an impossible target")
        self._links.append((self.place(name), target))

    def finish(self) -> bool:
        """Make the links; whether there are any."""
        for path, target in self._links:
            if os.path.lexists(path):
                raise BadArtifact(f"the entry {os.path.relpath(path, self._root)!r} is there twice")
            os.symlink(target, path)  # noqa: PTH211
        return bool(self._links)


def _write(out: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


# ---- tar ----


def _untar(archive: Path, landing: _Landing) -> bool:
    with archive.open("rb") as raw, _plain(raw) as plain:
        source: Any = Forward(plain)
        with tarfile.open(fileobj=source, mode="r:", errorlevel=2) as tar:
            forgetful: Any = tar
            while (entry := tar.next()) is not None:
                forgetful.members.clear()  # else it remembers them all
                try:
                    _take(tar, entry, landing)
                except FileExistsError as error:
                    raise BadArtifact(f"the entry {entry.name[:200]!r} is there twice, as different things") from error
                except (NotADirectoryError, IsADirectoryError) as error:
                    raise BadArtifact(f"the entry {entry.name[:200]!r} is both a file and a directory") from error
    return landing.finish()


def _take(tar: tarfile.TarFile, entry: tarfile.TarInfo, landing: _Landing) -> None:
    if entry.isdir():
        landing.folder(entry.name, entry.mode)
    elif entry.isreg():
        reader = tar.extractfile(entry)
        assert reader is not None
        landing.file(entry.name, entry.mode, reader.read)
    elif entry.issym():
        landing.link(entry.name, entry.linkname)
    elif entry.islnk():
        landing.same(entry.name, entry.linkname)
    else:
        raise BadArtifact(f"the entry {entry.name[:200]!r} is a device or a pipe")


@contextmanager
def _plain(raw: IO[bytes]) -> Generator[IO[bytes]]:
    zipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    if not zipped:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as inner:
        yield inner  # type: ignore[misc]


class Forward:
    """A stream as tarfile wants to read it: forward only, but for the last byte, and no more at once than a header may
    have."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._at = 0
        self._last = b""
        self._again = False

    def tell(self) -> int:
        return self._at - self._again

    def seek(self, to: int, _whence: int = 0) -> int:
        if to == self._at - 1 and self._last:
            self._again = True
            return to
        self._again = False
        while self._at < to:
            if not self._more(min(CHUNK, to - self._at)):
                break
        if to < self._at:
            raise tarfile.ReadError("entries overlap")
        return self._at

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _HEADER:
            raise tarfile.ReadError("a header is too long")
        first = self._last if self._again and size else b""
        self._again = False if size else self._again
        return first + self._more(size - len(first))

    def _more(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (piece := self._source.read(size - len(data))):
            data += piece
        if data:
            self._at += len(data)
            self._last = data[-1:]
        return data


# ---- zip ----


def _unzip(archive: Path, landing: _Landing) -> bool:
    _check_directory(archive, landing)
    with zipfile.ZipFile(archive) as source:
        for entry in source.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            mode = entry.external_attr >> 16 or 0o644
            if entry.flag_bits & 0x1:
                raise BadArtifact(f"the entry {entry.filename[:200]!r} is encrypted")
            if entry.is_dir():
                landing.folder(entry.filename, mode if kind else 0o755)
            elif kind == stat.S_IFLNK:
                with source.open(entry) as file:
                    landing.link(entry.filename, os.fsdecode(file.read(_LINK + 1)))
            elif kind in (0, stat.S_IFREG):
                try:
                    with source.open(entry) as file:
                        landing.file(entry.filename, mode, file.read)
                except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                    raise BadArtifact(
                        f"the entry {entry.filename[:200]!r} is there twice, as different things"
                    ) from error
            else:
                raise BadArtifact(f"the entry {entry.filename[:200]!r} is a device or a pipe")
    return landing.finish()


def _check_directory(archive: Path, landing: _Landing) -> None:
    """See how many entries a zip claims before its list is read into memory."""
    with archive.open("rb") as file:
        landing.check_list(listed_bytes(file))


def listed_bytes(file: IO[bytes]) -> int:
    """How long a zip's list of entries is, as it says itself.

    Source: APPNOTE.TXT 4.3.14 to 4.3.16.

    Raises:
        BadArtifact: it is none.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65_557 - 20))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise BadArtifact("the zip cannot be read: it has no end record")
    (listed,) = struct.unpack_from("<I", tail, at + 12)
    locator = tail.rfind(b"PK\x06\x07", 0, at)
    if listed == 0xFFFFFFFF and locator >= 0:
        file.seek(struct.unpack_from("<Q", tail, locator + 8)[0])
        record = file.read(56)
        listed = struct.unpack_from("<Q", record, 40)[0] if len(record) == 56 else 0
    return listed
