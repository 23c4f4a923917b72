"""What people write to choose runs, files and places is understood exactly, or refused with what would be right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.runs.filters import Wish, parse_selector, search_of, time_of
from retrain.cli.run_control import values
from retrain.cli.run_copy import chosen, file_name, folder_of
from retrain.cli.run_dry import lines
from retrain.cli.run_files import changed
from retrain.cli.run_live import draw, progress
from retrain.cli.run_logs import readable
from retrain.cli.run_print import Look
from retrain.errors import ConfigError
from tests.unit.pictured import run_of, steps

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
RUN = {"metadata": {"name": "wf", "namespace": "team"}, "status": {"nodes": {}}}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a=b", True),
        ("a==b,c", True),
        ("a!=b", False),
        ("x!=b", True),
        ("a in (b, z)", True),
        ("a notin (b,z),c", False),
        ("x notin (b)", True),
        ("!x", True),
        ("!a", False),
        ("retrain.dev/sensor = s , a", True),
    ],
)
def test_label_selectors_mean_what_they_mean_in_kubernetes(text: str, fits: bool) -> None:
    assert parse_selector(text).fits({"a": "b", "c": "", "retrain.dev/sensor": "s"}) is fits


@pytest.mark.parametrize("text", ["", "a=b,", "a=?", "a in b", "=b", "a in (b", "a b"])
def test_a_label_selector_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a term is"):
        parse_selector(text)


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")), st.sampled_from("abc"), st.sampled_from("xyz"))
def test_what_fits_holds_the_words_that_the_database_looks_for(labels: dict[str, str], key: str, value: str) -> None:
    selector = parse_selector(f"{key}={value}")

    if selector.fits(labels):
        assert all(word in str(labels) for word in selector.words)


def test_ages_and_times_are_understood() -> None:
    assert time_of("1h30m", "since", NOW) == NOW - timedelta(hours=1, minutes=30)
    assert time_of("2d", "since", NOW) == NOW - timedelta(days=2)
    assert time_of("2026-11-20", "since", NOW) == datetime(2026, 11, 20, tzinfo=UTC)
    assert time_of("2026-11-20T10:00:00Z", "since", NOW) == datetime(2026, 11, 20, 10, tzinfo=UTC)
    for text in ("", "soon", "5", "h", "-1h", "99999999999999d"):
        with pytest.raises(ConfigError, match="since"):
            time_of(text, "since", NOW)


def test_phases_running_and_completed_are_one_choice() -> None:
    assert search_of(Wish(), NOW).phases == ()
    assert search_of(Wish(running=True), NOW).phases == ("Pending", "Running")
    assert search_of(Wish(phase="Failed,Running", completed=True), NOW).phases == ("Failed",)
    assert search_of(Wish(phase="Running", completed=True), NOW).phases == ("none",)
    with pytest.raises(ConfigError, match="no run is both"):
        search_of(Wish(running=True, completed=True), NOW)


def test_a_parameter_is_a_name_and_a_value() -> None:
    assert values(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    for text in ("a", "=b"):
        with pytest.raises(ConfigError, match="NAME=VALUE"):
            values([text])


@given(st.text(), st.text(), st.text())
def test_no_name_of_a_workflow_leads_out_of_the_destination(node: str, artifact: str, key: str) -> None:
    pattern = "{namespace}/{workflowName}/{nodeId}/outputs/{artifactName}"
    place = folder_of(pattern, RUN, {"id": node}, {"name": artifact}) / file_name(
        {"name": artifact, "s3": {"key": key}}
    )

    root = Path("/destination")
    assert (root / place).resolve().is_relative_to(root)
    assert not any(part.startswith(".") for part in place.parts)


@pytest.mark.parametrize("pattern", ["/etc", "../up", "{nobody}", "a/../../b"])
def test_a_place_outside_of_the_destination_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="--path"):
        folder_of(pattern, RUN, {"id": "n"}, {"name": "a"})


def test_logs_that_are_artifacts_are_copied_by_their_name_only() -> None:
    outputs = {"artifacts": [{"name": "model"}, {"name": "main-logs"}]}
    run = run_of(("wf", "Pod", "Succeeded", "", [], {"outputs": outputs}))
    words: dict[str, Any] = {"artifact_name": None, "node_id": None, "template_name": None}

    assert [one["name"] for _, one in chosen(run, words)] == ["model"]
    assert [one["name"] for _, one in chosen(run, {**words, "artifact_name": "main-logs"})] == ["main-logs"]
    assert list(chosen(run, {**words, "template_name": "other"})) == []


@given(st.text())
def test_a_line_of_a_log_never_controls_the_terminal(text: str) -> None:
    assert readable(text).replace("\t", "").isprintable()
    assert readable("\x1b[31mred\x1b[0m\tx\x1b]0;t\x07") == "red\tx\\x1b]0;t\\x07"


def test_a_tree_that_does_not_fit_shows_what_runs_and_what_went_wrong() -> None:
    items = [f"wf.n{number}" for number in range(100)]
    run = run_of(
        ("wf", "DAG", "Running", "", items),
        *((name, "Pod", "Succeeded", "wf", []) for name in items[:90]),
        *((name, "Pod", "Pending", "wf", []) for name in items[90:98]),
        (items[98], "Pod", "Failed", "wf", [], {"message": "main: Error (exit code 1)"}),
        (items[99], "Pod", "Running", "wf", []),
        phase="Running",
    )

    shown = draw(run, Look(), 80, 10).plain

    assert len(shown.splitlines()) <= 10
    assert "n98" in shown
    assert "n99" in shown
    assert "98 more" in shown
    assert progress(run, NOW).startswith("Running  91/100 steps, 1 running, 8 pending, 1 failed")


def test_a_tree_that_fits_is_drawn_whole() -> None:
    shown = draw(steps(), Look(utf8=False), 100, 40).plain

    assert shown.count("\n") == 10
    assert shown.isascii()


def test_the_command_line_wins_over_the_file_of_parameters_and_the_manifest(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("a: 1\nb: {c: [true]}\n")
    manifest = {"metadata": {"labels": {"x": "1"}}, "spec": {"entrypoint": "m", "arguments": {"parameters": []}}}
    options = {"parameter_file": file, "parameters": ["a=2"], "entrypoint": "other", "labels": ["x=2,y=3"]}

    found = changed(manifest, options)

    parameters = {one["name"]: one["value"] for one in found["spec"]["arguments"]["parameters"]}
    assert parameters == {"a": "2", "b": '{"c": [true]}'}
    assert found["spec"]["entrypoint"] == "other"
    assert found["metadata"]["labels"] == {"x": "2", "y": "3"}
    assert manifest["metadata"]["labels"] == {"x": "1"}


def test_a_dry_run_shows_what_is_known_and_marks_what_is_not() -> None:
    plan = {
        "name": "wf",
        "nodes": [
            {
                "name": "wf",
                "displayName": "wf",
                "template": "main",
                "children": [
                    {
                        "name": "wf.a",
                        "displayName": "a",
                        "template": "echo",
                        "loop": "(...)",
                        "needs": ["b"],
                        "when": {"text": "x == y", "decided": None},
                        "does": {
                            "kind": "container",
                            "command": ["echo"],
                            "args": ["a b\x1b[2J"],
                            "source": "l\n" * 20,
                        },
                        "children": [],
                    }
                ],
            }
        ],
    }

    said = list(lines(plan))

    assert said[1] == "└─ a (...) [echo] after b"
    assert any("when: x == y (not known yet)" in line for line in said)
    assert any("$ echo 'a b\\x1b[2J'" in line for line in said)
    assert any("8 lines more" in line for line in said)
    assert all(line.isprintable() for line in said)
