"""Hours in which a trigger may fire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError
from sensors.core.schedule import compile_schedule
from sensors.decision_spec import Schedule

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def hours(*opened: dict[str, Any], closed: tuple[dict[str, Any], ...] = (), timezone: str = "") -> Any:
    written = {"open": list(opened), "closed": list(closed), "timezone": timezone}
    return compile_schedule(Schedule.model_validate(written))


def test_only_in_open_hours_and_never_in_closed_ones() -> None:
    made = hours(
        {"days": ["mon-fri"], "start": "08:00", "stop": "18:00"}, closed=({"start": "12:00", "stop": "13:00"},)
    )

    got = [hour for hour in range(24) if made.is_open(MONDAY + timedelta(hours=hour))]

    assert got == [8, 9, 10, 11, 13, 14, 15, 16, 17]
    assert made.opens(MONDAY) == MONDAY + timedelta(hours=8)
    assert made.opens(MONDAY + timedelta(hours=12, minutes=30)) == MONDAY + timedelta(hours=13)
    assert made.opens(MONDAY + timedelta(days=4, hours=18)) == MONDAY + timedelta(days=7, hours=8)


def test_hours_may_pass_midnight_and_the_end_of_the_week() -> None:
    made = hours({"days": ["sun"], "start": "22:00", "stop": "06:00"})

    assert made.is_open(MONDAY - timedelta(hours=1))
    assert made.is_open(MONDAY + timedelta(hours=5, minutes=59))
    assert not made.is_open(MONDAY + timedelta(hours=6))
    assert made.opens(MONDAY + timedelta(hours=6)) == MONDAY + timedelta(days=6, hours=22)


def test_days_may_pass_the_end_of_the_week() -> None:
    made = hours({"days": ["sat-mon"]})

    assert [made.is_open(MONDAY + timedelta(days=day)) for day in range(7)] == [True, False, False, False, False] + [
        True
    ] * 2


def test_hours_that_leave_nothing_are_never_open() -> None:
    made = hours({"start": "08:00", "stop": "09:00"}, closed=({},))

    assert made.never_open
    assert made.opens(MONDAY) is None
    assert not hours().never_open


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"days": ["monday"]}, "'monday' is no day"),
        ({"days": ["mon-xyz"]}, "'mon-xyz' is no day"),
        ({"start": "8"}, "'8' is no time of day"),
        ({"stop": "24:01"}, "'24:01' is no time of day"),
        ({"start": "24:00"}, "hours start before 24:00"),
    ],
)
def test_wrong_hours_are_refused(written: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        hours(written)


def test_a_beginning_that_the_clock_skips_is_when_it_jumps() -> None:
    """On 29 March 2026 in Berlin 02:00 is followed by 03:00, which is 01:00 in UTC."""
    made = hours({"days": ["sun"], "start": "02:30", "stop": "05:00"}, timezone="Europe/Berlin")

    assert made.opens(datetime(2026, 3, 28, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_hours_that_the_clock_shows_twice_are_open_twice() -> None:
    """On 25 October 2026 in Berlin 03:00 is followed by 02:00, at 01:00 in UTC."""
    made = hours({"days": ["sun"], "start": "01:00", "stop": "02:30"}, timezone="Europe/Berlin")

    assert made.is_open(datetime(2026, 10, 25, 0, 29, tzinfo=UTC))
    assert not made.is_open(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert made.opens(datetime(2026, 10, 25, 0, 45, tzinfo=UTC)) == datetime(2026, 10, 25, 1, tzinfo=UTC)


CLOCK = st.sampled_from(["00:00", "01:30", "02:00", "02:30", "03:00", "12:00", "24:00"])


@given(
    st.tuples(CLOCK.filter(lambda one: one != "24:00"), CLOCK, st.sampled_from(["sun", "sat-sun", "mon-fri", "wed"])),
    st.sampled_from([datetime(2026, 3, 27), datetime(2026, 10, 23), datetime(2026, 11, 20)]),
    st.integers(0, 5 * 96),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
def test_the_next_opening_is_the_first_minute_that_is_open(
    written: tuple[str, str, str], day: datetime, quarters: int, zone: str
) -> None:
    start, stop, days = written
    made = hours({"start": start, "stop": stop, "days": [days]}, timezone=zone)
    now = day.replace(tzinfo=UTC) + timedelta(minutes=15 * quarters)
    if made.is_open(now):
        return

    opens = made.opens(now)

    assert opens is not None
    assert made.is_open(opens)
    steps = int((opens - now) / timedelta(minutes=30))
    assert not any(made.is_open(now + timedelta(minutes=30 * step)) for step in range(steps))
