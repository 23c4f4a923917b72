"""What every kind of location can do. One file for each kind; `pipelines.artifacts.places` says which one it is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from retrain.errors import Transient
from retrain.log import get_logger

log = get_logger()
T = TypeVar("T")

CHUNK = 1024 * 1024
PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Waits between the attempts of one transfer."""


class Place(Protocol):
    """One location, ready for use. All block; see `pipelines.artifacts.port` for what they raise."""

    def fetch(self, to: Path, sub: str) -> bool:
        """Bring what lies there, as it lies: a file, or a directory of all that is below it. `to` is not there yet.

        Where the place can, only the part `sub` of it is brought; whether that was so.
        """
        ...

    def put(self, found: Path) -> None:
        """Keep a file, or all files of a directory."""
        ...

    def keys(self) -> Iterator[str]:
        """All keys below it."""
        ...

    def open(self) -> BinaryIO:
        """Read the file that lies there."""
        ...

    def delete(self) -> None:
        """Remove it, and what is below it."""
        ...


def attempt(act: Callable[[], T], what: str, pauses: tuple[float, ...] = PAUSES_S) -> T:
    """Do it, several times if a server is away. `act` begins anew each time.

    Raises:
        Transient: it never came back.
    """
    for pause in pauses:
        try:
            return act()
        except Transient as error:
            log.info("artifact.again", what=what, reason=str(error), after_s=pause)
            time.sleep(pause)
    return act()


def remove(path: Path) -> None:
    """Take away a file or directory, if it is there; what nobody may write, too."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    path.chmod(0o700)
    for folder, folders, _ in os.walk(path):
        for name in folders:
            below = Path(folder, name)
            if not below.is_symlink():
                below.chmod(0o700)
    shutil.rmtree(path)
