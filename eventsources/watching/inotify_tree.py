"""The kernel's reports about a directory and all folders below it, which come and go meanwhile.

A folder that comes is watched first and looked at then, so that nothing in it is missed. One that is moved away takes
its files along without a word: then everything is to be looked at (OVERFLOW).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from eventsources.watching.inotify import (
    CREATE,
    DONT_FOLLOW,
    GONE,
    IGNORED,
    ISDIR,
    MOVED_FROM,
    MOVED_TO,
    OVERFLOW,
    Inotify,
)


class InotifyTree:
    """Reports like `Inotify`'s, with paths in the directory as names. Close it.

    Raises:
        OSError: this system has no inotify, its limits are reached, or the directory cannot be watched.
    """

    def __init__(self, directory: str) -> None:
        self._top = directory
        self._inotify = Inotify(directory)
        self.fd = self._inotify.fd
        try:
            self._folders = {self._inotify.add(directory): ""}  # number of each folder: its path, with / behind it
            for _ in self._enter(""):
                pass
        except OSError:
            self._inotify.close()
            raise

    def close(self) -> None:
        """End the reports."""
        self._inotify.close()

    def read(self) -> Iterator[tuple[str, int]]:
        """What has come: (path, mask). Reports about the directory itself have no path. Does not wait.

        Raises:
            OSError: the system's limit of folders is reached.
        """
        for number, name, mask in self._inotify.reports():
            if number < 0:  # also of folders that have come
                for _ in self._enter(""):
                    pass
                yield "", mask
                continue
            folder = self._folders.get(number)
            if folder is None:
                continue  # of one that was left
            if mask & GONE and (folder or not name):
                if not folder:
                    yield "", mask
                elif mask & IGNORED:
                    del self._folders[number]
                continue
            yield from self._report(f"{folder}{name}", mask)

    def _report(self, path: str, mask: int) -> Iterator[tuple[str, int]]:
        if not mask & ISDIR:
            yield path, mask
        elif mask & (CREATE | MOVED_TO):
            for found in self._enter(f"{path}/", itself=True):
                yield found, 0
        elif mask & MOVED_FROM:
            self._leave(f"{path}/")
            yield "", OVERFLOW

    def _enter(self, folder: str, *, itself: bool = False) -> Iterator[str]:
        """Watch a folder (`itself`) and those below it; the files that are in it already."""
        place = os.path.join(self._top, folder)  # noqa: PTH118 - names may be no text that Path keeps
        try:
            if itself:
                self._folders[self._inotify.add(place, DONT_FOLLOW)] = folder
            with os.scandir(place) as entries:
                inside = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return  # it went again, is a link, or may not be read
        for name, is_folder in inside:
            if is_folder:
                yield from self._enter(f"{folder}{name}/", itself=True)
            elif itself:
                yield f"{folder}{name}"

    def _leave(self, folder: str) -> None:
        for number in [number for number, path in self._folders.items() if path.startswith(folder)]:
            self._inotify.remove(number)
            del self._folders[number]
