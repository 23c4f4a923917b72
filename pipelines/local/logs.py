"""Reading the logs of steps: lines in the order in which the step wrote them, stdout and stderr together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.local.workspace import open_workspace, run_directory

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a step's log, whole lines where there are some. `end` is where the next part starts, in bytes."""

    text: str
    end: int


def log_path(data: Path, run_id: str, node_id: str) -> Path:
    """The file of a step's log. It need not be there."""
    return open_workspace(run_directory(data, run_id), node_id).main_log


def read_log(path: Path, start: int = 0, limit: int = CHUNK) -> LogPart:
    """At most `limit` bytes of a log from `start` on; empty at its end, or where there is no log (yet).

    A part ends with a line's end if it holds one, so that no letter is cut in two while a step writes.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(limit)
    except FileNotFoundError:
        return LogPart("", start)
    cut = data.rfind(b"\n") + 1
    if cut and len(data) == limit:
        data = data[:cut]
    return LogPart(data.decode(errors="replace"), start + len(data))


def read_tail(path: Path, lines: int, limit: int = CHUNK) -> str:
    """The last lines of a log, at most `limit` bytes of it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            data = file.read()
    except FileNotFoundError:
        return ""
    return "".join(data.decode(errors="replace").splitlines(keepends=True)[-lines:]) if lines else ""


def read_all(path: Path) -> Iterator[str]:
    """A log from its start to what is there now, part by part."""
    part = read_log(path)
    while part.text:
        yield part.text
        part = read_log(path, part.end)
