"""A run that does nothing says what it waits for."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.cli import _was_interrupted
from retrain.cli.run_text import head
from retrain.cli.run_waits import waits_of
from retrain.cli.run_watch import check_follow_up
from retrain.errors import ConfigError
from tests.unit.pictured import run_of
from tests.unit.test_cli_runs_words import NOW

ASK = {
    "name": "ask",
    "suspend": {},
    "inputs": {"parameters": [{"name": "verdict", "enum": ["yes", "no"]}]},
    "outputs": {"parameters": [{"name": "verdict", "valueFrom": {"supplied": {}}}, {"name": "x", "value": "1"}]},
}


def asking(template: dict[str, Any], count: int = 1) -> dict[str, Any]:
    names = [f"wf.ask{number}" for number in range(count)]
    nodes = [(name, "Suspend", "Running", "wf", [], {"templateName": template["name"]}) for name in names]
    run = run_of(("wf", "DAG", "Running", "", names), *nodes, phase="Running")
    return {**run, "spec": {"templates": [template]}}


@pytest.mark.parametrize(
    ("run", "waits"),
    [
        (asking(ASK), "a person at ask0, who says verdict (yes, no)"),
        (asking({"name": "ask", "suspend": {"duration": "10m"}}), "its time at ask0 (10m)"),
        ({"spec": {"suspend": True}, "status": {"phase": "Running", "startedAt": "x"}}, "a person, who resumes it"),
        ({"status": {"phase": "Running", "parked": True, "startedAt": "x"}}, "a person"),
        ({"status": {"phase": "Running", "parked": True, "wakes": "2026-11-21T10:00:00Z"}}, "its time, 2026"),
        ({"status": {"phase": "Pending"}}, "its turn"),
        ({"status": {"phase": "Pending", "message": "Waiting for a lock"}}, ""),
        ({"status": {"phase": "Running", "startedAt": "x"}}, ""),
        ({"spec": {"suspend": True}, "status": {"phase": "Succeeded"}}, ""),
    ],
)
def test_it_is_said_what_a_run_waits_for(run: dict[str, Any], waits: str) -> None:
    said = waits_of(run)

    assert said.startswith(waits)
    assert bool(said) == bool(waits)


def test_many_places_are_counted_and_the_head_says_it() -> None:
    run = asking({"name": "ask", "suspend": {}}, 5)

    assert waits_of(run) == "a person at ask0; a person at ask1; a person at ask2 and 2 more"
    assert any(line.startswith("Waits for:           a person at ask0") for line in head(run, NOW))


def test_stdout_is_not_promised_to_logs_and_json_at_once() -> None:
    check_follow_up({"log": True}, "table")
    check_follow_up({"log": False}, "json")
    with pytest.raises(ConfigError, match="leave one out"):
        check_follow_up({"log": True}, "json")


def test_an_interrupt_that_a_library_wraps_is_an_interrupt() -> None:
    wrapped = ValueError("while it was imported")
    wrapped.__cause__ = KeyboardInterrupt()
    schema = type("SchemaError", (Exception,), {})("Error building\n  KeyboardInterrupt:")

    assert _was_interrupted(wrapped)
    assert _was_interrupted(schema)
    assert not _was_interrupted(ValueError("KeyboardInterrupt"))
