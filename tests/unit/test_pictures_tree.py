"""The tree of a run looks as Argo's command line draws it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.pictures.reading import in_words, lasted, plain
from pipelines.pictures.tree import rows
from retrain.cli.run_grid import columns
from retrain.cli.run_text import head, lines, status_of
from tests.unit.pictured import diamond, run_of, steps

NOW = datetime(2026, 11, 21, 10, 1, tzinfo=UTC)


def drawn(run: dict[str, Any], **words: Any) -> list[str]:
    return [row.prefix + (row.node["displayName"] if row.node else "") for row in rows(run, **words)]


def test_a_dag_is_its_tasks_in_the_order_in_which_they_began() -> None:
    assert drawn(diamond()) == [" wf", " ├─a", " ├─b", " ├─c", " └─d"]


def test_parallel_steps_are_drawn_by_a_corner_and_attempts_under_their_retry() -> None:
    assert drawn(steps()) == [
        " wf",
        " ├─┬─a",
        " │ └─b",
        " ├───try",
        " │   ├─try(0)",
        " │   └─try(1)",
        " └─┬─l(0:x)",
        "   ├─l(1:y)",
        "   └─l(10:z)",
    ]


def test_plain_letters_draw_the_same_tree() -> None:
    assert drawn(steps(), utf8=False)[:5] == [" wf", " |-+-a", " | `-b", " |---try", " |   |-try(0)"]


def test_a_retry_with_one_attempt_is_that_attempt_and_what_was_omitted_is_not_drawn() -> None:
    run = run_of(
        ("wf", "DAG", "Succeeded", "", ["wf.a"]),
        ("wf.a", "Retry", "Succeeded", "wf", ["wf.a(0)"]),
        ("wf.a(0)", "Pod", "Succeeded", "wf", ["wf.b"]),
        ("wf.b", "Skipped", "Omitted", "wf", []),
    )

    assert drawn(run) == [" wf", " └─a(0)"]


def test_items_of_a_loop_hang_under_the_dag_and_a_handler_comes_after_the_tree() -> None:
    run = run_of(
        ("wf", "DAG", "Succeeded", "", ["wf.l"]),
        ("wf.l", "TaskGroup", "Succeeded", "wf", ["wf.l(0:x)", "wf.l(1:y)"]),
        ("wf.l(0:x)", "Pod", "Succeeded", "wf", []),
        ("wf.l(1:y)", "Pod", "Succeeded", "wf", []),
        ("wf.onExit", "Pod", "Succeeded", "", []),
    )

    assert drawn(run) == [" wf", " ├─l(0:x)", " └─l(1:y)", "", " onExit"]


def test_only_steps_that_fit_are_drawn_with_what_they_are_in() -> None:
    assert drawn(diamond(), keep=lambda node: node["phase"] == "Failed") == [" wf", " └─d"]
    assert drawn(steps(), keep=lambda node: node["name"] == "wf[1].try(0)") == [" wf", " └───try", "     └─try(0)"]


@given(st.sampled_from([diamond(), steps()]), st.data())
def test_a_tree_of_any_part_of_the_nodes_has_each_node_once(run: dict[str, Any], data: st.DataObject) -> None:
    nodes = run["status"]["nodes"]
    left = data.draw(st.sets(st.sampled_from(sorted(nodes))))
    part = {**run, "status": {**run["status"], "nodes": {key: nodes[key] for key in sorted(left)}}}

    names = [row.node["id"] for row in rows(part) if row.node]

    assert len(names) == len(set(names))
    hidden = {"StepGroup", "TaskGroup", "Retry"}
    assert {key for key in left if nodes[key]["type"] not in hidden} <= set(names)


def test_messages_and_names_never_control_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\u202e\r\nx"
    run = run_of(("wf", "Pod", "Failed", "", [], {"message": evil, "displayName": evil, "templateName": evil}))
    run["status"]["message"] = evil
    run["spec"] = {"arguments": {"parameters": [{"name": evil, "value": evil}]}}

    said = [*head(run, NOW), *(line.prefix + line.name + "".join(line.cells) for line in lines(run, NOW, "wide"))]

    assert all(text.isprintable() for text in said)


def test_columns_stand_below_each_other_and_pod_names_give_way_to_a_narrow_screen() -> None:
    whole = list(lines(diamond(), NOW))

    wide = [line.prefix + line.name + rest for line, rest in columns(whole, "table")]
    narrow = [line.prefix + line.name + rest for line, rest in columns(whole, "table", 60)]

    assert wide[0].split() == ["STEP", "TEMPLATE", "PODNAME", "DURATION", "MESSAGE"]
    assert {line.index("work") for line in wide[1:]} == {wide[0].index("TEMPLATE")}
    assert "PODNAME" not in narrow[0]
    assert narrow[-1].endswith("main: Error (exit code 3)")


def test_the_status_says_whether_people_are_waited_for_or_have_ended_it() -> None:
    waits = run_of(("wf", "Suspend", "Running", "", []), phase="Running")
    ended = {**diamond(), "spec": {"shutdown": "Terminate"}}

    assert status_of(waits) == "Running (Suspended)"
    assert status_of(ended) == "Failed (Terminated)"
    assert status_of({"status": {}}) == "Pending"


def test_times_are_said_in_their_largest_units() -> None:
    assert [in_words(s) for s in (0, 59.6, 60, 61, 3600, 3700, 90000)] == [
        "0s",
        "1m",
        "1m",
        "1m1s",
        "1h",
        "1h1m",
        "1d1h",
    ]
    exact = {"startedAt": "2026-11-21T10:00:00.100000+00:00", "finishedAt": "2026-11-21T10:00:00.450000+00:00"}
    assert lasted(exact) == "0.3s" or lasted(exact) == "0.4s"
    assert lasted({}) == ""


@given(st.text())
def test_plain_text_is_one_printable_line(text: str) -> None:
    assert plain(text).isprintable()
