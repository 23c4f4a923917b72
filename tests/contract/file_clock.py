"""A clock that several processes share: the time of day stands in a file, and moves when a test says so."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileClock:
    """`file` holds a POSIX time."""

    file: Path

    def now(self) -> datetime:
        return datetime.fromtimestamp(float(self.file.read_text()), UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def set(self, moment: datetime) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(repr(moment.timestamp()))
        fresh.replace(self.file)
