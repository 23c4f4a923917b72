"""Durations as Go writes them (`500ms`, `1h30m`): what the ecosystem's manifests use."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def seconds(text: str) -> float:
    """The length of a duration in seconds.

    Raises:
        ValueError: it is none, or it is negative.
    """
    position, total = 0, 0.0
    while match := _PART.match(text, position):
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if position != len(text) or not text:
        raise ValueError(f"{text!r} is no duration like 500ms, 30s or 1h30m")
    return total
