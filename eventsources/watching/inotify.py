"""Linux tells what happens in a directory: inotify, through the C library. Names are bytes there, of any kind.

A lost report is a report too: when the kernel's queue runs over, `LOST` comes, and the caller looks for itself.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
ISDIR = 0x40000000
DONT_FOLLOW = 0x2000000
ONLYDIR = 0x1000000

GONE = DELETE_SELF | MOVE_SELF | UNMOUNT | IGNORED
"""The directory itself is not what it was."""

_WANTED = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | ONLYDIR
_HEADER = struct.Struct("iIII")
_BYTES = 256 * 1024
_LIBC: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if os.uname().sysname == "Linux" else None


class Inotify:
    """Reports about one directory from now on. `fd` becomes readable when there are some. Close it.

    Raises:
        OSError: this system has no inotify, its limits are reached, or the directory cannot be watched.
    """

    def __init__(self, directory: str) -> None:
        if _LIBC is None:
            raise OSError(errno.ENOSYS, "inotify is Linux's; this is another system")
        self.fd: int = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise _error()
        try:
            self.add(directory)
        except OSError:
            self.close()
            raise

    def add(self, directory: str, more: int = 0) -> int:
        """Report about one more directory; its number. `more` are further flags.

        Raises:
            OSError: it cannot be watched.
        """
        assert _LIBC is not None
        number: int = _LIBC.inotify_add_watch(self.fd, os.fsencode(directory), ctypes.c_uint32(_WANTED | more))
        if number < 0:
            raise _error()
        return number

    def remove(self, number: int) -> None:
        """No more reports about a directory; one that is not watched any more does no harm."""
        assert _LIBC is not None
        _LIBC.inotify_rm_watch(self.fd, number)

    def close(self) -> None:
        """End the reports."""
        os.close(self.fd)

    def read(self) -> Iterator[tuple[str, int]]:
        """What has come: (name, mask). The name is empty in reports about the directory itself. Does not wait."""
        return ((name, mask) for _, name, mask in self.reports())

    def reports(self) -> Iterator[tuple[int, str, int]]:
        """The same with the number of the directory before it; -1 where reports are lost."""
        try:
            buffer = os.read(self.fd, _BYTES)
        except BlockingIOError:
            return
        at = 0
        while at < len(buffer):
            number, mask, _, length = _HEADER.unpack_from(buffer, at)
            at += _HEADER.size
            yield number, os.fsdecode(buffer[at : at + length].rstrip(b"\0")), mask
            at += length


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
