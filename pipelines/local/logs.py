"""Reading the logs of steps: lines in the order in which the step wrote them, with the time.

A log is written by the step's leader, one entry for each line, in the form of Kubernetes' container logs:

    2026-11-21T10:57:05.123456Z stdout F text
    2026-11-21T10:57:05.223456Z stdout P the start of a line that goes on in the next entry

The stream is `stdout` or `stderr` where a result is wanted, so that they had to be told apart, and else `both`. The
time is when the leader read the line. Bytes that are no UTF-8 read as U+FFFD.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, dropwhile
from pathlib import Path
from typing import Literal, cast

from pipelines.local.workspace import open_workspace, run_directory

CHUNK = 256 * 1024

Stream = Literal["stdout", "stderr", "both"]


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a step's log, as the step wrote it. `end` is where the next part starts: bytes of the file."""

    text: str
    end: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry. `whole` is False for a part of a line that goes on; `text` is without the line's end. `end`: where the
    next entry begins, in bytes of the file."""

    time: datetime
    stream: Stream
    text: str
    whole: bool
    end: int = 0

    @property
    def plain(self) -> str:
        """As the step wrote it."""
        return f"{self.text}\n" if self.whole else self.text


def log_path(data: Path, run_id: str, node_id: str) -> Path:
    """The file of a step's log. It need not be there."""
    return open_workspace(run_directory(data, run_id), node_id).main_log


def read_log(path: Path, start: int = 0, limit: int = CHUNK) -> LogPart:
    """What a step wrote, from byte `start` of its log on: about `limit` bytes of the file, whole entries, at least one.

    Empty at the log's end, or where there is no log (yet).
    """
    entries, end = _entries(path, start, limit)
    return LogPart("".join(_parse(entry).plain for entry in entries), end)


def read_tail(path: Path, lines: int, limit: int = CHUNK) -> str:
    """The last lines of a log, from at most `limit` bytes of it."""
    return "".join(line.plain for line in _tail(path, lines, limit))


def read_all(path: Path) -> Iterator[str]:
    """A log from its start to what is there now, part by part."""
    part = read_log(path)
    while part.text:
        yield part.text
        part = read_log(path, part.end)


def lines(path: Path, since: datetime | None = None, tail: int | None = None) -> Iterator[LogLine]:
    """The entries that are there now; `since` drops those before, `tail` all but so many at the end."""
    follower = Follower(path, since, tail)
    while found := follower.read():
        yield from found


class Follower:
    """Reads a log that is being written: `read` gives what came since the last time.

    `since` drops entries before that time, `tail` all but so many of those that are there at the first `read`; `start`
    is the byte at which to begin.
    """

    def __init__(self, path: Path, since: datetime | None = None, tail: int | None = None, start: int = 0) -> None:
        self._path = path
        self._since = since
        self._tail = tail
        self.offset = start
        """Up to where the file has been read, in bytes."""

    def read(self) -> list[LogLine]:
        """What is new: whole entries, of about 256 KiB of the log at a time; none if that was all for now."""
        if self._tail is None:
            return self._next()
        self.offset = _start_of(self._path, self._tail)
        kept: deque[LogLine] = deque(maxlen=self._tail)
        while found := self._next():
            kept.extend(found)
        self._tail = None
        return list(kept)

    def _next(self) -> list[LogLine]:
        while True:
            start = self.offset
            entries, self.offset = _entries(self._path, start, CHUNK)
            ends = accumulate((len(entry) + 1 for entry in entries), initial=start)
            next(ends)
            found = [_parse(entry, end) for entry, end in zip(entries, ends, strict=True)]
            if self._since is not None:
                found = list(dropwhile(self._is_before, found))
            if found:
                # They are in the order of time, but for a clock that was set back: what follows is new in any case.
                self._since = None
            if found or not entries:
                return found

    def _is_before(self, line: LogLine) -> bool:
        return self._since is not None and line.time < self._since


def _entries(path: Path, start: int, limit: int) -> tuple[list[bytes], int]:
    """Whole entries from a byte on, and where the next one begins. One that is longer than `limit` comes alone."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(max(1, limit))
            if data and b"\n" not in data:
                data += file.readline()
    except FileNotFoundError:
        return [], start
    cut = data.rfind(b"\n") + 1
    return data[:cut].split(b"\n")[:-1] if cut else [], start + cut


def _start_of(path: Path, count: int) -> int:
    """Where the last `count` entries begin, in bytes. Read from the end: a log may be of gigabytes."""
    try:
        with path.open("rb") as file:
            start = file.seek(0, os.SEEK_END)
            missing = count + 1  # the end of the entry before them
            while start > 0:
                size = min(CHUNK, start)
                start -= size
                file.seek(start)
                block = file.read(size)
                ends = block.count(b"\n")
                if ends >= missing:
                    at = len(block)
                    for _ in range(missing):
                        at = block.rfind(b"\n", 0, at)
                    return start + at + 1
                missing -= ends
    except FileNotFoundError:
        pass
    return 0


def _tail(path: Path, count: int, limit: int) -> list[LogLine]:
    try:
        start = max(0, path.stat().st_size - limit)
    except FileNotFoundError:
        return []
    entries, _ = _entries(path, start, limit)
    if start:
        # It may begin in the midst of one.
        del entries[:1]
    found = [_parse(entry) for entry in entries]
    first, left = len(found), count
    while first and left >= 0:
        first -= 1
        # A line that is not whole belongs to the one behind it; the last of all counts for itself.
        left -= found[first].whole or first == len(found) - 1
    return found[first + 1 if left < 0 else first :] if count else []


def _parse(entry: bytes, end: int = 0) -> LogLine:
    """An entry. One that is torn (the disk was full) is given as it is, with the earliest of times."""
    words = entry.split(b" ", 3)
    try:
        moment, stream, kind, text = (word.decode(errors="replace") for word in words)
        return LogLine(datetime.fromisoformat(moment), cast("Stream", stream), text, kind == "F", end)
    except ValueError:
        return LogLine(datetime.min.replace(tzinfo=UTC), "both", entry.decode(errors="replace"), whole=True, end=end)
