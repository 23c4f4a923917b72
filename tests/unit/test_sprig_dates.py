"""Dates and durations of sprig: Go's layouts. The answers are sprig's own."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.expressions.gotemplate import TemplateError, compile_template

DATA: dict[str, Any] = {}

ANSWERS = [
    ('{{ date "2006-01-02T15:04:05Z07:00" (int64 1700000000) }}', "2023-11-14T22:13:20Z"),
    ('{{ date "Jan _2 3:04PM Mon" (int64 1700000000) }}', "Nov 14 10:13PM Tue"),
    (
        '{{ dateInZone "2006-01-02 15:04:05 MST -0700" (int64 1700000000) "Europe/Berlin" }}',
        "2023-11-14 23:13:20 CET +0100",
    ),
    ('{{ dateInZone "15 MST" (int64 1700000000) "Nope/Zone" }}', "22 UTC"),
    ("{{ htmlDate (int 1700000000) }}", "2023-11-14"),
    ('{{ htmlDateInZone (int64 0) "America/New_York" }}', "1969-12-31"),
    (
        '{{ dateInZone "2006-01-02 MST -07 -07:00 Z0700 Z07:00" (int64 0) "Asia/Kolkata" }}',
        "1970-01-01 IST +05 +05:30 +0530 +05:30",
    ),
    (
        '{{ date "02/01/06 03:04:05.000 .999 PM pm January Monday 1 2 3 4 5 002 __2 _2" (int64 1700000000) }}',
        "14/11/23 10:13:20.000  PM pm November Tuesday 11 14 10 13 20 318 318 14",
    ),
    ('{{ date "2006_01_2006 Janet Monx 150" (int64 1700000000) }}', "2023_11_2023 Janet Monx 220"),
    ('{{ toDate "2006-01-02" "2024-02-29" | date "02/01/2006" }}', "29/02/2024"),
    ('{{ toDate "2006-01-02" "bad" }}', "0001-01-01 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "2024-02-29" }}', "2024-02-29 00:00:00 +0000 UTC"),
    ('{{ toDate "2006-01-02T15:04:05Z07:00" "2024-02-29T10:11:12.5+02:00" }}', "2024-02-29 10:11:12.5 +0200 +0200"),
    ('{{ toDate "Jan 2, 2006 at 3:04pm (MST)" "Feb 3, 2013 at 7:54pm (PST)" }}', "2013-02-03 19:54:00 +0000 PST"),
    ('{{ toDate "2006-01-02" "2024-02-29" | unixEpoch }}', "1709164800"),
    ('{{ dateModify "-1.5h" (toDate "2006-01-02" "2024-02-29") }}', "2024-02-28 22:30:00 +0000 UTC"),
    ('{{ toDate "2006-01-02" "2024-02-29" | dateModify "+24h" | date "2006-01-02" }}', "2024-03-01"),
    ('{{ dateModify "bad" (toDate "2006-01-02" "2024-02-29") }}', "2024-02-29 00:00:00 +0000 UTC"),
    ('{{ (toDate "2006-01-02" "2024-02-29").Weekday }}', "Thursday"),
    ('{{ (toDate "2006-01-02" "2024-02-29").Month }}', "February"),
    ('{{ (toDate "2006-01-02" "2024-02-29").Unix }}', "1709164800"),
    ('{{ (toDate "2006-01-02" "2024-02-29").Format "Jan 2006" }}', "Feb 2024"),
    (
        '{{ printf "%d %s" (toDate "2006-01-02" "2024-02-29").Month (toDate "2006-01-02" "2024-02-29").Month }}',
        "2 February",
    ),
    ('{{ (toDate "2006-01-02" "2024-02-29").YearDay }}', "60"),
    ('{{ duration "95" }}', "1m35s"),
    ("{{ duration (int64 3661) }}", "1h1m1s"),
    ("{{ duration 95 }}", "0s"),
    ('{{ duration "x" }}', "0s"),
    ('{{ durationRound "2h10m5s" }}', "2h"),
    ('{{ durationRound "2400h10m5s" }}', "3mo"),
    ("{{ durationRound (int64 3600000000001) }}", "1h"),
    ('{{ durationRound "500ms" }}', "0s"),
    ("{{ durationRound 5 }}", "0s"),
    ('{{ durationRound "-2h" }}', "2h"),
    ('{{ duration "-5" }}', "-5s"),
    ('{{duration "100000"}}', "27h46m40s"),
    (
        '{{ $t := toDate "2006-01-02" "2024-02-29" }}{{ ($t.Sub (toDate "2006-01-02" "2024-02-28")) }} '
        '{{ (($t.Sub (toDate "2006-01-02" "2024-02-28"))).Hours }} {{ $t.After (toDate "2006-01-02" "20'
        '24-02-28") }} {{ toJson $t }} {{ ($t.Add 1000000000) }} {{ toJson (semver "1.2.3") }} {{toJson'
        " (int64 5)}}",
        '24h0m0s 24 true "2024-02-29T00:00:00Z" 2024-02-29 00:00:01 +0000 UTC "1.2.3" 5',
    ),
]

ERRORS = [
    ('{{ mustToDate "2006-01-02" "2024-13-29" }}', 'mustToDate: parsing time "2024-13-29": month out of range'),
    ('{{ mustToDate "2006-01-02" "x" }}', 'mustToDate: parsing time "x" as "2006-01-02": cannot parse "x" as "2006"'),
    ('{{ mustToDate "2006-01-02" "2024-02-29x" }}', 'mustToDate: parsing time "2024-02-29x": extra text: "x"'),
    ('{{ mustToDate "2006-01-02" "2023-02-29" }}', 'mustToDate: parsing time "2023-02-29": day out of range'),
    ('{{ mustDateModify "bad" (toDate "2006-01-02" "2024-02-29") }}', 'mustDateModify: time: invalid duration "bad"'),
]


@pytest.mark.parametrize(("template", "want"), ANSWERS)
def test_dates_come_out_as_from_sprig(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "message"), ERRORS)
def test_dates_that_sprig_refuses_are_refused_in_its_words(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(template).render(DATA)

    assert str(error.value).endswith(message)
