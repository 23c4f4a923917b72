"""When a CronWorkflow is due, and what becomes of a tick: pure, with the clock handed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.checks.schedule import check_cron
from pipelines.host.schedule import (
    GRACE_S,
    Memory,
    Schedule,
    compile_schedule,
    due,
    filled,
    run_id,
    run_name,
    stopped,
    surplus,
    verdict,
    workflow_of,
)
from pipelines.spec import normalize
from retrain.errors import ConfigError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def cron(**spec: Any) -> dict[str, Any]:
    template = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
    spec.setdefault("schedules", ["*/5 * * * *"])
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly", "labels": {"team": "ml"}, "annotations": {"note": "x"}},
        "spec": {"workflowSpec": {"entrypoint": "main", "templates": [template]}, **spec},
    }


def schedule(**spec: Any) -> Schedule:
    return compile_schedule(normalize(cron(**spec)))


def at(minutes: float = 0) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_the_old_and_the_new_spelling_mean_the_same() -> None:
    old = schedule(schedules=None, schedule="*/5 * * * *")

    assert old.next(NOW) == schedule().next(NOW) == at(5)


def test_of_several_schedules_the_next_tick_is_the_nearest() -> None:
    both = schedule(schedules=["0 13 * * *", "30 12 * * *"])

    assert both.next(NOW) == at(30)
    assert both.next(at(30)) == at(60)


def test_a_zone_is_that_of_the_spec_or_of_the_schedule() -> None:
    berlin = schedule(schedules=["30 14 * * *"], timezone="Europe/Berlin")
    own = schedule(schedules=["CRON_TZ=Asia/Tokyo 30 22 * * *", "TZ=Asia/Tokyo 0 23 * * *"], timezone="Europe/Berlin")

    assert berlin.next(NOW) == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    assert own.next(NOW) == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "spec", [{"schedules": ["* *"]}, {"timezone": "Mars/Base"}, {"schedules": ["CRON_TZ=Mars/Base * * * * *"]}]
)
def test_what_cannot_be_read_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        schedule(**spec)


def test_in_spring_a_time_that_is_skipped_happens_once_and_in_autumn_one_that_comes_twice_too() -> None:
    zone = ZoneInfo("Europe/Berlin")
    night = schedule(schedules=["30 2 * * *"], timezone="Europe/Berlin")
    for day in (datetime(2026, 3, 28, 12, tzinfo=zone), datetime(2026, 10, 24, 12, tzinfo=zone)):
        ticks, when = [], day.astimezone(UTC)
        while (tick := night.next(when)) is not None and tick < day.astimezone(UTC) + timedelta(days=2):
            ticks.append(tick)
            when = tick
        assert len(ticks) == 2
        assert len({tick.astimezone(zone).date() for tick in ticks}) == 2


def test_only_what_came_since_the_last_look_is_due() -> None:
    every = schedule()

    assert due(every, Memory(looked=NOW), at(4.9)) is None
    assert due(every, Memory(looked=NOW), at(5)) == at(5)
    assert due(every, Memory(looked=at(5)), at(5.1)) is None


def test_a_tick_that_was_missed_by_a_restart_is_on_time() -> None:
    late = at(5) + timedelta(seconds=GRACE_S - 1)
    tick = due(schedule(), Memory(looked=NOW), late)

    assert tick == at(5)
    assert verdict(schedule(), Memory(looked=NOW), 0, tick, late).runs


def test_of_what_was_missed_longer_ago_nothing_runs_without_a_deadline() -> None:
    late = at(58)
    tick = due(schedule(), Memory(looked=NOW), late)
    assert tick is not None

    found = verdict(schedule(), Memory(looked=NOW), 0, tick, late)
    assert not found.runs
    assert "missed" in found.reason


def test_with_a_deadline_the_last_missed_tick_is_caught_up_with_once() -> None:
    patient = schedule(startingDeadlineSeconds=600)
    late = at(58)
    tick = due(patient, Memory(looked=NOW), late)

    assert tick == at(55)
    assert verdict(patient, Memory(looked=NOW), 0, tick, late).runs
    assert due(patient, Memory(looked=tick), late) is None


def test_a_cron_that_slept_for_years_is_looked_at_in_no_time() -> None:
    minutely = schedule(schedules=["* * * * *"])

    assert due(minutely, Memory(looked=NOW - timedelta(days=3650)), NOW + timedelta(seconds=3)) == NOW


@pytest.mark.parametrize(
    ("policy", "active", "runs", "replaces"),
    [
        (None, 3, True, False),
        ("Allow", 1, True, False),
        ("Forbid", 1, False, False),
        ("Forbid", 0, True, False),
        ("Replace", 2, True, True),
        ("Replace", 0, True, False),
    ],
)
def test_the_concurrency_policy_decides_beside_open_runs(policy: Any, active: int, runs: bool, replaces: bool) -> None:
    found = verdict(schedule(concurrencyPolicy=policy), Memory(looked=NOW), active, at(5), at(5))

    assert (found.runs, found.replace) == (runs, replaces)


def test_a_suspended_cron_lets_its_ticks_pass() -> None:
    found = verdict(schedule(suspend=True), Memory(looked=NOW), 0, at(5), at(5))

    assert (found.runs, found.reason) == (False, "the CronWorkflow is suspended")


WHEN = "{{= cronworkflow.lastScheduledTime == nil || (now() - cronworkflow.lastScheduledTime).Seconds() > 360 }}"


@pytest.mark.parametrize(("last", "runs"), [(None, True), (at(0), False), (at(-10), True)])
def test_when_is_asked_with_what_is_known_of_the_cron(last: datetime | None, runs: bool) -> None:
    assert verdict(schedule(when=WHEN), Memory(NOW, last), 0, at(5), at(5)).runs is runs


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ("{{cronworkflow.labels.team}} == ml", True),
        ("{{=cronworkflow.annotations.note}} == y", False),
        ("{{cronworkflow.failed}} < 2 && {{cronworkflow.name}} == nightly", True),
        ("'{{cronworkflow.lastScheduledTime}}' == '2026-03-01T12:00:00Z'", True),
    ],
)
def test_when_is_a_condition_after_its_tags_are_filled_in(when: str, runs: bool) -> None:
    assert verdict(schedule(when=when), Memory(NOW, NOW, 0, 1), 0, at(5), at(5)).runs is runs


@pytest.mark.parametrize(
    "when", ["{{workflow.name}} == a", "{{=nobody.knows}} == 1", "{{cronworkflow.labels.no}} == 1"]
)
def test_a_tag_that_nobody_knows_is_an_error_and_no_run(when: str) -> None:
    found = verdict(schedule(when=when), Memory(looked=NOW), 0, at(5), at(5))

    assert (found.runs, found.broken) == (False, True)


def test_values_never_become_code() -> None:
    document = cron()
    document["metadata"]["labels"]["team"] = "' || true || '{{=1}}"
    evil = compile_schedule(normalize(document))

    assert filled("{{cronworkflow.labels.team}}", evil, Memory(NOW), NOW) == "' || true || '{{=1}}"


def test_a_stop_strategy_stops_when_it_is_true() -> None:
    careful = schedule(stopStrategy={"expression": "cronworkflow.failed >= 3"})

    assert not stopped(careful, Memory(NOW, failed=2), NOW)
    assert stopped(careful, Memory(NOW, failed=3), NOW)
    assert not verdict(careful, Memory(NOW, failed=3), 0, at(5), at(5)).runs


def test_a_run_is_named_and_marked_as_argo_does_it() -> None:
    every = schedule(workflowMetadata={"labels": {"own": "1"}})
    manifest = workflow_of(every, at(5))

    assert run_name(every, at(5)) == manifest["metadata"]["name"] == f"nightly-{int(at(5).timestamp())}"
    assert manifest["metadata"]["labels"] == {"own": "1", "workflows.argoproj.io/cron-workflow": "nightly"}
    assert manifest["metadata"]["annotations"] == {"workflows.argoproj.io/scheduled-time": "2026-03-01T12:05:00Z"}


def test_history_limits_are_three_and_one_unless_said() -> None:
    assert surplus(schedule(), 5, 2) == (2, 1)
    assert surplus(schedule(successfulJobsHistoryLimit=0, failedJobsHistoryLimit=9), 5, 2) == (5, 0)


@given(st.lists(st.floats(0.1, 900), min_size=1, max_size=30))
def test_however_often_somebody_looks_each_tick_is_dealt_with_once(pauses: list[float]) -> None:
    every, memory, now, dealt = schedule(startingDeadlineSeconds=10_000), Memory(looked=NOW), NOW, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        tick = due(every, memory, now)
        if tick is not None:
            dealt.append(run_id(every, tick))
            memory = Memory(looked=tick)

    assert len(dealt) == len(set(dealt))
    assert due(every, memory, now) is None


@pytest.mark.parametrize("text", ["0 2 31 2 *", "TZ=Europe/Berlin 0 2 30 2 *", "CRON_TZ=UTC 0 2 31 4,6 *"])
def test_a_schedule_that_never_comes_is_told(text: str) -> None:
    (found,) = check_cron(normalize(cron(schedules=["0 2 29 2 *", text])))

    assert (found.path, found.code, found.severity) == (("spec", "schedules", 1), "never-fires", "warning")
    assert found.message == f"cron schedule {text!r} names no day that exists: it never comes"
