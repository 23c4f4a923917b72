"""When a calendar ticks: seconds, zones and their jumps, days that are left out, and how far back one looks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventsources.watching.calendar import Calendar, bound_of
from eventsources.watching.ticks import Ticks, compile_ticks, excluded_days
from retrain.errors import ConfigError

FRIDAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FAR = datetime(2030, 1, 1, tzinfo=UTC)


def first(ticks: Ticks, after: datetime = FRIDAY, count: int = 3) -> list[str]:
    return [f"{tick:%m-%d %H:%M:%S}" for tick in islice(ticks.between(after, FAR), count)]


def cron(schedule: str, zone: str = "", *exclusions: str) -> Ticks:
    return compile_ticks(schedule, "", zone, exclusions, ours=True)


def test_six_fields_begin_with_seconds() -> None:
    assert first(cron("*/20 30 12 * * *")) == ["11-20 12:30:00", "11-20 12:30:20", "11-20 12:30:40"]
    assert first(cron("5,7 * * * * *"), FRIDAY + timedelta(seconds=5)) == [
        "11-20 12:00:07",
        "11-20 12:01:05",
        "11-20 12:01:07",
    ]


def test_argos_schedules_have_five_fields() -> None:
    with pytest.raises(ConfigError, match="6 fields"):
        compile_ticks("0 30 12 * * *", "", "", (), ours=False)


def test_seconds_that_cannot_be_read_are_named_so() -> None:
    with pytest.raises(ConfigError, match="second at column 1"):
        cron("61 * * * * *")


def test_a_schedule_may_name_its_zone() -> None:
    assert first(cron("CRON_TZ=Asia/Tokyo 0 9 * * *"), count=1) == ["11-21 00:00:00"]


def test_an_interval_has_the_same_ticks_whenever_one_begins() -> None:
    ticks = compile_ticks("", "10m", "", (), ours=False)

    assert first(ticks, FRIDAY + timedelta(minutes=3), 2) == ["11-20 12:10:00", "11-20 12:20:00"]


@pytest.mark.parametrize("seconds", ["", "15 "])
def test_the_clocks_jumps_neither_double_a_tick_nor_swallow_it(seconds: str) -> None:
    """Berlin skips 02:00 to 03:00 on 29 March 2026, and has 02:00 to 03:00 twice on 25 October."""
    ticks = cron(f"{seconds}30 2 * * *", "Europe/Berlin")
    spring = list(ticks.between(datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)))
    autumn = list(ticks.between(datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 27, tzinfo=UTC)))

    assert [f"{tick:%d %H:%M}" for tick in spring] == ["28 01:30", "29 01:00", "30 00:30"]
    assert [f"{tick:%d %H:%M}" for tick in autumn] == ["24 00:30", "25 00:30", "26 01:30"]


def test_days_that_are_left_out_are_those_of_the_zone() -> None:
    ticks = cron("0 23 * * *", "America/New_York", "EXDATE:20261120T150405Z,20261121T000000Z", "2026-11-22")

    assert first(ticks, count=1) == ["11-24 04:00:00"]


def test_a_calendar_without_days_has_no_next_tick() -> None:
    ticks = Ticks(cron("0 0 1 1 *").cron, excluded=frozenset(date(year, 1, 1) for year in range(2026, 6100)))

    assert ticks.next(FRIDAY) is None


@pytest.mark.parametrize("text", ["20261120", "EXDATE:20261120", "RDATE:20261120T000000Z", "EXDATE:"])
def test_what_is_no_date_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is no date"):
        excluded_days([text], ours=False)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(0, 2000), st.sampled_from(["* * * * *", "*/7 * * * *", "0 */6 * * *"]))
def test_the_newest_ticks_of_a_span_are_those_at_its_end(count: int, minutes: int, text: str) -> None:
    ticks, begin = cron(text), FRIDAY - timedelta(minutes=minutes)
    all_of_them = list(ticks.between(begin, FRIDAY))

    found = list(ticks.between(ticks.newest(begin, FRIDAY, count), FRIDAY))

    assert found == all_of_them[-count:]


def test_many_missed_ticks_are_looked_through_from_their_end() -> None:
    begin = FRIDAY - timedelta(days=365)

    assert cron("* * * * * *").newest(begin, FRIDAY, 2) == FRIDAY - timedelta(seconds=2)


def test_what_is_made_up_for_is_said_by_the_document() -> None:
    def bound(ours: bool, **spec: object) -> tuple[float, int]:
        found = bound_of(Calendar.model_validate({"interval": "10s", **spec}), ours=ours)
        return found.age.total_seconds(), found.most

    assert bound(False) == (10.0, 100_000)
    assert bound(True) == (86_400.0, 100)
    assert bound(True, catchUp={"maxDuration": "2h", "limit": 3}) == (7200.0, 3)
    assert bound(True, catchUp={"enabled": False}) == (10.0, 100_000)
    assert bound(False, persistence={"catchup": {"enabled": True, "maxDuration": "5m"}}) == (300.0, 100_000)
    assert bound(False, persistence={"catchup": {"enabled": False, "maxDuration": "5m"}}) == (10.0, 100_000)
