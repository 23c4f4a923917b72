"""What the `k8s` trigger changes of a Workflow that is there, and what it refuses."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import Permanent
from retrain.store.runs import RunRow
from triggers import Firing
from triggers.object_change import Change, check_labels, difference, merged, overlaid, patched, shown
from triggers.object_request import JSON, read_request

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SPEC = {"entrypoint": "main", "arguments": {"parameters": [{"name": "day", "value": "1"}]}}


def a_run(control: str | None = None, phase: str = "Running") -> RunRow:
    manifest = {"kind": "Workflow", "metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": SPEC}
    labels = {"team": "churn", "retrain.dev/firing": "f-1"}
    return RunRow("r-1", "x", "x", manifest, labels, NOW, phase=phase, control=control)


def test_a_run_is_shown_as_the_object_that_kubernetes_would_have() -> None:
    body = shown(a_run("suspend"))

    assert body["metadata"]["labels"]["workflows.argoproj.io/phase"] == "Running"
    assert body["spec"] == {**SPEC, "suspend": True}
    assert shown(a_run("stop"))["spec"]["shutdown"] == "Stop"


@pytest.mark.parametrize(
    ("control", "patch", "change"),
    [
        (None, {"spec": {"suspend": True}}, Change(("suspend",))),
        ("suspend", {"spec": {"suspend": False}}, Change(("resume",))),
        ("suspend", {"spec": {"suspend": None}}, Change(("resume",))),
        (None, {"spec": {"shutdown": "Terminate"}}, Change(("terminate",))),
        ("suspend", {"spec": {"suspend": True}}, Change()),
        (None, {"spec": {"entrypoint": "main"}, "metadata": {"name": "x"}}, Change()),
        (
            None,
            {"metadata": {"labels": {"team": None, "new": "1"}}},
            Change((), {"retrain.dev/firing": "f-1", "new": "1"}),
        ),
    ],
)  # fmt: skip
def test_a_merge_patch_asks_for_what_differs(control: str | None, patch: Any, change: Change) -> None:
    run = a_run(control)

    assert difference(run, merged(shown(run), patch)) == change


def test_an_update_goes_over_the_object_field_by_field() -> None:
    run = a_run()

    wanted = overlaid(shown(run), {"kind": "Workflow", "metadata": {"labels": {"new": "1"}}, "spec": {"suspend": True}})

    assert difference(run, wanted).verbs == ("suspend",)
    assert (difference(run, wanted).labels or {})["team"] == "churn"


def test_a_json_patch_does_its_operations_in_order() -> None:
    steps = [
        {"op": "test", "path": "/spec/entrypoint", "value": "main"},
        {"op": "add", "path": "/spec/suspend", "value": True},
        {"op": "move", "from": "/metadata/labels/team", "path": "/metadata/labels/a~1b"},
        {"op": "copy", "from": "/metadata/labels/a~1b", "path": "/metadata/labels/copied"},
    ]

    change = difference(a_run(), patched(shown(a_run()), steps))

    assert change.verbs == ("suspend",)
    assert change.labels == {"retrain.dev/firing": "f-1", "a/b": "churn", "copied": "churn"}


def test_a_json_patch_knows_lists() -> None:
    document = {"a": [1, 2, 3]}
    steps = [
        {"op": "add", "path": "/a/-", "value": 4},
        {"op": "add", "path": "/a/0", "value": 0},
        {"op": "remove", "path": "/a/1"},
        {"op": "replace", "path": "/a/1", "value": "two"},
    ]

    assert patched(document, steps) == {"a": [0, "two", 3, 4]}
    assert document == {"a": [1, 2, 3]}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"spec": {"entrypoint": "other"}}, "spec.entrypoint of a Workflow that is there cannot be changed here"),
        ({"spec": {"arguments": {"parameters": []}}}, "spec.arguments.parameters"),
        ({"metadata": {"annotations": {"a": "c"}}}, "metadata.annotations.a"),
        ({"metadata": {"labels": {"n": 1}}}, "metadata.labels must be texts"),
        ({"spec": {"shutdown": "Maybe"}}, "spec.shutdown is Stop or Terminate"),
    ],
)
def test_what_cannot_be_changed_is_refused_by_name(patch: Any, said: str) -> None:
    with pytest.raises(Permanent, match=re.escape(said)):
        difference(a_run(), merged(shown(a_run()), patch))


def test_the_platforms_labels_stay() -> None:
    with pytest.raises(Permanent, match=r"retrain\.dev/firing is the platform's"):
        check_labels(a_run(), {"team": "churn"})


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("x", "as a list of operations"),
        ([{"op": "fly", "path": "/a"}], "operation 0 of the JSON patch cannot be done: there is no operation 'fly'"),
        ([{"op": "remove", "path": "/b"}], "no 'b'"),
        ([{"op": "replace", "path": "/b", "value": 1}], "no 'b'"),
        ([{"op": "remove", "path": "a"}], "does not begin with /"),
        ([{"op": "test", "path": "/a", "value": 1}], "the test of /a failed"),
        ([{"op": "remove", "path": "/a/9"}], "no item '9'"),
        ([{}], "no 'path'"),
        ([7], "cannot be done"),
    ],
)
def test_a_json_patch_that_cannot_be_done_names_its_operation(steps: Any, said: str) -> None:
    with pytest.raises(Permanent, match=re.escape(said)):
        patched({"a": [1]}, steps)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_a_merge_patch_done_twice_is_done_once(old: Any, patch: Any) -> None:
    once = merged(old, patch)

    assert merged(once, patch) == once


@given(st.lists(json_values, max_size=3))
def test_any_json_patch_is_done_or_refused(steps: list[Any]) -> None:
    with suppress(Permanent):
        patched({"a": [1, {"b": 2}]}, steps)


def request_of(**action: Any) -> Any:
    return read_request(Firing("f-1", "s", "t", "", {"kind": "k8s", **action}))


def test_a_request_that_says_nothing_creates() -> None:
    request = request_of(resource={"kind": "Workflow", "metadata": None}, liveObject=True)

    assert (request.operation, request.body["metadata"]) == ("create", {})


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({}, "k8s has no resource"),
        ({"resource": {}}, "the object has no kind"),
        ({"resource": {"kind": "Workflow", "spec": []}}, "spec of the object must be an object"),
        ({"resource": {"kind": "Workflow"}, "operation": "delete"}, "k8s delete needs the object's metadata.name"),
        ({"resource": {"kind": "Workflow"}, "operation": "apply"}, "operation 'apply' is unknown"),
        (
            {"resource": {"kind": "Workflow"}, "patchStrategy": "merge"},
            f"there are application/merge-patch+json, {JSON}",
        ),
        ({"resource": {"kind": "Workflow"}, "args": []}, "k8s.args is not supported"),
    ],
)
def test_what_is_no_request_is_refused_by_name(action: dict[str, Any], said: str) -> None:
    with pytest.raises(Permanent, match=re.escape(said)):
        request_of(**action)
