"""Programs that steps expect to find under a name that a machine need not have."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SHIMS = ("argosay", "cowsay")
"""Programs that come with Retrain, for images of Argo's examples."""
_OWN = Path(__file__).parent / "shims"
_FOR_USERS = ("bin/", "usr/bin/")
"""Where BusyBox has what its users call; what it has in `sbin` is for who runs the machine (`poweroff`)."""


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


def install_shims(directory: Path) -> None:
    """Put the programs of `SHIMS` into a directory; those that are there already stay. Safe beside others' doing it."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in SHIMS:
        if not (directory / name).exists():
            _put(directory / name, (_OWN / f"{name}.sh").read_bytes())


def busybox_folder(place: Path) -> Path:
    """The folder to put first on PATH so that programs are those of a small image: BusyBox's, where it is installed.

    Where it is not, only `sh` is another than the machine's: bash, for dash does not know what BusyBox's shell does
    (`[[`, `echo -e`, `$RANDOM`). `nc` is always our own, for there are too many kinds of it. Made now if it is not
    there; may be repeated, by several processes at once.

    Raises:
        OSError: it cannot be made.
    """
    if place.exists():
        return place
    part = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, program in _applets():
        (part / name).symlink_to(program)
    (part / "nc").unlink(missing_ok=True)
    words = shlex.join([sys.executable, "-SI", os.fspath(_OWN / "nc.py")])
    _put(part / "nc", f'#!/bin/sh\nexec {words} "$@"\n'.encode())
    try:
        part.rename(place)
    except OSError:
        if not place.exists():
            raise
        shutil.rmtree(part)  # somebody else was faster
    return place


def _applets() -> Iterator[tuple[str, str]]:
    busybox, bash = shutil.which("busybox"), shutil.which("bash")
    if busybox:
        listed = subprocess.run([busybox, "--list-full"], capture_output=True, text=True, check=False, timeout=10)
        paths = [line for line in listed.stdout.split() if line.startswith(_FOR_USERS)]
        yield from dict.fromkeys((path.rpartition("/")[2], busybox) for path in paths)
    elif bash:
        yield from (("sh", bash), ("ash", bash))


def _put(target: Path, content: bytes) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_bytes(content)
    part.chmod(0o755)
    part.rename(target)
