"""An event as a file of cases: what is written is what `retrain sensors test` runs, and it is green."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.app.sensing.case_files import Came, write_case
from retrain.app.sensing.explaining import read_sensor
from retrain.app.sensing.testing import run_tests
from retrain.events import Event

BEGIN = datetime(2026, 11, 22, 12, 0, 0, 1500, tzinfo=UTC)
SENSOR = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: orders}
spec:
  dependencies:
    - {name: features, eventSourceName: lake, eventName: features, key: date}
    - name: labels
      eventSourceName: lake
      eventName: labels
      key: date
      filters: {data: [{path: rows, type: number, comparator: ">=", value: ["100"]}]}
  triggers:
    - template:
        name: train
        conditions: features && labels
        http: {url: "http://x.example.com", payload: [{src: {dependencyName: labels, dataKey: path}, dest: path}]}
      absent: {for: 1h, startingAt: "2026-01-01T00:00:00Z"}
"""


def event(name: str, number: int = 1, **data: Any) -> Event:
    return Event(id=f"{name}-{number}", source="lake", subject=name, type="t", time=BEGIN, data=data)


def written(place: Path, *events: Event, seconds: float = 1, sensor: str = SENSOR) -> tuple[dict[str, Any], list[str]]:
    """The file that is written for the last of these events, and what is not green in it."""
    manifest = place / "sensors.yaml"
    manifest.write_text(sensor)
    came = [Came(one, BEGIN + timedelta(seconds=seconds * n)) for n, one in enumerate(events)]
    recorded = [{"dependency": "labels", "trigger": None, "outcome": "passed", "reason": "two\nlines: #\u202e"}]
    text = write_case(read_sensor(manifest), str(manifest), came, recorded)
    (place / "orders.test.yaml").write_text(text)
    (suite,) = run_tests([place])
    return yaml.safe_load(text), [line for one in suite.results for line in one.wrong]


def test_both_halves_and_the_firing_that_they_made(tmp_path: Path) -> None:
    file, wrong = written(
        tmp_path, event("features", date="d"), event("labels", date="d", rows=700, path="s3://a"), sensor=_no_timer()
    )
    (case,) = file["cases"]

    assert wrong == []
    assert file["file"] == "sensors.yaml"
    assert case["expect"]["firings"] == [{"trigger": "train", "key": "d", "events": ["features-1", "labels-1"]}]
    assert case["expect"]["waiting"] == []


def test_an_event_that_a_filter_refuses(tmp_path: Path) -> None:
    file, wrong = written(tmp_path, event("labels", date="d", rows=3), sensor=_no_timer())
    (case,) = file["cases"]

    assert wrong == []
    assert case["expect"]["firings"] == []
    assert case["expect"]["decisions"] == [{"event": "labels-1", "dependency": "labels", "outcome": "filtered"}]


def test_a_firing_whose_action_cannot_be_made_says_so(tmp_path: Path) -> None:
    file, wrong = written(
        tmp_path, event("features", date="d"), event("labels", date="d", rows=700), sensor=_no_timer()
    )
    assert wrong == []
    assert "path" in file["cases"][0]["expect"]["firings"][0]["error"]


def test_timers_that_come_between(tmp_path: Path) -> None:
    _, wrong = written(tmp_path, event("features", date="d"), event("labels", date="d", rows=700), seconds=7200)
    assert wrong == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["features", "labels", "other"]), st.sampled_from("de"), st.integers(0, 200)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_came_it_is_green(tmp_path_factory: pytest.TempPathFactory, came: list[tuple[str, str, int]]) -> None:
    events = [event(name, n, date=date, rows=rows, path="p") for n, (name, date, rows) in enumerate(came)]
    _, wrong = written(tmp_path_factory.mktemp("case"), *events)
    assert wrong == []


def _no_timer() -> str:
    return SENSOR.replace('      absent: {for: 1h, startingAt: "2026-01-01T00:00:00Z"}\n', "")
