"""What an `argoWorkflow` firing asks to run."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import Permanent
from triggers import Firing
from triggers.workflow_request import ALPHABET, build_submission, generated_name, label_value

WORKFLOW: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "train-", "labels": {"team": "churn"}},
    "spec": {"entrypoint": "main", "arguments": {"parameters": [{"name": "day", "value": "1"}]}},
}


def a_firing(firing_id: str = "f-0123456789abcdef0123", **action: Any) -> Firing:
    action = {"kind": "argoWorkflow", "operation": "submit", "resource": WORKFLOW} | action
    return Firing(id=firing_id, sensor="new data", trigger="train", key="", action=action, events=("e1", "e2"))


def test_the_same_firing_asks_for_the_same_run() -> None:
    first, again = build_submission(a_firing()), build_submission(a_firing())

    assert first == again
    assert first.run_id == "r-0123456789abcdef0123"
    assert re.fullmatch(rf"train-[{ALPHABET}]{{5}}", first.manifest["metadata"]["name"])


def test_another_firing_gets_another_name() -> None:
    names = {build_submission(a_firing(f"f-{n}")).manifest["metadata"]["name"] for n in range(200)}

    assert len(names) == 200


def test_the_run_carries_where_it_comes_from() -> None:
    submission = build_submission(a_firing())

    assert submission.labels == {
        "retrain.dev/sensor": "new-data",
        "retrain.dev/trigger": "train",
        "retrain.dev/firing": "f-0123456789abcdef0123",
        "retrain.dev/event": "e1",
    }
    assert submission.manifest["metadata"]["labels"] == {"team": "churn"} | submission.labels


def test_a_name_that_is_written_stays() -> None:
    resource = WORKFLOW | {"metadata": {"name": "train-daily"}}

    assert build_submission(a_firing(resource=resource)).manifest["metadata"]["name"] == "train-daily"


def test_the_recorded_action_is_not_changed() -> None:
    before = copy.deepcopy(WORKFLOW)

    build_submission(a_firing(args=["-p", "day=2", "-l", "a=b", "--name", "x"]))

    assert before == WORKFLOW


def test_a_template_is_submitted_by_reference_with_the_arguments_that_were_set() -> None:
    arguments = {"parameters": [{"name": "day", "value": "2"}]}
    resource = {"kind": "WorkflowTemplate", "metadata": {"name": "digits"}, "spec": {"arguments": arguments}}

    manifest = build_submission(a_firing(operation="submit-from", resource=resource)).manifest

    assert manifest["kind"] == "Workflow"
    assert manifest["metadata"]["name"].startswith("digits-")
    assert manifest["spec"] == {"workflowTemplateRef": {"name": "digits"}, "arguments": arguments}


def test_a_cluster_template_is_referred_to_as_one() -> None:
    resource = {"kind": "ClusterWorkflowTemplate", "metadata": {"name": "digits"}}

    manifest = build_submission(a_firing(operation="submit-from", resource=resource)).manifest

    assert manifest["spec"]["workflowTemplateRef"] == {"name": "digits", "clusterScope": True}


def test_the_flags_of_argo_submit_are_understood() -> None:
    args = [
        "-p",
        "day=a=b",
        "--parameter=more=1",
        "-pshort=2",
        "--generate-name",
        "x-",
        "--entrypoint=e",
        "-l",
        "a=b,c=",
        "--annotations=why=data",
        "--priority=3",
    ]

    manifest = build_submission(a_firing(args=args)).manifest

    assert manifest["spec"]["arguments"]["parameters"] == [
        {"name": "day", "value": "a=b"},
        {"name": "more", "value": "1"},
        {"name": "short", "value": "2"},
    ]
    assert manifest["metadata"]["name"].startswith("x-")
    assert manifest["spec"]["entrypoint"] == "e"
    assert manifest["spec"]["priority"] == 3
    assert manifest["metadata"]["annotations"] == {"why": "data"}
    assert {"a": "b", "c": ""}.items() <= manifest["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"operation": "fly"}, "operation 'fly' is unknown"),
        ({"operation": "submit-from"}, "needs a WorkflowTemplate"),
        ({"resource": None}, "no resource"),
        ({"resource": {"kind": "CronWorkflow", "metadata": {"name": "x"}}}, "cannot submit a CronWorkflow"),
        ({"resource": {"kind": "WorkflowTemplate"}}, "metadata.name is missing"),
        ({"resource": {"spec": []}}, "spec must be an object"),
        ({"args": ["--watch"]}, "'--watch' is not supported"),
        ({"args": ["--memoized"]}, "'--memoized' is not supported with submit"),
        ({"args": ["-f", "x.yaml"]}, "'-f' of submit reads a file of the machine"),
        ({"args": ["--dry-run"]}, "'--dry-run' of submit would do nothing"),
        ({"args": ["--priority", "high"]}, "--priority is a whole number"),
        ({"args": ["other"]}, "'other' is not supported"),
        ({"args": ["-p"]}, "'-p' needs a value"),
        ({"args": ["-p", "x"]}, "a parameter is name=value"),
        ({"args": "-p x=1"}, "must be a list"),
        ({"source": {}}, "argoWorkflow.source is not supported"),
    ],
)
def test_what_cannot_be_submitted_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Permanent, match=re.escape(said)):
        build_submission(a_firing(**change))


@given(st.text(max_size=80), st.text(min_size=1, max_size=40))
def test_a_generated_name_fits_kubernetes(prefix: str, firing_id: str) -> None:
    assert len(generated_name(prefix, firing_id)) <= 63


@given(st.text(max_size=100))
def test_any_text_becomes_a_label_that_kubernetes_takes(text: str) -> None:
    assert re.fullmatch(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", label_value(text))
