"""Cron expressions: what they mean, what is wrong with others, and what the clock's jumps do to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.expressions.cron import CronError, compile_cron

FRIDAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def ticks(text: str, after: datetime, count: int = 3, zone: ZoneInfo | None = None) -> list[str]:
    cron, found = compile_cron(text), []
    for _ in range(count):
        tick = cron.next(after, zone or UTC)
        assert tick is not None
        found.append(f"{tick:%a %d %H:%M}")
        after = tick
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", ["Fri 20 12:01", "Fri 20 12:02", "Fri 20 12:03"]),
        ("*/20 * * * *", ["Fri 20 12:20", "Fri 20 12:40", "Fri 20 13:00"]),
        ("30 2 * * mon-fri", ["Mon 23 02:30", "Tue 24 02:30", "Wed 25 02:30"]),
        ("0 0 ? * SUN,Wed", ["Sun 22 00:00", "Wed 25 00:00", "Sun 29 00:00"]),
        ("0 6-18/6 * * *", ["Fri 20 18:00", "Sat 21 06:00", "Sat 21 12:00"]),
        ("5/25 12 * * *", ["Fri 20 12:05", "Fri 20 12:30", "Fri 20 12:55"]),
        ("0 0 1 JAN *", ["Fri 01 00:00", "Sat 01 00:00", "Mon 01 00:00"]),
        ("@daily", ["Sat 21 00:00", "Sun 22 00:00", "Mon 23 00:00"]),
        ("@every 90m", ["Fri 20 13:30", "Fri 20 15:00", "Fri 20 16:30"]),
        ("@hourly", ["Fri 20 13:00", "Fri 20 14:00", "Fri 20 15:00"]),
        ("@weekly", ["Sun 22 00:00", "Sun 29 00:00", "Sun 06 00:00"]),
    ],
)
def test_the_next_ticks(text: str, expected: list[str]) -> None:
    assert ticks(text, FRIDAY) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Both restricted: one of them is enough.
        ("0 0 25 * mon", ["Mon 23 00:00", "Wed 25 00:00", "Mon 30 00:00"]),
        ("0 0 */10 * mon", ["Sat 21 00:00", "Mon 23 00:00", "Mon 30 00:00"]),
        ("0 0 25 * */4", ["Sun 22 00:00", "Wed 25 00:00", "Thu 26 00:00"]),
        # One is a star: both must hold, and a star always does.
        ("0 0 * * mon", ["Mon 23 00:00", "Mon 30 00:00", "Mon 07 00:00"]),
        ("0 0 25 * ?", ["Wed 25 00:00", "Fri 25 00:00", "Mon 25 00:00"]),
    ],
)
def test_days_of_month_and_of_week(text: str, expected: list[str]) -> None:
    assert ticks(text, FRIDAY) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("0 * * * * *", "has 6 fields"),
        ("60 * * * *", "minute at column 1: '60' is no number from 0 to 59"),
        ("* 24 * * *", "hour at column 3"),
        ("* * 0 * *", "day of month at column 5"),
        ("* * * foo *", "month at column 7: 'FOO' is no number from 1 to 12, or jan to dec"),
        ("* * * * 7", "day of week at column 9: '7' is no number from 0 to 6, or sun to sat"),
        ("5-1 * * * *", "'5-1' ends before it begins"),
        ("*/0 * * * *", "'0' is no number from 1 to 9999"),
        ("*/x * * * *", "'X' is no number"),
        ("1,,2 * * * *", "'' is no number"),
        ("1-2-3 * * * *", "'2-3' is no number"),
        ("* * L * *", "'L' is no number"),
        ("* * * * mon#2", "'MON#2' is no number"),
        ("@never", "there is no @never"),
        ("@every", "there is no @every"),
        ("@every day", "day"),
        ("@every 10ms", "one second at least"),
        ("@every -1h", "one second at least"),
        ("@reboot", "there is no @reboot"),
        ("٣ * * * *", "is no number"),
        ("* " * 600, "1024 characters at most"),
    ],
)
def test_what_is_no_cron_says_where(text: str, words: str) -> None:
    with pytest.raises(CronError) as caught:
        compile_cron(text)

    assert words in str(caught.value)


@pytest.mark.parametrize(("text", "never"), [("0 0 30 2 *", True), ("0 0 29 2 *", False), ("0 0 31 4,6 *", True)])
def test_a_day_that_does_not_exist_never_comes(text: str, never: bool) -> None:
    cron = compile_cron(text)

    assert cron.never is never
    assert (cron.next(FRIDAY) is None) is never


def test_a_moment_that_the_clock_skips_happens_when_it_jumps() -> None:
    """On 29 March 2026 in Berlin 02:00 is followed by 03:00, which is 01:00 in UTC."""
    before = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)

    assert ticks("30 2 * * *", before, 2, BERLIN) == ["Sun 29 01:00", "Mon 30 00:30"]


def test_a_moment_that_the_clock_shows_twice_happens_once() -> None:
    """On 25 October 2026 in Berlin 03:00 is followed by 02:00."""
    before = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)

    assert ticks("30 2 * * *", before, 2, BERLIN) == ["Sun 25 00:30", "Mon 26 01:30"]
    assert ticks("30 * * * *", datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 3, BERLIN) == [
        "Sun 25 00:30",
        "Sun 25 01:30",
        "Sun 25 02:30",
    ]


FIELD = st.sampled_from(["*", "*/7", "0", "5", "1-4", "2,3", "3/2"])


@given(
    st.lists(FIELD, min_size=3, max_size=3),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe"]),
)
def test_the_next_tick_is_after_and_there_is_none_between(fields: list[str], start: datetime, name: str) -> None:
    minute, hour, weekday = fields
    cron = compile_cron(f"{minute} {hour} * * {weekday}")
    after, zone = start.replace(tzinfo=UTC), ZoneInfo(name)

    first = cron.next(after, zone)

    assert first is not None
    assert first > after
    middle = after + (first - after) / 2
    assert cron.next(middle, zone) == first or middle == first
    assert cron.next(first - timedelta(microseconds=1), zone) == first
