"""Finding a file by the name that a step has for it, without being led astray by links that the step has made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from retrain.errors import ConfigError

_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a path of the step lies on the host. `own`: among what the step may call its own, and not the host's."""

    path: Path
    own: bool


def plain(path: str) -> PurePosixPath:
    """A declared path without doubled slashes and dots.

    Raises:
        ConfigError: it goes up by `..`.
    """
    pure = PurePosixPath(path)
    if ".." in pure.parts:
        raise ConfigError(f"{path!r} leads out by '..'; write the path that is meant")
    # Two slashes in front are kept by POSIX, and mean nothing here.
    return PurePosixPath("/", *pure.parts[1:]) if pure.is_absolute() else pure


def follow(path: PurePosixPath, spot: Callable[[PurePosixPath], Spot]) -> Spot:
    """Walk an absolute path of the step's as the step would, links and all; `spot` knows where each of them lies.

    Never lets the host's kernel follow a link, so what comes back has none in it, but for one that is the host's own.

    Raises:
        ConfigError: a link that the step made leads to what is not its own, or links go round in a circle.
    """
    ahead = list(reversed(path.parts[1:]))
    at = PurePosixPath("/")
    links, led = 0, False
    while ahead:
        part = ahead.pop()
        if part == "..":
            at = at.parent
            continue
        here = spot(at / part)
        target = _link(here.path)
        if target is None:
            at = at / part
            continue
        links, led = links + 1, led or here.own
        if links > _MOST_LINKS:
            raise ConfigError(f"{str(path)!r}: its symbolic links go round in a circle")
        at = PurePosixPath("/") if target.is_absolute() else at
        ahead.extend(part for part in reversed(target.parts) if part not in ("/", "//", "."))
    found = spot(at)
    if led and not found.own:
        raise ConfigError(f"{str(path)!r} leads out, by a symbolic link to {str(at)!r}")
    return found


def stay(path: Path, given: str, homes: tuple[Path, ...]) -> Path:
    """A host path with its links followed.

    Raises:
        ConfigError: it lies in none of `homes`.
    """
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(home)) for home in homes):
        raise ConfigError(f"{given!r} leads out of what is the step's own")
    return real


def _link(path: Path) -> PurePosixPath | None:
    try:
        return PurePosixPath(os.readlink(path))  # noqa: PTH115  # a path that is to be read with the step's eyes
    except OSError:
        return None
