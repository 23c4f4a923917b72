"""Whether this machine allows a private root."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

from .root import enter


def probe() -> None:
    """Try a private root; exit code 1, with the reason on stdout, where that is not possible."""
    place = Path(tempfile.mkdtemp(prefix="retrain-probe-")).resolve()
    child = os.fork()
    if child == 0:
        try:
            enter({**_EMPTY, "root": str(place), "shown": tuple(map(str, _directories()))})
        except OSError as error:
            os.write(1, str(error.strerror).encode())
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    _remove(place)
    sys.exit(1 if status else 0)


_EMPTY = {
    "as_they_are": ("/dev", "/proc", "/sys"), "links": (), "private": (), "overlaid": (), "mounts": (), "scratch": "/",
}  # fmt: skip


def _directories() -> list[Path]:
    return [path for path in Path("/").iterdir() if path.is_dir() and not path.is_symlink()]


def _remove(place: Path) -> None:
    # rmdir only, never a tree: all that is here are the points that something was mounted on.
    for path in (*place.iterdir(), place):
        with contextlib.suppress(OSError):
            path.rmdir()
