"""Bounds for what is unpacked and fetched: an archive or a server says nothing true about how much it holds."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.artifacts.port import BadArtifact

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What one artifact may become on this machine's disk."""

    max_bytes: int = 100 * GIB
    """Of an archive, unpacked, and of what an HTTP server sends."""
    max_entries: int = 1_000_000
    """Files, directories and links of one archive."""
    max_ratio: int = 1100
    """Unpacked bytes for one packed byte. Deflate reaches 1032 with nothing but zeros: more is a zip whose entries
    overlap."""
    reserve: int = 256 * MIB
    """Bytes that stay free on the disk: a full disk would stop more than this step."""


@dataclass(slots=True)
class Meter:
    """Counts what is written below `place` against the limits."""

    limits: Limits
    place: Path
    packed: int | None = None
    """Size of the archive; None: nothing is packed."""
    entries: int = 0
    bytes: int = 0
    _look_at: int = field(default=0, repr=False)

    def entry(self) -> None:
        """One more file, directory or link.

        Raises:
            BadArtifact: that is too many.
        """
        self.entries += 1
        if self.entries > self.limits.max_entries:
            raise BadArtifact(f"the archive has more than {self.limits.max_entries} entries")

    def wrote(self, count: int) -> None:
        """So many bytes more. The disk is looked at every 64 MiB.

        Raises:
            BadArtifact: the archive unpacks to too much.
            OSError: the disk is nearly full (ENOSPC).
        """
        self.bytes += count
        if self.bytes > self.limits.max_bytes:
            raise BadArtifact(
                f"the artifact has more than {self.limits.max_bytes} bytes (pipelines.artifacts.max_bytes)"
            )
        if self.packed is not None and self.bytes > self.limits.max_ratio * self.packed + MIB:
            raise BadArtifact(f"the archive unpacks to more than {self.limits.max_ratio} times its {self.packed} bytes")
        if self.bytes >= self._look_at:
            self._look_at = self.bytes + 64 * MIB
            check_space(self.place if self.place.is_dir() else self.place.parent, self.limits.reserve)


def check_space(place: Path, reserve: int) -> None:
    """Refuse to write in a directory where less than `reserve` bytes are free.

    Raises:
        OSError: ENOSPC.
    """
    disk = os.statvfs(place)
    if disk.f_bavail * disk.f_frsize < reserve:
        raise OSError(
            errno.ENOSPC, f"less than {reserve // MIB} MiB are free: no artifact is written", os.fspath(place)
        )
