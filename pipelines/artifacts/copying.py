"""Copies of files that share nothing but, where the file system can, their blocks: a reflink, else the bytes.

A hard link is never made: whoever has one name of it could change the other. Holes stay holes. Memory is flat.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator

CHUNK = 1024 * 1024
_FICLONE = 0x40049409
"""ioctl(2): share all blocks of a file, copied when one side is written. Linux: btrfs, XFS, bcachefs."""
_NOT_HERE = frozenset(
    {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EBADF}
)


def clone(source: int, target: int) -> bool:
    """Let the empty file `target` have the contents of `source` at no cost; False where that cannot be had."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        raise
    return True


def segments(source: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of the parts of a file that hold data; the rest are holes."""
    if os.fstat(source).st_blocks * 512 >= size or not hasattr(os, "SEEK_DATA"):
        if size:
            yield 0, size
        return
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        at = min(os.lseek(source, start, os.SEEK_HOLE), size)
        if start < size:
            yield start, at - start


def copy(source: int, target: int, size: int) -> None:
    """Let the empty file `target` have the first `size` bytes of `source`."""
    if size > CHUNK and clone(source, target):
        os.ftruncate(target, size)
        return
    for offset, length in segments(source, size):
        _copy_range(source, target, offset, length)
    os.ftruncate(target, size)


def _copy_range(source: int, target: int, offset: int, length: int) -> None:
    end = offset + length
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # another file system may not take it: read and write does
            while offset < end:
                count = os.copy_file_range(source, target, min(end - offset, 1 << 30), offset, offset)
                if not count:
                    break
                offset += count
    while offset < end:
        data = os.pread(source, min(CHUNK, end - offset), offset)
        if not data:
            return  # it became shorter while we read
        write_all(target, data, offset)
        offset += len(data)


def write_all(target: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it at an offset."""
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, offset)
        view, offset = view[count:], offset + count
