"""A sensor as its user wrote it, with what the linter says of its lines; documents without secrets; an event again."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.projects.catalog import Item
from retrain.app.projects.project import Project, load_project
from retrain.app.sensing.again import copy_of
from retrain.app.sensing.sensor_text import lines_of, lint_text, written
from retrain.app.sensing.source_view import HIDDEN, without_secrets
from retrain.events import Event
from retrain.identity import Principal, nobody_known
from retrain.manifests import Finding

FIRST = """\
# the first
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: one}
spec:
  dependencies: [{name: a, eventSourceName: lake, eventName: a}]  # a comment
  triggers: [{template: {name: t, log: {}}}]
"""
SECOND = FIRST.replace("one", "two").replace("the first", "the second")


def items(place: Path, text: str) -> dict[str, Item]:
    (place / "sensors.yaml").write_text(text)
    found = load_project([place])
    assert not found.errors
    return {one.document.name: one for one in found.sensors}


def test_each_document_of_a_file_with_its_comments(tmp_path: Path) -> None:
    found = items(tmp_path, f"{FIRST}---\n{SECOND}")
    for name in ("one", "two"):
        text = written(found[name])
        assert text.from_file
        assert "# a comment" in text.text
        assert text.text.startswith("# the ")
        assert yaml.safe_load(text.text) == found[name].document.body


def test_a_file_that_says_something_else_by_now_is_not_what_runs(tmp_path: Path) -> None:
    found = items(tmp_path, FIRST)
    (tmp_path / "sensors.yaml").write_text(FIRST.replace("lake", "shop"))
    text = written(found["one"])

    assert not text.from_file
    assert yaml.safe_load(text.text) == found["one"].document.body
    (tmp_path / "sensors.yaml").unlink()
    assert written(found["one"]).text == text.text


def test_findings_stand_at_their_lines() -> None:
    wrong = FIRST.replace("log: {}", "log: {}, conditions: b")
    findings = lint_text(wrong, Project())
    lines = lines_of(wrong, findings, first=10)

    assert [one.severity for one in findings] == ["error"]
    (line,) = [one for one in lines if one["findings"]]
    assert line["text"].strip().startswith("triggers:")
    assert line["number"] == 16


def test_a_sensor_is_checked_against_the_rest_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "source.yaml").write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventSource\nmetadata: {name: lake}\n"
        "spec: {webhook: {aa: {endpoint: /a}}}\n"
    )
    findings = lint_text(FIRST, load_project([tmp_path]))
    assert [one.code for one in findings] == ["unknown-source"]
    assert [one.code for one in lint_text("a: [", Project())]
    assert lint_text("", Project()) == []


@given(st.text("ab\n ", max_size=60), st.lists(st.integers(1, 40), max_size=5))
def test_no_line_and_no_finding_is_lost(text: str, at: list[int]) -> None:
    findings = [Finding("f", line, 1, "", "", "", "error", "c", str(n)) for n, line in enumerate(at)]
    lines = lines_of(text, findings)

    assert [one["text"] for one in lines] == (text.splitlines() or [""])
    assert sorted(found["message"] for one in lines for found in one["findings"]) == sorted(
        one.message for one in findings
    )


def test_a_document_without_its_secrets() -> None:
    body = {
        "authSecret": {"name": "s", "key": "k"},
        "url": "amqp://user:pw@host/x?y=1",
        "password": "pw",
        "headers": {"Authorization": "Bearer t", "Accept": "a"},
        "tokens": ["t"],
        "metadata": {"name": "n"},
        "port": 1,
    }
    assert without_secrets(body) == {
        "authSecret": {"name": "s", "key": "k"},
        "url": f"amqp://{HIDDEN}@host/x?y=1",
        "password": HIDDEN,
        "headers": {"Authorization": HIDDEN, "Accept": "a"},
        "tokens": [HIDDEN],
        "metadata": {"name": "n"},
        "port": 1,
    }


def test_an_event_again_is_a_new_one_that_names_the_old() -> None:
    more = {
        "retrainobject": "s3://a/b",
        "retrainactor": "ben",
        "retraincause": "r",
        "traceparent": "00-1",
        "region": "eu",
    }
    old = Event(id="e" * 300, source="lake", type="t", subject="file", data={"n": 1}, extensions=more)
    new = copy_of(old, "ab12", Principal("ada", frozenset({"operator"}), verified=True))

    assert new.key != old.key
    assert new.id == "e" * 200 + ".again-ab12"
    assert (new.source, new.type, new.subject, new.data, new.time) == ("lake", "t", "file", {"n": 1}, None)
    assert new.extensions == {
        "retrainobject": "s3://a/b",
        "region": "eu",
        "retrainreplayof": old.id,
        "retrainactor": "ada",
    }
    assert "retrainactor" not in copy_of(old, "ab12", nobody_known("ada")).extensions
