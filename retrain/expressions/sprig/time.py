"""Moments and durations as Go writes and reads them: layouts are written as the time 2006-01-02 15:04:05 -0700.

Source: https://pkg.go.dev/time#pkg-constants
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from retrain.expressions.template.show import MONTHS, WEEKDAYS, Parts, quote, zone_name
from retrain.expressions.template.values import MAX_INT64, CallError

ZERO: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|2|__2|_2(?!006)|3|4|5|PM|pm"
    r"|[-Z]07(?:00(?:00)?|:00(?::00)?)?|[.,](?:0+|9+)(?![0-9])"
)


@lru_cache(maxsize=256)
def _chunks(layout: str) -> tuple[tuple[bool, str], ...]:
    """The layout in pieces: whether it stands for a part of the time, and its text."""
    out: list[tuple[bool, str]] = []
    at = 0
    for found in _CHUNK.finditer(layout):
        if found.start() > at:
            out.append((False, layout[at : found.start()]))
        out.append((True, found[0]))
        at = found.end()
    if at < len(layout):
        out.append((False, layout[at:]))
    return tuple(out)


# --- zones and sums -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def zone(name: str) -> tzinfo | None:
    """The zone of this name; `Local` and the empty name are UTC. None where there is none."""
    if name in ("", "UTC", "Local"):
        return UTC
    return ZoneInfo(name) if name in _zones() else None


def unix_nanoseconds(moment: datetime) -> int:
    """Since 1970, in whole numbers."""
    delta = moment - _EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000


def from_unix(seconds: int) -> datetime:
    """The moment so many seconds after 1970.

    Raises:
        CallError: it is not in the years 1 to 9999.
    """
    return added(_EPOCH, seconds * 10**9)


def added(moment: datetime, nanoseconds: int) -> datetime:
    """The moment so much later, in microseconds' precision.

    Raises:
        CallError: it is not in the years 1 to 9999.
    """
    try:
        return moment + timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        raise CallError("the time is not in the years 1 to 9999") from None


# --- writing --------------------------------------------------------------------------------------------------------


def go_format(moment: datetime, layout: str) -> str:
    """As Go's `Time.Format`."""
    parts = Parts()
    for stands, chunk in _chunks(layout):
        parts.add(_written(moment, chunk) if stands else chunk)
    return parts.text()


def _written(moment: datetime, chunk: str) -> str:
    writer = _WRITERS.get(chunk)
    if writer is not None:
        return writer(moment)
    if chunk[0] in ".,":
        return _fraction(moment, chunk)
    return _offset(moment, chunk)


def _fraction(moment: datetime, chunk: str) -> str:
    digits = f"{moment.microsecond:06d}".ljust(len(chunk) - 1, "0")[: len(chunk) - 1]
    if chunk[1] == "9":
        digits = digits.rstrip("0")
    return chunk[0] + digits if digits else ""


def _offset(moment: datetime, chunk: str) -> str:
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    if chunk[0] == "Z" and not seconds:
        return "Z"
    sign, seconds = ("-" if seconds < 0 else "+"), abs(seconds)
    numbers = [f"{seconds // 3600:02d}", f"{seconds // 60 % 60:02d}", f"{seconds % 60:02d}"]
    count = len(chunk.replace(":", "")) // 2
    return sign + (":" if ":" in chunk else "").join(numbers[:count])


def _hour(moment: datetime) -> int:
    return moment.hour % 12 or 12


_WRITERS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "January": lambda t: MONTHS[t.month - 1],
    "Jan": lambda t: MONTHS[t.month - 1][:3],
    "Monday": lambda t: WEEKDAYS[t.isoweekday() % 7],
    "Mon": lambda t: WEEKDAYS[t.isoweekday() % 7][:3],
    "MST": zone_name,
    "002": lambda t: f"{t.timetuple().tm_yday:03d}",
    "__2": lambda t: f"{t.timetuple().tm_yday:3d}",
    "1": lambda t: str(t.month),
    "01": lambda t: f"{t.month:02d}",
    "2": lambda t: str(t.day),
    "_2": lambda t: f"{t.day:2d}",
    "02": lambda t: f"{t.day:02d}",
    "15": lambda t: f"{t.hour:02d}",
    "3": lambda t: str(_hour(t)),
    "03": lambda t: f"{_hour(t):02d}",
    "4": lambda t: str(t.minute),
    "04": lambda t: f"{t.minute:02d}",
    "5": lambda t: str(t.second),
    "05": lambda t: f"{t.second:02d}",
    "2006": lambda t: f"{t.year:04d}",
    "06": lambda t: f"{t.year % 100:02d}",
    "PM": lambda t: "PM" if t.hour >= 12 else "AM",
    "pm": lambda t: "pm" if t.hour >= 12 else "am",
}


# --- reading --------------------------------------------------------------------------------------------------------

_READERS: Final[Mapping[str, tuple[str, str]]] = {
    "January": ("month", "|".join(MONTHS)),
    "Jan": ("month", "|".join(name[:3] for name in MONTHS)),
    "Monday": ("", "|".join(WEEKDAYS)),
    "Mon": ("", "|".join(name[:3] for name in WEEKDAYS)),
    "MST": ("zone", r"UTC|[A-Z]{3,4}T?|[+-]\d\d"),
    "002": ("yearday", r"\d{3}"),
    "__2": ("yearday", r" {0,2}\d{1,3}"),
    "1": ("month", r"\d{1,2}"),
    "01": ("month", r"\d\d"),
    "2": ("day", r"\d{1,2}"),
    "_2": ("day", r" ?\d{1,2}"),
    "02": ("day", r"\d\d"),
    "15": ("hour", r"\d\d"),
    "3": ("hour12", r"\d{1,2}"),
    "03": ("hour12", r"\d\d"),
    "4": ("minute", r"\d{1,2}"),
    "04": ("minute", r"\d\d"),
    "5": ("second", r"\d{1,2}"),
    "05": ("second", r"\d\d"),
    "2006": ("year", r"\d{4}"),
    "06": ("year2", r"\d\d"),
    "PM": ("half", "AM|PM"),
    "pm": ("half", "am|pm"),
}
_PATTERNS: Final = {
    chunk: re.compile(pattern, re.ASCII | re.IGNORECASE * (chunk[0] in "JM" and chunk != "MST"))
    for chunk, (_, pattern) in _READERS.items()
}
_LOOSE_FRACTION = re.compile(r"[.,]\d+", re.ASCII)


def go_parse(layout: str, text: str) -> datetime:
    """As Go's `time.ParseInLocation`, in UTC where the text names no zone.

    Raises:
        CallError: the text does not fit, in Go's words.
    """
    found: dict[str, str] = {}
    at = 0
    chunks = _chunks(layout)
    for number, (stands, chunk) in enumerate(chunks):
        end = _read(found, chunk, text, at) if stands else _same(chunk, text, at)
        if end < 0:
            raise CallError(
                f"parsing time {quote(text)} as {quote(layout)}: cannot parse {quote(text[at:])} as {quote(chunk)}"
            )
        at = end
        following = chunks[number + 1][1] if number + 1 < len(chunks) else ""
        if stands and chunk in ("5", "05") and not (following[:1] in (".", ",") and following[1:2] in ("0", "9")):
            loose = _LOOSE_FRACTION.match(text, at)
            if loose:
                found["fraction"], at = loose[0][1:], loose.end()
    if at < len(text):
        raise CallError(f"parsing time {quote(text)}: extra text: {quote(text[at:])}")
    try:
        return _moment(found)
    except ValueError as error:
        part = str(error).partition(" ")[0]
        raise CallError(f"parsing time {quote(text)}: {part} out of range") from None


def _same(chunk: str, text: str, at: int) -> int:
    return at + len(chunk) if text.startswith(chunk, at) else -1


def _read(found: dict[str, str], chunk: str, text: str, at: int) -> int:
    """Take one part of the time from `text`; where it ends, or -1."""
    reader = _READERS.get(chunk)
    if reader is not None:
        part = _PATTERNS[chunk].match(text, at)
        name = reader[0]
    elif chunk[0] in ".,":
        exact = rf"[.,]\d{{{len(chunk) - 1}}}" if chunk[1] == "0" else r"(?:[.,]\d+)?"
        part, name = re.compile(exact, re.ASCII).match(text, at), "fraction"
    else:
        part, name = _offset_pattern(chunk).match(text, at), "offset"
    if part is None:
        return -1
    if name and part[0]:
        found[name] = part[0].lstrip(".,") if name == "fraction" else part[0].strip()
    return part.end()


def _offset_pattern(chunk: str) -> re.Pattern[str]:
    colon = ":" if ":" in chunk else ""
    digits = colon.join([r"\d\d"] * (len(chunk.replace(":", "")) // 2))
    return re.compile(rf"{'Z|' if chunk[0] == 'Z' else ''}[+-]{digits}", re.ASCII)


def _moment(found: Mapping[str, str]) -> datetime:
    year = int(found.get("year", 0))
    if "year2" in found:
        year = int(found["year2"])
        year += 1900 if year >= 69 else 2000
    hour = int(found.get("hour", found.get("hour12", 0)))
    half = found.get("half", "").upper()
    if half == "PM" and hour < 12:
        hour += 12
    elif half == "AM" and hour == 12:
        hour = 0
    clock = (hour, int(found.get("minute", 0)), int(found.get("second", 0)))
    fraction = int(found.get("fraction", "")[:6].ljust(6, "0"))
    return datetime.combine(_day(found, year), time(*clock, fraction, _zone_of(found)))


def _day(found: Mapping[str, str], year: int) -> date:
    # Go's year 0, where a layout has none, is not a year of ours.
    year = max(year, 1)
    if "yearday" in found:
        return date(year, 1, 1) + timedelta(days=int(found["yearday"]) - 1)
    return date(year, _month(found.get("month", "1")), int(found.get("day", 1)))


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(at for at, name in enumerate(MONTHS, 1) if name[:3].lower() == text[:3].lower())


def _zone_of(found: Mapping[str, str]) -> tzinfo:
    offset = found.get("offset", "Z").replace(":", "")
    if offset == "Z":
        name = found.get("zone", "UTC")
        return UTC if name == "UTC" else timezone(timedelta(0), name)
    seconds = int(offset[1:3]) * 3600 + int(offset[3:5] or 0) * 60 + int(offset[5:7] or 0)
    return timezone(timedelta(seconds=-seconds if offset[0] == "-" else seconds)) if seconds else UTC


# --- durations ------------------------------------------------------------------------------------------------------

_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]+)", re.ASCII)


def parse_duration(text: str) -> int:
    """The nanoseconds of `1h30m`, `-1.5h`, `300ms`.

    Raises:
        CallError: it is no duration, in Go's words.
    """
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total = at = 0
    while at < len(body):
        part = _PART.match(body, at)
        if part is None or not (part[1] or part[2]):
            missing = part is None and re.fullmatch(r"[\d.]*\d[\d.]*", body[at:])
            raise CallError(f"time: {'missing unit in' if missing else 'invalid'} duration {quote(text)}")
        if part[3] not in _UNITS:
            raise CallError(f"time: unknown unit {quote(part[3])} in duration {quote(text)}")
        total += int(part[1] or 0) * _UNITS[part[3]] + _share(part[2] or "", _UNITS[part[3]])
        at = part.end()
        if total > MAX_INT64 or len(part[1]) > 19:
            raise CallError(f"time: invalid duration {quote(text)}")
    if not body:
        raise CallError(f"time: invalid duration {quote(text)}")
    return -total if text.startswith("-") else total


def _share(digits: str, unit: int) -> int:
    digits = digits[:18]
    return int(digits) * unit // 10 ** len(digits) if digits else 0
