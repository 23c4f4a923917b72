"""expr-lang: times as text, as Go's package `time` reads and writes them.

Moments are aware datetimes: as fine as a microsecond, in the years 1 to 9999. A layout without a year gives year 1 (Go:
year 0). There is no local zone: what names none is UTC.

Source: https://pkg.go.dev/time#pkg-constants (layouts), and the builtins `date`, `duration` and `timezone` of expr.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import Duration

MAX_LAYOUT = 200
"""Characters of a layout."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000|Z07:00|Z0700|Z07"
    r"|[.,]0+(?!\d)|[.,]9+(?!\d)|002|01|02|03|04|05|06|15|PM|pm|__2|_2(?!006)|1|2|3|4|5"
)
UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")

RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
_GUESSES = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)


# --- durations ------------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> Duration:
    """`1h15m30.5s`, as Go's ParseDuration."""
    sign, rest = (-1 if text[:1] == "-" else 1), text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(rest):
        found = _DURATION.match(rest, at)
        if found is None or not (found[1] or found[2]) or len(found.group()) > 40:
            break
        unit, part = UNITS[found[3]], found[2] or ""
        total += int(found[1] or "0") * unit + (int(part) * unit // 10 ** len(part) if part else 0)
        at = found.end()
    if not rest or at < len(rest) or total > 2**63 - 1:
        raise ExprError(f"invalid duration {text[:40]!r}; write it like 1h30m, 45s or 100ms")
    return Duration(sign * total)


def write_duration(duration: Duration) -> str:
    """Go's Duration.String: `1h30m0s`, `1.5ms`."""
    left = abs(duration.nanoseconds)
    sign = "-" if duration.nanoseconds < 0 else ""
    if left == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 10**6)):
        if left < size * 1000:
            return f"{sign}{_fraction(left, size)}{unit}"
    minutes, seconds = divmod(left, UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_fraction(seconds, 10**9)}s"


def _fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    digits = str(rest).zfill(len(str(size)) - 1).rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


# --- zones ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """A zone of the tz database; "" and "Local" are UTC."""
    if name in ("", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExprError(f"unknown time zone {name[:80]}") from None


def _offset(moment: datetime) -> int:
    """Seconds east of UTC."""
    return int((moment.utcoffset() or timedelta()).total_seconds())


def _written_offset(moment: datetime, form: str) -> str:
    seconds = _offset(moment)
    if form[0] == "Z" and seconds == 0:
        return "Z"
    colon = ":" if ":" in form else ""
    hours, rest = divmod(abs(seconds), 3600)
    out = f"{'-' if seconds < 0 else '+'}{hours:02d}"
    if len(form) > 3:
        out += f"{colon}{rest // 60:02d}"
    return out + (f"{colon}{rest % 60:02d}" if len(form) > 6 else "")


# --- layouts --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _parts(layout: str) -> tuple[tuple[bool, str], ...]:
    """A layout as (is a field, text)."""
    if len(layout) > MAX_LAYOUT:
        raise ExprError(f"a layout of more than {MAX_LAYOUT} characters")
    out: list[tuple[bool, str]] = []
    last = 0
    for found in _LAYOUT.finditer(layout):
        if found.group() == "Jan" and layout[found.end() : found.end() + 1].islower():
            continue  # as Go: `Janitor` is no month
        if found.start() > last:
            out.append((False, layout[last : found.start()]))
        out.append((True, found.group()))
        last = found.end()
    return (*out, (False, layout[last:])) if last < len(layout) else tuple(out)


_WRITERS: dict[str, Callable[[datetime], str]] = {
    "January": lambda t: _MONTHS[t.month - 1],
    "Jan": lambda t: _MONTHS[t.month - 1][:3],
    "Monday": lambda t: _DAYS[t.weekday()],
    "Mon": lambda t: _DAYS[t.weekday()][:3],
    "MST": lambda t: _abbreviation(t),
    "2006": lambda t: f"{t.year:04d}",
    "06": lambda t: f"{t.year % 100:02d}",
    "01": lambda t: f"{t.month:02d}",
    "1": lambda t: str(t.month),
    "02": lambda t: f"{t.day:02d}",
    "_2": lambda t: f"{t.day:2d}",
    "2": lambda t: str(t.day),
    "002": lambda t: f"{t.timetuple().tm_yday:03d}",
    "__2": lambda t: f"{t.timetuple().tm_yday:3d}",
    "15": lambda t: f"{t.hour:02d}",
    "03": lambda t: f"{(t.hour + 11) % 12 + 1:02d}",
    "3": lambda t: str((t.hour + 11) % 12 + 1),
    "04": lambda t: f"{t.minute:02d}",
    "4": lambda t: str(t.minute),
    "05": lambda t: f"{t.second:02d}",
    "5": lambda t: str(t.second),
    "PM": lambda t: "PM" if t.hour >= 12 else "AM",
    "pm": lambda t: "pm" if t.hour >= 12 else "am",
}


def _abbreviation(moment: datetime) -> str:
    name = moment.tzname() or ""
    return (
        _written_offset(moment, "-0700" if _offset(moment) % 3600 else "-07")
        if name.startswith("UTC") and name != "UTC"
        else name
    )


def write_moment(moment: datetime, layout: str) -> str:
    """Go's Time.Format."""
    return "".join(_field(moment, text) if is_field else text for is_field, text in _parts(layout))


def _field(moment: datetime, field: str) -> str:
    if writer := _WRITERS.get(field):
        return writer(moment)
    if field[0] in ".,":
        digits = f"{moment.microsecond:06d}000"[: len(field) - 1].ljust(len(field) - 1, "0")
        digits = digits.rstrip("0") if field[1] == "9" else digits
        return field[0] + digits if digits else ""
    return _written_offset(moment, field)


_READERS = {
    "January": "(?P<month_name>" + "|".join(_MONTHS) + ")",
    "Jan": "(?P<month_name>" + "|".join(name[:3] for name in _MONTHS) + ")",
    "Monday": "(?:" + "|".join(_DAYS) + ")",
    "Mon": "(?:" + "|".join(name[:3] for name in _DAYS) + ")",
    "MST": r"(?P<zone>[A-Z]{3,5}|[+-]\d\d(?:\d\d)?)",
    "2006": r"(?P<year>\d{4})",
    "06": r"(?P<short_year>\d{2})",
    "01": r"(?P<month>\d{2})",
    "1": r"(?P<month>\d{1,2})",
    "02": r"(?P<day>\d{1,2})",
    "_2": r" ?(?P<day>\d{1,2})",
    "2": r"(?P<day>\d{1,2})",
    "002": r"(?P<year_day>\d{3})",
    "__2": r" {0,2}(?P<year_day>\d{1,3})",
    "15": r"(?P<hour>\d{1,2})",
    "03": r"(?P<hour12>\d{1,2})",
    "3": r"(?P<hour12>\d{1,2})",
    "04": r"(?P<minute>\d{2})",
    "4": r"(?P<minute>\d{1,2})",
    "05": r"(?P<second>\d{2})(?:[.,](?P<rest>\d+))?",
    "5": r"(?P<second>\d{1,2})(?:[.,](?P<rest>\d+))?",
    "PM": "(?P<half>AM|PM)",
    "pm": "(?P<half>am|pm)",
}


@lru_cache(maxsize=512)
def _reader(layout: str) -> re.Pattern[str]:
    out: list[str] = []
    parts = _parts(layout)
    for at, (is_field, text) in enumerate(parts):
        if not is_field:
            out.append(re.escape(text))
        elif text[0] in ".,":
            out.append(r"(?:[.,](?P<rest>\d+))" + ("?" if text[1] == "9" else ""))
        elif text in _READERS:
            fraction_follows = at + 1 < len(parts) and parts[at + 1][0] and parts[at + 1][1][0] in ".,"
            out.append(_READERS[text].split("(?:[.,]")[0] if fraction_follows else _READERS[text])
        else:
            out.append(_offset_reader(text))
    try:
        return re.compile("".join(out), re.ASCII)
    except re.error:  # one field two times
        raise ExprError(f"a date cannot be read with the layout {layout!r}: it has a field twice") from None


def _offset_reader(form: str) -> str:
    colon = ":" if ":" in form else ""
    digits = r"[+-]\d\d" + (rf"{colon}\d\d" if len(form) > 3 else "") + (rf"{colon}\d\d" if len(form) > 6 else "")
    return f"(?P<offset>Z|{digits})" if form[0] == "Z" else f"(?P<offset>{digits})"


def read_moment(text: str, layout: str, where: tzinfo = UTC) -> datetime:
    """Go's ParseInLocation: a text without a zone is in `where`."""
    found = _reader(layout).fullmatch(text) if len(text) <= MAX_LAYOUT * 2 else None
    if found is None:
        raise ExprError(f"cannot parse {text[:60]!r} as a time like {layout!r}")
    part = {name: value for name, value in found.groupdict().items() if value}
    try:
        return _assembled(part, where)
    except (ValueError, OverflowError) as error:
        raise ExprError(f"cannot parse {text[:60]!r} as a time like {layout!r}: {error}") from None


def _assembled(part: dict[str, str], where: tzinfo) -> datetime:
    month = int(part.get("month", "1"))
    if name := part.get("month_name"):
        month = next(at for at, full in enumerate(_MONTHS, 1) if full.startswith(name))
    out = datetime(
        _year(part),
        month,
        int(part.get("day", "1")),
        _hour(part),
        int(part.get("minute", "0")),
        int(part.get("second", "0")),
        int(part.get("rest", "0")[:6].ljust(6, "0")),
        tzinfo=_zone_of(part, where),
    )
    return out + timedelta(days=int(part["year_day"]) - 1) if "year_day" in part else out


def _year(part: dict[str, str]) -> int:
    if short := part.get("short_year"):
        return int(short) + (1900 if int(short) >= 69 else 2000)
    return max(int(part.get("year", "1")), 1)


def _hour(part: dict[str, str]) -> int:
    hour = int(part.get("hour", part.get("hour12", "0")))
    if half := part.get("half"):
        hour = hour % 12 + (12 if half.upper() == "PM" else 0)
    return hour


def _zone_of(part: dict[str, str], where: tzinfo) -> tzinfo:
    text = part.get("offset") or part.get("zone", "")
    if text in ("Z", "UTC"):
        return UTC
    if text[:1] in ("+", "-"):
        digits = text[1:].replace(":", "").ljust(6, "0")
        seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])
        return timezone(timedelta(seconds=-seconds if text[0] == "-" else seconds))
    # A zone's letters that Go does not know in this place count as UTC under that name
    return timezone(timedelta(), text) if text else where


def guess_moment(text: str, where: tzinfo = UTC) -> datetime:
    """`date(text)`: the first of seven layouts that fits."""
    for layout in _GUESSES:
        if len(text) <= MAX_LAYOUT and _reader(layout).fullmatch(text):
            return read_moment(text, layout, where)
    raise ExprError(f"invalid date {text[:60]!r}; write it like 2023-08-14 or 2023-08-14T00:00:00Z")
