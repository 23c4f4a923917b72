"""Programs that steps expect to find under a name that a machine need not have."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def python_folder(place: Path, python: Path | None = None) -> Path:
    """The folder to put first on PATH so that both `python` and `python3` are this interpreter, or the given one.

    The interpreter's own where it has both names, as in a virtual environment, which must not be left by a link from
    elsewhere; else `place` with links in it, made now. May be repeated, by several processes at once.

    Raises:
        OSError: the links cannot be made.
    """
    program = python or Path(sys.executable)
    if all((program.parent / name).exists() for name in ("python", "python3")):
        return program.parent
    place.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        part = place / f".{name}.{os.getpid()}"
        part.unlink(missing_ok=True)
        part.symlink_to(program)
        part.rename(place / name)
    return place
