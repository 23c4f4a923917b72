"""What `lint` says of `k8s` triggers and of `policy.k8s`."""

from __future__ import annotations

from typing import Any

import pytest

from sensors import outside
from sensors.checks.objects import check_object, check_policy
from sensors.checks.triggers import Scope
from sensors.trigger_spec import K8s, K8sPolicy

JSON, STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}
TORCH = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "x"}}


def found(*, ours: bool = True, **body: Any) -> list[tuple[str, str, str]]:
    problems = check_object(K8s.model_validate(body), ("k8s",), Scope(ours, ()))
    return [(".".join(map(str, one.path[1:])), one.code, one.severity) for one in problems]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, []),
        ({"successCondition": "status.phase == Done", "outputs": {"m": "{.status.m}"}}, []),
        ({"successCondition": "a >> b"}, [("successCondition", "bad-condition", "error")]),
        ({"failureCondition": "a b"}, [("failureCondition", "bad-condition", "error")]),
        ({"outputs": {"m": "{.a"}}, [("outputs.m", "bad-condition", "error")]),
        ({"failureCondition": "a == b"}, [("failureCondition", "never-true", "warning")]),
        ({"successCondition": "a == b", "track": False}, [("successCondition", "ignored-field", "warning")]),
        ({"successCondition": "a == b", "operation": "delete"}, [("successCondition", "ignored-field", "warning")]),
        ({"liveObject": True}, [("liveObject", "ignored-field", "warning")]),
        ({"liveObject": True, "operation": "update"}, []),
        ({"patchStrategy": "merge", "operation": "patch"}, [("patchStrategy", "wrong-value", "error")]),
        ({"patchStrategy": JSON}, [("patchStrategy", "ignored-field", "warning")]),
        (
            {"patchStrategy": STRATEGIC, "operation": "patch", "source": {"resource": TORCH}},
            [("source.resource.apiVersion", "wrong-value", "error")],
        ),
        ({"patchStrategy": STRATEGIC, "operation": "patch", "source": {"resource": JOB}}, []),
        (
            {"patchStrategy": JSON, "operation": "patch", "source": {"resource": JOB}},
            [("source.resource.patch", "missing-field", "error")],
        ),
        ({"patchStrategy": JSON, "operation": "patch", "source": {"resource": {**JOB, "patch": []}}}, []),
    ],
)
def test_what_a_trigger_says_of_its_object_is_checked(body: dict[str, Any], wrong: list[tuple[str, str, str]]) -> None:
    bad = [one for one in found(**body) if not (one[1] == "never-true" and "bad-condition" in str(wrong))]

    assert bad == wrong


def test_our_fields_are_said_to_be_ours_where_argo_events_would_drop_them() -> None:
    assert found(ours=False, successCondition="a == b", track=True) == [
        ("successCondition", "not-portable", "warning"),
        ("track", "not-portable", "warning"),
    ]


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        ({"labels": {"a": "b"}}, []),
        ({"conditions": {"Ready": "True"}}, []),
        ({"jsonPath": {"{.status.phase}": "Up"}}, []),
        ({"jsonPath": {"{.status": "Up"}}, ["bad-condition"]),
        ({}, ["missing-field"]),
    ],
)
def test_a_policy_names_what_it_waits_for(policy: dict[str, Any], wrong: list[str]) -> None:
    said = check_policy(K8sPolicy.model_validate(policy), ("policy",), Scope(True, ()))

    assert [one.code for one in said] == wrong


@pytest.mark.parametrize(
    ("action", "runs"),
    [
        ({"kind": "k8s", "operation": "create", "resource": JOB}, True),
        ({"kind": "k8s", "operation": "create", "resource": {"kind": "Workflow"}}, True),
        ({"kind": "k8s", "operation": "create", "resource": {"apiVersion": "v1", "kind": "ConfigMap"}}, False),
        ({"kind": "k8s", "operation": "create", "resource": JOB, "track": False}, False),
        (
            {
                "kind": "k8s",
                "operation": "create",
                "resource": {"apiVersion": "v1", "kind": "ConfigMap"},
                "successCondition": "data.a == b",
            },
            True,
        ),
        ({"kind": "k8s", "operation": "patch", "resource": JOB}, False),
        ({"kind": "argoWorkflow", "operation": "submit", "resource": {}}, True),
    ],
)
def test_a_case_knows_what_goes_on_after_its_firing(action: dict[str, Any], runs: bool) -> None:
    assert outside.starts_run(action) == runs
