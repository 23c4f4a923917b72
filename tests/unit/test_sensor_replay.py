"""A replay does what the sensor would have done: with the log's own endings where it has them, else assumed ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from retrain.events import Event
from sensors import Sensor, SensorDocument, outside
from sensors.core.course import Course
from sensors.replay import Recorded, differ, replay

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
SPEC = """
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: s}
spec:
  dependencies:
    - {name: file, eventSourceName: lake, eventName: file}
  triggers:
    - template:
        name: train
        argoWorkflow:
          source: {resource: {apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: t-}, spec: {}}}
"""


def sensor(**trigger: Any) -> Sensor:
    body = yaml.safe_load(SPEC)
    body["spec"]["triggers"][0] |= trigger
    return Sensor(SensorDocument.model_validate(body))


def file(number: int) -> Event:
    return Event(id=f"f{number}", source="lake", subject="file", type="t", data={"n": number})


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


LOG = [(file(n), at(60 * n)) for n in range(6)]


def events_of(came: Any) -> list[list[str]]:
    return [[came.names[key] for key in fired.events] for fired in came.firings]


def test_it_fires_what_the_sensor_would_have_fired() -> None:
    came = replay(sensor(window={"count": 2}), LOG, at(3600))

    assert events_of(came) == [["f0", "f1"], ["f2", "f3"], ["f4", "f5"]]
    assert came.events == 6
    assert came.outcomes["passed"] == 6


def test_timers_run_on_to_its_end() -> None:
    came = replay(sensor(window={"quiet": "10m"}), LOG, at(3600))

    assert [fired.created for fired in came.firings] == [at(300 + 600)]
    assert replay(sensor(window={"quiet": "10m"}), LOG, at(600)).firings == []


def test_a_run_that_was_never_made_takes_as_long_as_others_took() -> None:
    limited = sensor(concurrency={"limit": 1, "onConflict": "coalesce"})

    came = replay(limited, LOG, at(3600), Recorded(run_time=timedelta(seconds=150)))

    assert events_of(came) == [["f0"], ["f1", "f2"], ["f3", "f4"], ["f5"]]
    assert [fired.created for fired in came.firings] == [at(0), at(150), at(300), at(450)]
    assert came.assumed == 4


def test_a_run_that_was_made_ends_when_the_log_says() -> None:
    limited = sensor(concurrency={"limit": 1})
    course = Course([limited])
    (fired,) = [one for taken in course.take(*LOG[0]) for one in taken.step.firings]
    log = [LOG[0], (outside.done("s", fired, at(1)), at(1)), LOG[1]]
    log.append((outside.ended("s", fired, at(1000), "Succeeded", {}), at(1000)))

    came = replay(limited, log, at(3600), Recorded(frozenset({fired.id})))

    assert [one.created for one in came.firings] == [at(0), at(1000)]


def test_what_the_sensor_told_itself_is_not_taken_from_the_log_but_told_again() -> None:
    silent = yaml.safe_load(SPEC)
    silent["spec"]["dependencies"][0]["absent"] = {"for": "10m"}
    longer = yaml.safe_load(SPEC)
    longer["spec"]["dependencies"][0]["absent"] = {"for": "20m"}
    recorded = Course([Sensor(SensorDocument.model_validate(silent))])
    told = [e for t in [*recorded.take(*LOG[0]), *recorded.run_until(at(3600))] for e in t.step.emitted]

    came = replay(Sensor(SensorDocument.model_validate(longer)), [LOG[0], (told[0], at(600))], at(3600))

    assert len(told) == 1
    assert [fired.created for fired in came.firings] == [at(1200)]


def test_the_difference_says_what_is_added_removed_and_moved() -> None:
    before = replay(sensor(window={"count": 2}), LOG, at(3600)).firings
    after = replay(sensor(window={"count": 3}), LOG, at(3600)).firings

    found = differ(before, after)

    assert (len(found.added), len(found.removed), len(found.moved), found.same) == (0, 1, 2, 0)
    assert differ(before, before).same == 3
    assert len(differ(before, []).removed) == len(differ([], before).added) == 3
