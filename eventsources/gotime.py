"""Times as Go's `time.Time.String()` writes them: what upstream puts into the data of several kinds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

ZERO = "0001-01-01 00:00:00 +0000 UTC"


def go_time(time: datetime | None) -> str:
    """`2024-01-02 16:36:00.0012 +0000 UTC`: in UTC, and without the zeros at the end of a second's parts.

    None is Go's zero time. Upstream's pods write their own zone, which is UTC unless somebody sets another.
    """
    if time is None:
        return ZERO
    time = time.astimezone(UTC)
    parts = f".{time.microsecond:06}".rstrip("0") if time.microsecond else ""
    return f"{time:%Y-%m-%d %H:%M:%S}{parts} +0000 UTC"
