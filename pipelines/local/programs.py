"""Programs that steps expect to find under a name that a machine need not have."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
from functools import cache
from pathlib import Path

SHIMS = ("argosay", "cowsay")
"""Programs that come with Retrain, for images of Argo's examples."""
_OWN = Path(__file__).parent / "shims"


def python_folder(place: Path, python: Path | None = None) -> Path:
    """The folder to put first on PATH so that both `python` and `python3` are this interpreter, or the given one.

    The interpreter's own where it has both names, as in a virtual environment, which must not be left by a link from
    elsewhere; else `place` with links in it, made now. May be repeated, by several processes at once.

    Raises:
        OSError: the links cannot be made.
    """
    if python is None and (own := _own_folder()) is not None:
        return own
    program = python or Path(sys.executable)
    if all((program.parent / name).exists() for name in ("python", "python3")):
        return program.parent
    place.mkdir(parents=True, exist_ok=True)
    for name in ("python", "python3"):
        part = _part(place / name)
        part.unlink(missing_ok=True)
        part.symlink_to(program)
        part.rename(place / name)
    return place


@cache
def _own_folder() -> Path | None:
    """Where this interpreter is, if it is `python` and `python3` there. Asked once: that does not change as it runs."""
    folder = Path(sys.executable).parent
    return folder if all((folder / name).exists() for name in ("python", "python3")) else None


def install_shims(directory: Path) -> None:
    """Put the programs of `SHIMS` into a directory; those that are there already stay. Safe beside others' doing it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in SHIMS:
        if not (directory / name).exists():
            _put(directory / name, (_OWN / f"{name}.sh").read_bytes())


def small_folder(place: Path) -> Path:
    """The folder to put first on PATH for images that are BusyBox or Alpine: made now, if it is not there.

    `sh` is bash there, as near to BusyBox's shell as dash is far from it (`[[`, `echo -e`, `pipefail`, `$RANDOM`).
    BusyBox itself would do its own `nc` and `poweroff` whatever is on PATH. `nc` is our own, for there are too many
    kinds of it. May be repeated, by several threads and processes at once.

    Raises:
        OSError: it cannot be made.
    """
    if all((place / name).exists() for name in ("sh", "ash", "nc")):
        return place
    place.mkdir(parents=True, exist_ok=True)
    shell = shutil.which("bash") or shutil.which("sh")
    for name in ("sh", "ash"):
        if shell and not (place / name).exists():
            part = _part(place / name)
            part.symlink_to(shell)
            part.rename(place / name)
    if not (place / "nc").exists():
        words = shlex.join(_python(place, "nc.py"))
        _put(place / "nc", f'#!/bin/sh\nexec {words} "$@"\n'.encode())
    return place


def in_terminal(argv: tuple[str, ...], place: Path) -> tuple[str, ...]:
    """The command that runs another in a terminal, for a container with `tty`; `place` is where the program for it may
    be put.

    Raises:
        OSError: it cannot be put there.
    """
    place.mkdir(parents=True, exist_ok=True)
    return (*_python(place, "terminal.py"), *argv)


def _python(place: Path, name: str) -> list[str]:
    """How to run one of our own programs in Python. A step sees the data directory, but not where we are installed."""
    if not (place / name).exists():
        _put(place / name, (_OWN / name).read_bytes())
    return [sys.executable, "-SI", os.fspath(place / name)]


def _put(target: Path, content: bytes) -> None:
    part = _part(target)
    part.write_bytes(content)
    part.chmod(0o755)
    part.rename(target)


def _part(target: Path) -> Path:
    """Where to make what then gets the target's name: nobody else makes it there."""
    return target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
