"""Words for reasons: lengths of time, moments, names of events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from retrain.events import format_time

_UNITS = ((604_800, "w"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))
MOST_NAMED = 10
"""Events that a reason names."""


def span(length: timedelta) -> str:
    """A length of time as users write one: 24h, 1h30m, 0.5s."""
    seconds = length.total_seconds()
    if seconds != int(seconds) or seconds < 1:
        return f"{seconds:g}s"
    left, words = int(seconds), ""
    for size, unit in _UNITS[2 if seconds <= 172_800 else 1 :]:
        if left >= size:
            words += f"{left // size}{unit}"
            left %= size
    return words


def moment(time: datetime) -> str:
    """A moment, to the second where that is exact."""
    return format_time(time)


def named(ids: Iterable[str], total: int) -> str:
    """The first of some events, and how many more there are. `ids` may be just those that are shown."""
    shown = list(ids)[:MOST_NAMED]
    more = total - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def counted(number: int, thing: str) -> str:
    """1 event, 2 events."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
