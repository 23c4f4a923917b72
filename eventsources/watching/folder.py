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

DEPTH = 32
"""Folders below one another that are entered."""


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
    `recursive`: the folders below belong to it, and names are paths in it.

    Raises:
        Lost: it is not there, is no directory, or may not be read.
    """

    def __init__(self, path: str, *, recursive: bool = False) -> None:
        self.path = path
        self._recursive = recursive
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
        with self._opened() as fd:
            names = (name for name in _walk(fd, self._recursive) if matches(name))
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


def _walk(fd: int, recursive: bool) -> Generator[str]:
    """The names of what is in a directory, and with `recursive` in the folders below it. Links are not followed."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with _below(fd, folder) as here, os.scandir(here) as entries:
                for entry in entries:
                    name = f"{folder}{entry.name}"
                    if not entry.is_dir(follow_symlinks=False):
                        yield name
                    elif recursive and folder.count("/") < DEPTH:
                        folders.append(f"{name}/")
        except OSError:
            if not folder:
                raise
            # A folder that went meanwhile, or may not be read: what was known of it counts as gone.


@contextmanager
def _below(fd: int, folder: str) -> Generator[int]:
    """A folder below a directory, opened one part after the other: a link on the way leads nowhere."""
    here = os.dup(fd)
    try:
        for part in folder.split("/"):
            if part == "..":
                raise ValueError("a name that leads out of the directory")
            if part:
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=here)
                os.close(here)
                here = deeper
        yield here
    finally:
        os.close(here)


def _look(fd: int, names: Collection[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    folders: dict[str, list[str]] = {}
    for name in names:
        folders.setdefault(name.rpartition("/")[0], []).append(name)
    for folder, inside in folders.items():
        try:
            with _below(fd, folder) as here:
                found |= _look_in(here, inside)
        except (OSError, ValueError):
            continue
    return found


def _look_in(fd: int, names: Collection[str]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for name in names:
        try:
            status = os.stat(name.rpartition("/")[2], dir_fd=fd, follow_symlinks=False)
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
