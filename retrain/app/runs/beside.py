"""Logs of a few steps side by side, what was written at one time in one row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Clock = Literal["clock", "start"]
"""Rows by the time of day, or by how long each step has run."""


@dataclass(frozen=True, slots=True)
class Written:
    """A line of a log."""

    time: datetime
    text: str
    stream: str = "stdout"


@dataclass(frozen=True, slots=True)
class Moment:
    """What all steps wrote in one second: for each its lines. `time` of the first of them, and how many seconds its
    step had run by then."""

    time: datetime
    after_s: float
    cells: Sequence[Sequence[Written]]


def beside(logs: Sequence[Sequence[Written]], starts: Sequence[datetime | None], by: Clock = "clock") -> list[Moment]:
    """Rows in order of time; in each the lines of one second, those of one step in the order in which they came."""
    begun = [start or (log[0].time if log else None) for start, log in zip(starts, logs, strict=True)]
    rows: dict[int, list[list[Written]]] = {}
    first: dict[int, tuple[datetime, float]] = {}
    for column, log in enumerate(logs):
        last = -(10**12)
        for one in log:
            after = (one.time - (begun[column] or one.time)).total_seconds()
            # A clock that was put back moves no line before those that it came after.
            second = last = max(last, int(after) if by == "start" else int(one.time.timestamp()))
            rows.setdefault(second, [[] for _ in logs])[column].append(one)
            first.setdefault(second, (one.time, after))
    return [Moment(*first[second], rows[second]) for second in sorted(rows)]


def written(line: Mapping[str, Any]) -> Written:
    """A line as the logs of a run give it."""
    return Written(datetime.fromisoformat(line["time"]), str(line["text"]), str(line.get("stream") or "stdout"))


def in_step(seconds: float) -> str:
    """Time since a step began: `+0:07`, `+1:02:03`."""
    whole = int(max(0.0, seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"+{hours}:{minutes:02}:{rest:02}" if hours else f"+{minutes}:{rest:02}"
