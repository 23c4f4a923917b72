"""The ladder of isolation: what a step can be kept apart by on this machine, and why a rung is not there.

rewrite: the paths that a template declares are replaced, in its command, source and environment, by ones in a private
directory. Works everywhere; a path that the text puts together from pieces is not found.
namespace: a mount namespace with a private `/`. Every path is exact, the host is read-only, `/tmp` is private.
container: the image itself, by docker or podman.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

_PROBE_S = 20.0
ENGINES = ("docker", "podman")
_preferred: list[str] = []


class Rung(StrEnum):
    """How a step is kept apart from the host."""

    rewrite = "rewrite"
    namespace = "namespace"
    container = "container"


@cache
def available_rungs() -> Mapping[Rung, str]:
    """Every rung with the reason why this machine does not have it; an empty text where it does.

    Tried out once in each process: `namespace` by making one (about 20 ms), `container` by asking the engine.
    """
    return MappingProxyType(
        {Rung.rewrite: "", Rung.namespace: no_namespace(), Rung.container: "" if engine() else _no_engine()}
    )


def best_rung() -> Rung:
    """The rung for steps that say nothing about it: `namespace` where there is one. Never `container`: images are
    fetched and run only where somebody wants that."""
    return Rung.rewrite if no_namespace() else Rung.namespace


@cache
def engine() -> str:
    """The program of a container engine that answers; empty if none does. docker goes before podman, unless one was
    asked for."""
    return next((found for name in _preferred or ENGINES if (found := shutil.which(name)) and not _silent(found)), "")


def prefer_engine(name: str) -> str:
    """From now on this process takes this engine and no other. Why that cannot be; empty if it answers."""
    found = shutil.which(name)
    if why := f"{name} is not in PATH" if found is None else _silent(found):
        return why
    _preferred[:] = [name]
    engine.cache_clear()
    available_rungs.cache_clear()
    return ""


def _no_engine() -> str:
    problems = [f"{name}: {_silent(found)}" for name in ENGINES if (found := shutil.which(name))]
    return "; ".join(problems) or f"neither {' nor '.join(ENGINES)} is in PATH"


@cache
def _silent(program: str) -> str:
    """Why an engine cannot be used; empty if it answers."""
    words = [program, "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_PROBE_S, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


@cache
def no_namespace() -> str:
    """Why there is no rung `namespace`; empty if there is one. Tried once in each process."""
    if sys.platform != "linux":
        return "mount namespaces are a thing of Linux"
    try:
        done = subprocess.run(leading("probe"), capture_output=True, timeout=_PROBE_S, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stdout.strip() or done.stderr.strip().rpartition("\n")[2])[:300] or f"exit code {done.returncode}"


def leading(part: str) -> list[str]:
    """The argument list of the stand-alone program `leading`: its part `serve` or `probe`.

    With this Python, but without its virtual environment, which the program needs nothing of.
    """
    python = getattr(sys, "_base_executable", "") or sys.executable
    start = f"import sys; sys.path.append(sys.argv[1]); from leading.{part} import {part}; {part}()"
    return [python, "-I", "-S", "-X", "utf8", "-c", start, os.fspath(Path(__file__).parent)]
