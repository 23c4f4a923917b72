"""Cases beside a sensor: what happened is compared with what was expected, and each difference is told in words."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from retrain.app.sensing.junit import write_junit
from retrain.app.sensing.testing import Result, Suite, run_tests
from retrain.cli import cli
from retrain.errors import ConfigError

SENSOR = """
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: pair}
spec:
  dependencies:
    - {name: a, eventSourceName: s, eventName: a}
    - {name: b, eventSourceName: s, eventName: b}
  triggers:
    - template: {name: both, conditions: a && b, http: {url: "http://h/", payload: [
        {src: {dependencyName: a, dataKey: rows}, dest: rows}]}}
      concurrency: {limit: 1}
"""


def project(tmp_path: Path, cases: str) -> Path:
    (tmp_path / "pair.yaml").write_text(SENSOR)
    (tmp_path / "pair.test.yaml").write_text(cases)
    return tmp_path


def wrong(tmp_path: Path, given: str, expect: str) -> tuple[str, ...]:
    cases = f"cases:\n  - name: one\n    given: {given}\n    expect: {expect}\n"
    ((suite),) = run_tests([project(tmp_path, cases)])
    return suite.results[0].wrong


BOTH = "[{source: s, name: a, id: a1, data: {rows: 1}}, {at: 1m, source: s, name: b, id: b1}]"


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("{firings: [{trigger: both, events: [a1, b1], at: 1m}]}", []),
        ("{firings: [{trigger: both, action: {payload: {rows: '1'}}}]}", []),
        ("{firings: []}", ["both fired with a1, b1 at 0:01:00, which was not expected"]),
        (
            "{firings: [{trigger: both}, {trigger: both}]}",
            ["firing 2: both was expected to fire, and nothing more did"],
        ),
        ("{firings: [{trigger: both, events: [a1]}]}", ["firing 1: events [a1] was expected, it is [a1, b1]"]),
        (
            "{firings: [{trigger: both, at: 2m}]}",
            ["firing 1: at 2026-01-01T00:02:00Z was expected, it is 2026-01-01T00:01:00Z"],
        ),
        ("{firings: [{trigger: both, action: {method: PUT}}]}", ["firing 1: action.method is missing"]),
        (
            "{firings: [{trigger: both, action: {payload: {rows: 2}}}]}",
            ["firing 1: action.payload.rows 2 was expected, it is '1'"],
        ),
        ("{decisions: [{event: a1, outcome: filtered}]}", ["no decision is event 'a1', outcome 'filtered'"]),
        ("{waiting: [{trigger: both}]}", ["waiting 1: both '' was expected, and nothing more waits"]),
    ],
)
def test_each_difference_is_told(tmp_path: Path, expect: str, told: list[str]) -> None:
    assert list(wrong(tmp_path, BOTH, expect)) == told


def test_what_still_waits_and_was_not_expected_is_told(tmp_path: Path) -> None:
    found = wrong(tmp_path, "[{source: s, name: a}]", "{waiting: []}")

    assert found == ("both '' waits with a, which was not expected",)


def test_a_firing_that_starts_no_run_frees_its_place_at_once(tmp_path: Path) -> None:
    pair = "{source: s, name: a, data: {rows: 1}}, {source: s, name: b}"
    given = f"[{pair}, {pair}]"

    assert wrong(tmp_path, given, "{firings: [{trigger: both}, {trigger: both}]}") == ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("[{run: {trigger: both}}]", "given 1: no run of 'both' is there that could end"),
        ("[{approve: both}]", "given 1: no firing of 'both' asks for an approval"),
        ("[{at: 2m, wait: 1s}, {at: 1m, wait: 1s}]", "given 2: it happens before the one before it"),
        ("[{event: {id: x}}]", "given 1: source: is missing"),
    ],
)
def test_what_cannot_happen_makes_the_case_fail_with_the_reason(tmp_path: Path, given: str, told: str) -> None:
    assert wrong(tmp_path, given, "{}") == (told,)


@pytest.mark.parametrize(
    ("cases", "told"),
    [
        ("cases: []", "1:1: must have at least 1 members"),
        ("cases: [{name: x, expects: {}}]", "1:19: unknown field 'expects'; did you mean 'expect'?"),
        (
            "cases:\n  - name: x\n    given:\n      - {source: s}\n    expect: {}",
            "4:9: an event has both: source (the EventSource's name) and name (the event's)",
        ),
        (
            "cases:\n  - name: x\n    given:\n      - {source: s, name: a, wait: 1s}\n    expect: {}",
            "4:9: one of source and name, event, wait, run, approve, reject says what happens, "
            "not source and name and wait",
        ),
        ("cases: [", ": not YAML: did not find"),
    ],
)
def test_a_wrong_file_of_cases_is_told_with_its_place(tmp_path: Path, cases: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        list(run_tests([project(tmp_path, cases)]))

    assert told in str(error.value)


def test_a_sensor_that_is_not_beside_its_cases_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "lost.test.yaml").write_text("cases: [{name: x, expect: {}}]")

    with pytest.raises(ConfigError, match=r"lost\.yaml is not beside it"):
        list(run_tests([tmp_path]))


def test_a_folder_without_cases_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        run_tests([tmp_path])


def test_the_command_says_no_and_ci_gets_its_file(tmp_path: Path) -> None:
    red = f"  - name: red <&\n    given: {BOTH}\n    expect: {{firings: []}}\n"
    folder = project(tmp_path, f"cases:\n  - {{name: green, expect: {{}}}}\n{red}")
    report = tmp_path / "report.xml"

    result = CliRunner().invoke(cli, ["sensors", "test", str(folder), "--junit", str(report)])

    assert result.exit_code == 1
    assert "FAILED red" in result.stdout
    assert "(line 3)" in result.stdout
    root = ET.parse(report).getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert len(root.findall(".//failure")) == 1


def test_text_that_xml_cannot_hold_does_not_break_the_file(tmp_path: Path) -> None:
    report = tmp_path / "odd.xml"

    write_junit([Suite("f", "s", [Result("a\x00b", 1, 0.0, ("\ud800 was expected",))])], report)

    case = ET.parse(report).getroot().find(".//testcase")
    assert case is not None
    assert case.get("name") == "a\ufffdb"
