"""Sprig's functions for dates. `Local` is UTC here, whatever the machine thinks.

Source: https://masterminds.github.io/sprig/date.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from retrain.expressions.sprig.time import ZERO, added, from_unix, go_format, go_parse, parse_duration, zone
from retrain.expressions.template.functions import Surroundings
from retrain.expressions.template.show import show_duration
from retrain.expressions.template.values import CallError, Int, Int64, Value, type_name, wrap


def _now(*, around: Surroundings) -> datetime:
    return around.moment("now")


def _moment(date: Value, around: Surroundings, what: str) -> datetime:
    """What sprig takes for a date; anything else, and that is every number of the data too, is the present."""
    if isinstance(date, datetime):
        return date
    if type_name(date) in ("int", "int64"):
        return from_unix(int(date))
    return around.moment(what)


def _date_in_zone(layout: str, date: Value, name: str, *, around: Surroundings) -> str:
    moment = _moment(date, around, "date")
    try:
        return go_format(moment.astimezone(zone(name) or zone("UTC")), layout)
    except OverflowError:
        raise CallError("the time is not in the years 1 to 9999") from None


def _date(layout: str, date: Value, *, around: Surroundings) -> str:
    return _date_in_zone(layout, date, "Local", around=around)


def _html_date(date: Value, *, around: Surroundings) -> str:
    return _date_in_zone("2006-01-02", date, "Local", around=around)


def _html_date_in_zone(date: Value, name: str, *, around: Surroundings) -> str:
    return _date_in_zone("2006-01-02", date, name, around=around)


def _must_date_modify(by: str, date: datetime) -> datetime:
    return added(date, parse_duration(by))


def _date_modify(by: str, date: datetime) -> datetime:
    try:
        nanoseconds = parse_duration(by)
    except CallError:
        return date
    return added(date, nanoseconds)


def _since(date: Value, around: Surroundings, what: str) -> int:
    """Nanoseconds from there to the present."""
    now = around.moment(what)
    delta = now - _moment(date, around, what)
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1_000


def _ago(date: Value, *, around: Surroundings) -> str:
    nanoseconds = _since(date, around, "ago")
    half = 500_000_000 if nanoseconds >= 0 else -500_000_000
    return show_duration(int((nanoseconds + half) / 10**9) * 10**9)


def _duration(seconds: Value) -> str:
    count = 0
    if isinstance(seconds, str):
        count = _integer(seconds)
    elif isinstance(seconds, Int64):
        count = int(seconds)
    return show_duration(wrap(count * 10**9))


def _integer(text: str) -> int:
    body = text[1:] if text[:1] in ("-", "+") else text
    if not (body.isascii() and body.isdigit()):
        return 0
    limit = 2**63
    number = -int(body[:40]) if text[0] == "-" else int(body[:40])
    return max(-limit, min(limit - 1, number))


_ROUND: Final = (("y", 365 * 86_400), ("mo", 30 * 86_400), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def _duration_round(duration: Value, *, around: Surroundings) -> str:
    nanoseconds = 0
    if isinstance(duration, str):
        try:
            nanoseconds = parse_duration(duration)
        except CallError:
            nanoseconds = 0
    elif isinstance(duration, datetime):
        nanoseconds = _since(duration, around, "durationRound")
    elif type(duration) is Int64 or (isinstance(duration, Int) and type_name(duration) == "int64"):
        nanoseconds = int(duration)
    for unit, seconds in _ROUND:
        if abs(nanoseconds) > seconds * 10**9:
            return f"{abs(nanoseconds) // (seconds * 10**9)}{unit}"
    return "0s"


def _to_date(layout: str, text: str) -> datetime:
    try:
        return go_parse(layout, text)
    except CallError:
        return ZERO


def _unix_epoch(date: datetime) -> str:
    delta = date - from_unix(0)
    return str(delta.days * 86_400 + delta.seconds)


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "dateModify": ("string, time", _date_modify),
    "date_modify": ("string, time", _date_modify),
    "duration": ("any", _duration),
    "mustDateModify": ("string, time", _must_date_modify),
    "mustToDate": ("string, string", go_parse),
    "must_date_modify": ("string, time", _must_date_modify),
    "toDate": ("string, string", _to_date),
    "unixEpoch": ("time", _unix_epoch),
}
AROUND: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "ago": ("any", _ago),
    "date": ("string, any", _date),
    "dateInZone": ("string, any, string", _date_in_zone),
    "date_in_zone": ("string, any, string", _date_in_zone),
    "durationRound": ("any", _duration_round),
    "htmlDate": ("any", _html_date),
    "htmlDateInZone": ("any, string", _html_date_in_zone),
    "now": ("", _now),
}
"""Those that need `Surroundings`."""
