"""When a calendar ticks: cron expressions with or without seconds, intervals, zones, days that are left out. Pure.

Ticks follow from what is written alone: a restart and another replica have the same ones.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from retrain.errors import ConfigError
from retrain.expressions.cron import Cron, compile_cron

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
EXCLUDED = 4000
"""Ticks in a row on days that are left out, after which a calendar counts as having no next one."""

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")
_EXDATE = re.compile(r"EXDATE:(.+)", re.S)
_HOUR = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ticks:
    """A compiled calendar. `seconds` of each minute of `cron`; `excluded` are days in `zone`."""

    cron: Cron
    zone: tzinfo = UTC
    seconds: tuple[int, ...] = (0,)
    excluded: frozenset[date] = frozenset()

    def next(self, after: datetime) -> datetime | None:
        """The first tick after a moment, in UTC; None if there is none."""
        for _ in range(EXCLUDED):
            found = self._next(after)
            if found is None or found.astimezone(self.zone).date() not in self.excluded:
                return found
            after = found
        return None

    def _next(self, after: datetime) -> datetime | None:
        if self.seconds == (0,):
            return self.cron.next(after, self.zone)
        # The minute that `after` is in may be one of the cron's, with seconds to come.
        minute = self.cron.next(after.replace(second=0, microsecond=0) - SECOND, self.zone)
        while minute is not None:
            for second in self.seconds:
                if (tick := minute + timedelta(seconds=second)) > after:
                    return tick
            minute = self.cron.next(minute, self.zone)
        return None

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The ticks after `after`, up to `until`."""
        while (tick := self.next(after)) is not None and tick <= until:
            yield tick
            after = tick

    def newest(self, after: datetime, until: datetime, count: int) -> datetime:
        """The moment after which the `count` newest ticks of a span lie: `after`, or the last one that is too old.

        It looks back from `until` in growing steps, since a span may hold very many ticks.
        """
        width = MINUTE
        while until - width > after:
            begin = until - width
            if len(list(islice(self.between(begin, until), count + 1))) > count:
                return deque(self.between(begin, until), count + 1)[0]
            width *= 2
        found = deque(self.between(after, until), count + 1)
        return found[0] if len(found) > count else after


def compile_ticks(schedule: str, interval: str, zone: str, exclusions: Sequence[str], *, ours: bool) -> Ticks:
    """A calendar; `schedule` goes before `interval`, as in Argo Events. `ours`: a schedule may have seconds.

    Raises:
        ConfigError: one of them cannot be read.
    """
    place = compile_zone(zone)
    excluded = excluded_days(exclusions, ours=ours)
    if not schedule:
        return Ticks(compile_cron(f"@every {interval}"), place, excluded=excluded)
    if match := _ZONE.match(schedule):
        schedule, place = schedule[match.end() :], compile_zone(match[1])
    first, _, rest = schedule.strip().partition(" ")
    if ours and len(schedule.split()) == 6:
        return Ticks(compile_cron(rest), place, _seconds(first), excluded)
    return Ticks(compile_cron(schedule), place, excluded=excluded)


def _seconds(field: str) -> tuple[int, ...]:
    """The seconds that a field names. It has the grammar of minutes, and the same numbers."""
    try:
        cron = compile_cron(f"{field} * * * *")
    except ConfigError as error:
        raise ConfigError(str(error).replace("minute", "second")) from error
    last = _HOUR + timedelta(minutes=59)
    return tuple(tick.minute for tick in Ticks(cron).between(_HOUR - SECOND, last))


def compile_zone(name: str) -> tzinfo:
    """
    Raises:
        ConfigError: there is no such zone.
    """
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"unknown time zone {name!r}; write one such as Europe/Berlin") from error


def excluded_days(written: Iterable[str], *, ours: bool) -> frozenset[date]:
    """The days that `EXDATE:20260102T150405Z,...` names, in ours also `2026-01-02`. The time of day has no part in it.

    Raises:
        ConfigError: one cannot be read. (Argo Events passes over what does not begin with EXDATE:)
    """
    days: set[date] = set()
    for text in written:
        match = _EXDATE.fullmatch(text)
        try:
            if match is not None:
                days.update(datetime.strptime(one, "%Y%m%dT%H%M%SZ").date() for one in match[1].split(","))  # noqa: DTZ007 - the day alone counts
            else:
                days.add(date.fromisoformat(text if ours else ""))
        except ValueError:
            also = " or 2026-01-02" if ours else ""
            raise ConfigError(f"{text!r} is no date such as EXDATE:20260102T000000Z{also}") from None
    return frozenset(days)
