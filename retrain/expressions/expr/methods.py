"""expr-lang: the methods of times, durations and zones that an expression may call, and no others.

Month and weekday are plain ints (Go: named kinds that print as `August`).

Source: https://pkg.go.dev/time#Time and https://pkg.go.dev/time#Duration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

from retrain.expressions.expr.time import UNITS, write_duration, write_moment
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import Duration, as_int, go_type, wrapped

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _unix(moment: datetime, nanoseconds: int) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000 // nanoseconds


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    raise ExprError(f"a time is needed here, not {go_type(value)}")


def _length(value: object) -> Duration:
    if isinstance(value, Duration):
        return value
    raise ExprError(f"a duration is needed here, not {go_type(value)}")


def _in(moment: datetime, where: object) -> datetime:
    if isinstance(where, tzinfo):
        return moment.astimezone(where)
    raise ExprError(f"In takes timezone(...), not {go_type(where)}")


def _layout(value: object) -> str:
    if type(value) is str:
        return value
    raise ExprError(f"Format takes a layout, not {go_type(value)}")


def _add_date(moment: datetime, years: object, months: object, days: object) -> datetime:
    month = moment.month - 1 + as_int(months)
    year = moment.year + as_int(years) + month // 12
    first = moment.replace(year=year, month=month % 12 + 1, day=1)
    return first + timedelta(days=moment.day - 1 + as_int(days))


def _rounded(nanoseconds: int, unit: int, half: bool) -> int:
    if unit <= 0:
        return nanoseconds
    sign = -1 if nanoseconds < 0 else 1
    rest = abs(nanoseconds) % unit
    return sign * (abs(nanoseconds) - rest + (unit if half and rest * 2 >= unit else 0))


def _at(moment: datetime, unit: object, half: bool) -> datetime:
    since = (moment - datetime(1, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    return moment + timedelta(microseconds=(_rounded(since, _length(unit).nanoseconds, half) - since) // 1000)


_MOMENT_0: dict[str, Callable[[datetime], object]] = {
    "Year": lambda t: t.year,
    "Month": lambda t: t.month,
    "Day": lambda t: t.day,
    "Hour": lambda t: t.hour,
    "Minute": lambda t: t.minute,
    "Second": lambda t: t.second,
    "Nanosecond": lambda t: t.microsecond * 1000,
    "Weekday": lambda t: t.isoweekday() % 7,
    "YearDay": lambda t: t.timetuple().tm_yday,
    "Unix": lambda t: _unix(t, 10**9),
    "UnixMilli": lambda t: _unix(t, 10**6),
    "UnixMicro": lambda t: _unix(t, 1000),
    "UnixNano": lambda t: _unix(t, 1),
    "UTC": lambda t: t.astimezone(UTC),
    "Local": lambda t: t.astimezone(UTC),
    "Location": lambda t: t.tzinfo,
    "IsZero": lambda t: t == datetime(1, 1, 1, tzinfo=UTC),
    "String": lambda t: write_moment(t, "2006-01-02 15:04:05.999999999 -0700 MST"),
}

_MOMENT_1: dict[str, Callable[[datetime, object], object]] = {
    "Format": lambda t, layout: write_moment(t, _layout(layout)),
    "In": lambda t, where: _in(t, where),
    "Add": lambda t, d: (t.astimezone(UTC) + _length(d).delta()).astimezone(t.tzinfo),
    "Sub": lambda t, u: Duration((t - _moment(u)) // timedelta(microseconds=1) * 1000),
    "Before": lambda t, u: t < _moment(u),
    "After": lambda t, u: t > _moment(u),
    "Equal": lambda t, u: t == _moment(u),
    "Compare": lambda t, u: (t > _moment(u)) - (t < _moment(u)),
    "Truncate": lambda t, d: _at(t, d, half=False),
    "Round": lambda t, d: _at(t, d, half=True),
}

_DURATION_0: dict[str, Callable[[Duration], object]] = {
    "Hours": lambda d: d.nanoseconds / UNITS["h"],
    "Minutes": lambda d: d.nanoseconds / UNITS["m"],
    "Seconds": lambda d: d.nanoseconds / UNITS["s"],
    "Milliseconds": lambda d: _whole(d, 10**6),
    "Microseconds": lambda d: _whole(d, 1000),
    "Nanoseconds": lambda d: d.nanoseconds,
    "String": write_duration,
    "Abs": lambda d: Duration(wrapped(abs(d.nanoseconds))),
}

_DURATION_1: dict[str, Callable[[Duration, object], object]] = {
    "Truncate": lambda d, unit: Duration(_rounded(d.nanoseconds, _length(unit).nanoseconds, half=False)),
    "Round": lambda d, unit: Duration(wrapped(_rounded(d.nanoseconds, _length(unit).nanoseconds, half=True))),
}


def _whole(duration: Duration, unit: int) -> int:
    return abs(duration.nanoseconds) // unit * (-1 if duration.nanoseconds < 0 else 1)


def call_method(value: object, name: str, arguments: list[object]) -> object:
    """A method of a moment, a duration or a zone.

    Raises:
        ExprError: it has no such method, or not with these arguments.
    """
    try:
        if isinstance(value, datetime):
            return _call_moment(value, name, arguments)
        if isinstance(value, Duration):
            return _one_of(value, name, arguments, _DURATION_0, _DURATION_1)
    except (OverflowError, ValueError) as error:
        raise ExprError(f"{name}: {error}") from None
    if isinstance(value, tzinfo) and name == "String" and not arguments:
        return str(value)
    raise _no_method(value, name)


def _call_moment(value: datetime, name: str, arguments: list[object]) -> object:
    if name == "AddDate" and len(arguments) == 3:
        return _add_date(value, *arguments)
    return _one_of(value, name, arguments, _MOMENT_0, _MOMENT_1)


def _one_of(
    value: T,
    name: str,
    arguments: list[object],
    plain: Mapping[str, Callable[[T], object]],
    single: Mapping[str, Callable[[T, object], object]],
) -> object:
    if not arguments and name in plain:
        return plain[name](value)
    if len(arguments) == 1 and name in single:
        return single[name](value, arguments[0])
    if name in plain or name in single or name == "AddDate":
        takes = 0 if name in plain else 1 if name in single else 3
        raise ExprError(f"invalid number of arguments for {name} (expected {takes}, got {len(arguments)})")
    raise _no_method(value, name)


def _no_method(value: object, name: str) -> ExprError:
    return ExprError(f"{go_type(value)} has no method {name}")
