"""Directories as lists of their files: what is changed in one costs that file and the list.

A list holds one entry for each file, directory and link below the top, sorted by path, parents first:

    f <mode, octal> <size> <sha256> <path> NUL
    d <mode> <path> NUL
    l <path> NUL <target> NUL

Paths are bytes, relative, and come from a walk of ours: never absolute, never with `..`. What is no file, directory or
link (sockets, pipes, devices) is left out. Links are kept as they are written and judged when they are made again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from pipelines.artifacts.port import BadArtifact
from retrain.log import get_logger

log = get_logger()

MODES = 0o777
"""The bits of a mode that are kept: no set-user-id, no sticky bit."""
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list."""

    kind: Literal["f", "d", "l"]
    path: bytes
    mode: int = 0
    size: int = 0
    digest: str = ""
    target: bytes = b""


def walk(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """(path below `root`, its own stat) of all that is in a directory, sorted, parents before children. No link is
    followed."""
    stack = [b""]
    while stack:
        relative = stack.pop()
        if relative:
            seen = os.lstat(root + b"/" + relative)
            yield relative, seen
            if not stat.S_ISDIR(seen.st_mode):
                continue
        folder = root + b"/" + relative if relative else root
        names = sorted(os.listdir(folder), reverse=True)  # noqa: PTH208  # names as bytes
        stack += [relative + b"/" + name if relative else name for name in names]


def usable(path: bytes, seen: os.stat_result) -> bool:
    """Whether it is a file, a directory or a link; says so in the log if not."""
    if stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode) or stat.S_ISLNK(seen.st_mode):
        return True
    log.warning("artifact.left_out", path=os.fsdecode(path), reason="no file, directory or link")
    return False


def open_file(path: bytes) -> int:
    """A descriptor to read a regular file; never a link, never a pipe that waits for its writer.

    Raises:
        BadArtifact: it is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadArtifact(f"{os.fsdecode(path)} is no regular file")
    return descriptor


def encode(entry: Entry) -> bytes:
    """One entry as it stands in a list."""
    match entry.kind:
        case "f":
            return b"f %o %d %s %s\0" % (entry.mode, entry.size, entry.digest.encode(), entry.path)
        case "d":
            return b"d %o %s\0" % (entry.mode, entry.path)
        case "l":
            return b"l %s\0%s\0" % (entry.path, entry.target)


def read(file: BinaryIO) -> Iterator[Entry]:
    """The entries of a list, a chunk of it in memory at a time."""
    fields = _fields(file)
    for line in fields:
        match line[:1]:
            case b"f":
                _, mode, size, digest, path = line.split(b" ", 4)
                yield Entry("f", path, int(mode, 8), int(size), digest.decode())
            case b"d":
                _, mode, path = line.split(b" ", 2)
                yield Entry("d", path, int(mode, 8))
            case _:
                yield Entry("l", line[2:], target=next(fields))


def _fields(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole
