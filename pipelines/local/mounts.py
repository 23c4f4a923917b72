"""What a private root is made of, as values: which directories of the host show where, and what may be written.

The layout is worked out by the platform (`view.py`) and made by the step's leader (`leader.py`), which is a program of
its own and imports nothing of ours: so what crosses to it is plain (`Layout.plain`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PRIVATE_ROOTS = ("/tmp", "/var/tmp", "/mnt")  # noqa: S108  # the steps' names for it; what they get is private
"""Directories of the host that a step with a private root has for itself, empty."""

AS_THEY_ARE = ("/dev", "/proc", "/sys")
"""Directories of the kernel: shown as the host has them, writable where they are."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of the host, shown to the step at an absolute path."""

    source: Path
    target: str
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A private root. All paths are absolute; `root` and sources are the host's, targets the step's.

    root: the directory that is `/` for the step.
    shown: top-level directories and files of the host, read-only at the same path; `links` are its symbolic links.
    private: directories below `root` that are shown over what `shown` has there: (`/var/tmp`).
    overlaid: directories of the host that the step may write in; what it writes lands below `root`.
    mounts: in order, parents first.
    scratch: where overlays keep their bookkeeping, on the file system of `root`.
    """

    root: Path
    shown: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    private: tuple[str, ...]
    overlaid: tuple[str, ...]
    mounts: tuple[Mount, ...]
    scratch: Path

    def plain(self) -> dict[str, object]:
        """As plain values, for the leader."""
        return {
            "root": os.fspath(self.root),
            "shown": self.shown,
            "links": self.links,
            "private": self.private,
            "overlaid": self.overlaid,
            "mounts": tuple((os.fspath(one.source), one.target, one.readonly) for one in self.mounts),
            "scratch": os.fspath(self.scratch),
            "as_they_are": AS_THEY_ARE,
        }
