"""One directory: which files it holds and in which version. Blocking; run in threads.

Only regular files count. Symbolic links are not followed: they may lead anywhere. Names are what the kernel has, bytes
that are no UTF-8 as Python's surrogates.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote, unquote_to_bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it is now. `version` changes whenever the file does; `changed_s` is when that was, a POSIX time."""

    version: str
    size: int
    changed_s: float
    changed_ns: int


class Lost(Exception):
    """The directory is not there, may not be read, or is another one now."""


class Folder:
    """The directory that has a path now. It is opened anew for each look.

    (Held open it would live on without its name when it is removed, and the kernel would not report that.)

    Raises:
        Lost: it is not there, is no directory, or may not be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None
        with self._opened():
            pass

    def check(self) -> None:
        """Raise Lost if its path leads to another directory now, or to none."""
        with self._opened():
            pass

    def look(self, names: Collection[str]) -> dict[str, Found]:
        """The files with these names; who is not there, or is no regular file, is left out.

        Raises:
            Lost: see there.
        """
        with self._opened() as fd:
            return _look(fd, names)

    def pages(self, matches: Callable[[str], bool], size: int) -> Generator[dict[str, Found]]:
        """All files with a matching name, `size` at a time. Holds no more than a page.

        Raises:
            Lost: see there.
        """
        with self._opened() as fd, os.scandir(fd) as entries:
            names = (entry.name for entry in entries if matches(entry.name))
            while page := list(islice(names, size)):
                yield _look(fd, page)

    @contextmanager
    def _opened(self) -> Generator[int]:
        fd = -1
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            status = os.fstat(fd)
            identity = (status.st_dev, status.st_ino)
            if self._identity not in (None, identity):
                raise Lost(f"directory {shown(self.path)!r} was replaced")
            self._identity = identity
            yield fd
        except OSError as error:
            raise Lost(f"directory {shown(self.path)!r}: {error.strerror}") from error
        finally:
            if fd >= 0:
                os.close(fd)


def _look(fd: int, names: Collection[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for name in names:
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(status.st_mode):
            found[name] = _found(status)
    return found


def _found(status: os.stat_result) -> Found:
    version = f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
    return Found(version, status.st_size, status.st_ctime, status.st_ctime_ns)


def shown(name: str) -> str:
    """A name as JSON can say it: a byte that is no UTF-8 becomes `%` and its two digits."""
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in name)


def stored(name: str) -> str:
    """A name as text that the store keeps, so that `restored` gives the name again."""
    return name if name.isascii() and "%" not in name else quote(os.fsencode(name), safe="/")


def restored(text: str) -> str:
    """The name that `stored` made `text` of."""
    return os.fsdecode(unquote_to_bytes(text)) if "%" in text else text
