"""Hours in which a trigger may fire: parts of the week in a time zone, open or closed.

Hours are those that a clock on the wall shows: what it skips in spring is not there, what it shows twice in autumn is
inside both times.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from retrain.errors import ConfigError
from sensors.decision_spec import DAYS, Hours
from sensors.decision_spec import Schedule as ScheduleSpec
from sensors.filtering.clock_time import zone

DAY, WEEK = 1440, 10080
"""Minutes."""

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)", re.ASCII)

Span = tuple[int, int]
"""Minutes of the week, from Monday 00:00 on: the first that is inside, and the first after it."""


class Schedule:
    """When a trigger may fire. Get one from `compile_schedule`."""

    __slots__ = ("_memo", "_spans", "_zone", "never_open")

    def __init__(self, spans: tuple[Span, ...], where: tzinfo) -> None:
        self._spans = spans
        self._zone = where
        # Matches are held one after the other until the same moment: (when it was asked, what was found).
        self._memo: tuple[datetime, datetime | None] | None = None
        self.never_open = not spans

    def is_open(self, now: datetime) -> bool:
        """Whether it may fire now."""
        minute = _minute_of_week(now.astimezone(self._zone))
        return any(start <= minute < stop for start, stop in self._spans)

    def opens(self, now: datetime) -> datetime | None:
        """The first moment after `now`, at which it is closed, in which it may fire; None if there is none."""
        if self.never_open:
            return None
        memo = self._memo
        if memo is None or memo[1] is None or not memo[0] <= now < memo[1]:
            memo = self._memo = (now, self._find(now))
        return memo[1]

    def _find(self, now: datetime) -> datetime | None:
        local = now.astimezone(self._zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        monday = midnight - timedelta(days=midnight.weekday())
        starts = (monday + timedelta(weeks=w, minutes=start) for w in range(4) for start, _ in self._spans)
        moments = [bound for start in starts for bound in self._shown(start)] + self._jumps(now)
        return min((one for one in moments if one > now and self.is_open(one)), default=None)

    def _shown(self, start: datetime) -> list[datetime]:
        """The moments at which the clock shows this: one, two in autumn, none in spring."""
        moments = {start.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        return [one for one in moments if one.astimezone(self._zone).replace(tzinfo=None) == start]

    def _jumps(self, now: datetime) -> list[datetime]:
        """When the clock is put forward or back in the next weeks: hours may begin with that."""
        days = [now + timedelta(days=day) for day in range(29)]
        offsets = [day.astimezone(self._zone).utcoffset() for day in days]
        return [
            _jump(days[at], days[at + 1], self._zone) for at in range(len(days) - 1) if offsets[at] != offsets[at + 1]
        ]


def compile_schedule(written: ScheduleSpec) -> Schedule:
    """The hours that are left: the open ones (all where none are written) without the closed ones.

    Raises:
        ConfigError: a day, a time of day or the time zone is none.
    """
    where = zone(written.timezone)
    inside = bytearray(WEEK) if written.open else bytearray(b"\1" * WEEK)
    for value, some in ((b"\1", written.open), (b"\0", written.closed)):
        for start, stop in (span for hours in some for span in _spans(hours)):
            inside[start:stop] = value * (stop - start)
    return Schedule(tuple(_runs(inside)), where)


def _runs(inside: bytearray) -> list[Span]:
    runs: list[Span] = []
    start = inside.find(1)
    while start >= 0:
        stop = inside.find(0, start)
        runs.append((start, stop if stop >= 0 else WEEK))
        start = inside.find(1, runs[-1][1])
    return runs


def _spans(hours: Hours) -> list[Span]:
    start, stop = _minute(hours.start), _minute(hours.stop)
    if start == DAY:
        raise ConfigError("hours start before 24:00; write 00:00 of the next day")
    length = stop - start if stop > start else stop + DAY - start
    spans: list[Span] = []
    for day in _days(hours.days):
        first = day * DAY + start
        spans.append((first, min(first + length, WEEK)))
        if first + length > WEEK:
            spans.append((0, first + length - WEEK))
    return spans


def _days(written: tuple[str, ...]) -> list[int]:
    if not written:
        return list(range(7))
    days: set[int] = set()
    for one in written:
        first, dash, last = one.lower().partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ConfigError(f"{one!r} is no day; write one like mon, or mon-fri")
        a, b = DAYS.index(first), DAYS.index(last if dash else first)
        days.update(range(a, b + 1) if a <= b else (*range(a, 7), *range(b + 1)))
    return sorted(days)


def _minute(text: str) -> int:
    match = _CLOCK.fullmatch(text)
    if match is not None:
        hour, minute = int(match[1]), int(match[2])
        if minute < 60 and (hour < 24 or (hour == 24 and minute == 0)):
            return hour * 60 + minute
    raise ConfigError(f"{text!r} is no time of day like 08:00, up to 24:00")


def _minute_of_week(local: datetime) -> int:
    return local.weekday() * DAY + local.hour * 60 + local.minute


def _jump(before: datetime, after: datetime, where: tzinfo) -> datetime:
    """The moment between the two at which the clock jumps; it lies on a second."""
    offset = before.astimezone(where).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        before, after = (middle, after) if middle.astimezone(where).utcoffset() == offset else (before, middle)
    return after
