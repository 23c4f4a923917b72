"""`runs retry` and `runs resubmit --memoized` of a Workflow on a cluster, beside what Argo itself makes of the same.

`tests/data/argo_retry.json` has Workflows that failed on a real controller, and what `FormulateRetryWorkflow` of that
version made of them (of nodes: phase and children; the pods that it wants gone).
"""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.naming import node_id
from pipelines.host.control import RetryOptions
from pipelines.kubernetes.resubmitting import memoized_status
from pipelines.kubernetes.retrying import pod_of, retried
from retrain.errors import ConfigError, Refused

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/argo_retry.json").read_text())
DEALT_WITH = "dag id=dag-20432214"
"""A step that runs after another one's failure is chosen to run again: here that failure stays, Argo takes it out."""
CASES = [pytest.param(one, id=f"{one['workflow']} {one['selector'] or 'failed'}") for one in RECORDED["cases"]]


def workflow(name: str) -> dict[str, Any]:
    return deepcopy(RECORDED["workflows"][name])


def shape(nodes: dict[str, Any]) -> dict[str, Any]:
    return {key: [node["phase"], sorted(node.get("children") or [])] for key, node in nodes.items()}


def named(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in found["status"]["nodes"].values() if node["displayName"] == name)


@pytest.mark.parametrize("case", [one for one in CASES if "tried" not in str(one.id) and one.id != DEALT_WITH])
def test_what_stays_and_what_runs_again_is_what_argo_says(case: dict[str, Any]) -> None:
    before = workflow(case["workflow"])
    pods = {pod_of(before, node) for node in before["status"]["nodes"].values() if node["type"] == "Pod"}

    done = retried(before, RetryOptions(bool(case["selector"]), case["selector"]), NOW)

    assert shape(done.workflow["status"]["nodes"]) == case["nodes"]
    assert set(done.pods) == set(case["pods"]) & pods  # of an exit handler it names groups, too, which have none
    assert done.workflow["metadata"]["labels"] == case["labels"]
    assert done.workflow["status"]["phase"] == case["phase"] == "Running"
    kinds = [{key: one[key] for key in ("type", "status")} for one in done.workflow["status"]["conditions"]]
    assert sorted(kinds, key=str) == sorted(case["conditions"], key=str)


def test_a_retried_step_begins_with_its_first_attempt_where_argo_leaves_an_empty_shell() -> None:
    """The one difference: on both engines the whole `Retry` goes, so that its attempts are counted from 0."""
    case = next(one for one in RECORDED["cases"] if one["workflow"] == "tried" and not one["selector"])

    done = retried(workflow("tried"), RetryOptions(), NOW)

    left = shape(done.workflow["status"]["nodes"])
    assert case["nodes"].keys() - left.keys() == {node_id("tried", "tried[1].bad")}
    assert case["nodes"][node_id("tried", "tried[1].bad")] == ["Running", []]
    assert set(done.pods) == set(case["pods"])


def test_the_next_life_is_not_asked_to_end() -> None:
    before = workflow("steps")
    before["spec"] |= {"shutdown": "Stop", "activeDeadlineSeconds": 0}
    before["status"]["storedWorkflowTemplateSpec"] = {"shutdown": "Stop", "entrypoint": "main"}
    before["status"]["persistentVolumeClaims"] = [{"name": "work"}]

    after = retried(before, RetryOptions(), NOW).workflow

    assert not {"shutdown", "activeDeadlineSeconds"} & after["spec"].keys()
    assert after["status"]["storedWorkflowTemplateSpec"] == {"entrypoint": "main"}
    assert after["status"]["persistentVolumeClaims"] == []
    assert after["status"]["startedAt"] == "2026-11-22T08:00:00Z"
    assert not {"finishedAt", "message"} & after["status"].keys()


def test_what_the_controller_keeps_in_a_node_stays_in_it() -> None:
    before = workflow("steps")
    named(before, "good")["taskResultSynced"] = True

    after = retried(before, RetryOptions(), NOW).workflow

    assert named(after, "good") == named(before, "good") | {"children": named(after, "good").get("children", [])}


def test_other_parameters_reach_what_the_controller_has_stored() -> None:
    before = workflow("steps")
    arguments = {"arguments": {"parameters": [{"name": "word", "value": "no"}]}}
    before["spec"] |= arguments
    before["status"]["storedWorkflowTemplateSpec"] = {**deepcopy(arguments)}

    after = retried(before, RetryOptions(parameters={"word": "yes"}), NOW).workflow

    for spec in (after["spec"], after["status"]["storedWorkflowTemplateSpec"]):
        assert spec["arguments"]["parameters"] == [{"name": "word", "value": "yes"}]
    with pytest.raises(ConfigError, match="the workflow has no parameter 'x'; it has word"):
        retried(before, RetryOptions(parameters={"x": "1"}), NOW)


@pytest.mark.parametrize(("phase", "reason"), [("Running", "steps is Running"), ("Succeeded", "steps succeeded")])
def test_what_has_not_failed_is_refused(phase: str, reason: str) -> None:
    before = workflow("steps")
    before["status"]["phase"] = phase

    with pytest.raises(Refused, match=reason):
        retried(before, RetryOptions(), NOW)


@pytest.mark.parametrize(
    ("annotation", "node", "name"),
    [
        ("v2", {"id": "w-1", "name": "w.a", "templateName": "t"}, "w-t-205987851"),
        ("v1", {"id": "w-1", "name": "w.a", "templateName": "t"}, "w-1"),
        ("v2", {"id": "w-1", "name": "w.a", "templateRef": {"name": "lib", "template": "u"}}, "w-u-205987851"),
        ("v2", {"id": "w", "name": "w", "templateName": "t"}, "w"),
    ],
)
def test_pods_are_named_as_the_controller_says_that_it_names_them(
    annotation: str, node: dict[str, Any], name: str
) -> None:
    metadata = {"name": "w", "annotations": {"workflows.argoproj.io/pod-name-format": annotation}}

    assert pod_of({"metadata": metadata}, node) == name


def test_a_memoized_resubmission_begins_with_what_had_succeeded() -> None:
    status = memoized_status(workflow("steps"), "again", NOW)
    nodes = {node["name"]: node for node in status["nodes"].values()}

    assert nodes["again"]["phase"] == "Running"
    assert nodes["again[0].good"]["phase"] == "Succeeded"
    assert nodes["again[0].good"]["message"].startswith("original pod: steps-")
    assert "again[1].bad" not in nodes
    assert "again[2].after" not in nodes
    for key, node in status["nodes"].items():
        assert key == node["id"] == node_id("again", node["name"])
        assert set(node.get("children", ())) <= status["nodes"].keys()
        assert node.get("templateScope", "local/again") == "local/again"


def test_a_run_that_is_open_is_not_taken_over() -> None:
    before = workflow("steps")
    before["status"]["phase"] = "Running"

    with pytest.raises(Refused, match="steps is Running; what it has done can be taken over once it is over"):
        memoized_status(before, "again", NOW)
