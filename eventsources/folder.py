"""One open directory: which files it holds and in which version, read through its descriptor. Blocking; run in threads.

Only regular files count. Symbolic links are not followed: they may lead anywhere. Names are what the kernel has, bytes
that are no UTF-8 as Python's surrogates.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Generator
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


class Folder:
    """A directory that was there when this was made. Close it.

    Raises:
        OSError: it is not there, is no directory, or may not be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)

    @property
    def handle(self) -> str:
        """A path that means this very directory, whatever now has its name."""
        return f"/proc/self/fd/{self._fd}"

    def is_current(self) -> bool:
        """Whether its path still leads to it."""
        try:
            now, then = os.stat(self.path), os.fstat(self._fd)  # noqa: PTH116 - may be no text that Path keeps
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)

    def look(self, names: Collection[str]) -> dict[str, Found]:
        """The files with these names; who is not there, or is no regular file, is left out."""
        found: dict[str, Found] = {}
        for name in names:
            try:
                status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(status.st_mode):
                found[name] = _found(status)
        return found

    def pages(self, matches: Callable[[str], bool], size: int) -> Generator[dict[str, Found]]:
        """All files with a matching name, `size` at a time. Holds no more than a page."""
        with os.scandir(self._fd) as entries:
            names = (entry.name for entry in entries if matches(entry.name))
            while page := list(islice(names, size)):
                yield self.look(page)


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
