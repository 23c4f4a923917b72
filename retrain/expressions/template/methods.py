"""The methods that values of Go's own types have: `(now).Year`, `(semver "1.2.3").Major`.

No other attribute of any value can be reached from a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from retrain.expressions.sprig.semver import METHODS, Version
from retrain.expressions.sprig.time import ZERO, added, go_format, unix_nanoseconds
from retrain.expressions.template.functions import Function
from retrain.expressions.template.show import show
from retrain.expressions.template.values import Duration, Int, Int64, Month, Value, Weekday


def method_of(value: Value, name: str) -> Function | None:
    """The method of this value by its name, if it has it. The receiver is its first parameter."""
    if isinstance(value, datetime):
        return _TIME.get(name)
    if isinstance(value, Duration):
        return _DURATION.get(name)
    if isinstance(value, Month | Weekday):
        return _NAMED.get(name)
    return METHODS.get(name) if isinstance(value, Version) else None


def _weekday(moment: datetime) -> Weekday:
    return Weekday(moment.isoweekday() % 7)


_ALONE: Final[Mapping[str, Callable[[datetime], Value]]] = {
    "Year": lambda moment: Int(moment.year),
    "Month": lambda moment: Month(moment.month),
    "Day": lambda moment: Int(moment.day),
    "Hour": lambda moment: Int(moment.hour),
    "Minute": lambda moment: Int(moment.minute),
    "Second": lambda moment: Int(moment.second),
    "Nanosecond": lambda moment: Int(moment.microsecond * 1000),
    "YearDay": lambda moment: Int(moment.timetuple().tm_yday),
    "Weekday": _weekday,
    "Unix": lambda moment: Int64(unix_nanoseconds(moment) // 10**9),
    "UnixMilli": lambda moment: Int64(unix_nanoseconds(moment) // 10**6),
    "UnixMicro": lambda moment: Int64(unix_nanoseconds(moment) // 10**3),
    "UnixNano": lambda moment: Int64(unix_nanoseconds(moment)),
    "UTC": lambda moment: moment.astimezone(UTC),
    "String": show,
    "IsZero": lambda moment: moment == ZERO,
}
_WITH_OTHER: Final[Mapping[str, tuple[str, Callable[[datetime, Any], Value]]]] = {
    "Format": ("string", go_format),
    "Add": ("duration", added),
    "Sub": ("time", lambda moment, other: Duration(unix_nanoseconds(moment) - unix_nanoseconds(other))),
    "Before": ("time", lambda moment, other: bool(moment < other)),
    "After": ("time", lambda moment, other: bool(moment > other)),
    "Equal": ("time", lambda moment, other: bool(moment == other)),
}
_TIME: Final[Mapping[str, Function]] = {
    **{name: Function.of(name, "time", call) for name, call in _ALONE.items()},
    **{name: Function.of(name, f"time, {kind}", call) for name, (kind, call) in _WITH_OTHER.items()},
}
_SPANS: Final[Mapping[str, Callable[[Duration], Value]]] = {
    "Hours": lambda span: int(span) / 3.6e12,
    "Minutes": lambda span: int(span) / 6e10,
    "Seconds": lambda span: int(span) / 1e9,
    "Milliseconds": lambda span: Int64(abs(span) // 10**6 * (1 if span >= 0 else -1)),
    "Nanoseconds": lambda span: Int64(span),
    "String": show,
}
_DURATION: Final = {name: Function.of(name, "duration", call) for name, call in _SPANS.items()}
_NAMED: Final = {"String": Function.of("String", "any", show)}
