"""A step's directory, by its leader: made, claimed, and taken for the next step where nobody looks at it again."""

# No pathlib: it is slow to load, and every leader would carry it.
# ruff: noqa: PTH102, PTH103, PTH104, PTH120, PTH208

from __future__ import annotations

import contextlib
import os
import stat

from .output import write_all
from .record import RECORD_ROOM

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to load
    from .root import Order

_MODE = 0o750


class Homes:
    """The directories of one leader's steps. To make four files for a step that writes none takes longer than to run
    it, on a disk that is large and much used; to rename a directory does not."""

    def __init__(self) -> None:
        self._spare = ""

    def open(self, order: Order, opened: list[int]) -> int:
        """The step's directory; with `makes` it is made first, and these directories in it. Those that are there stay.

        Raises:
            OSError: it is not there, or cannot be made.
        """
        place: str = order["home"]
        fresh = bool(order["makes"]) and self._make(place)
        home = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        opened.append(home)
        for name in order["makes"] if fresh else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, _MODE, dir_fd=home)
        return home

    def _make(self, place: str) -> bool:
        """Make a home; whether there is nothing in it yet that it needs."""
        spare, self._spare = self._spare, ""
        try:
            if spare:
                os.rename(spare, place)
                return False
        except OSError:
            pass  # somebody has put something there, or there is no such place yet
        try:
            os.mkdir(place, _MODE)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.mkdir(place, _MODE)
        return True

    def spare(self, order: Order) -> None:
        """The step has ended, and nobody will want its home: keep that for the next one if nothing was left in it."""
        place: str = order["home"]
        with contextlib.suppress(OSError):
            if sorted(os.listdir(place)) == sorted(order["makes"]) and all(
                _is_untouched(f"{place}/{name}") for name in order["makes"]
            ):
                self._spare = place


def _is_untouched(path: str) -> bool:
    found = os.lstat(path)
    private = found.st_mode == stat.S_IFDIR | _MODE and found.st_uid == os.geteuid()
    return private and not os.listdir(path)


def claim(home: int, text: bytes, opened: list[int]) -> int:
    """Make a step's record: who comes first has the home.

    Raises:
        FileExistsError: another leader has it.
    """
    record = os.open("pid", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=home)
    opened.append(record)
    # The room for the end is taken before the step begins: a full disk must not hide how it ended.
    os.write(record, text.ljust(RECORD_ROOM))
    os.lseek(record, len(text), os.SEEK_SET)
    return record


def put_script(home: int, source: bytes) -> None:
    """Write a step's script. Its home is claimed: nobody else writes there, or reads yet."""
    file = os.open("script", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE, dir_fd=home)
    try:
        write_all(file, source)
    finally:
        os.close(file)
