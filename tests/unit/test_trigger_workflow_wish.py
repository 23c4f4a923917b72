"""What an `argoWorkflow` firing asks of workflows that are there, and what `policy.k8s` says of an object."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.argo_flags import label_selector
from pipelines.host.control import RetryOptions
from retrain.errors import Permanent
from retrain.store.runs import RunRow
from triggers import Firing
from triggers.object_policy import LabelPolicy, Seen, judge, read_policy
from triggers.port import Later
from triggers.retry import Backoff
from triggers.workflow_wish import Operation, build_wish

NOW = datetime(2026, 11, 20, tzinfo=UTC)
NAMED = {"metadata": {"name": "train-x"}}


def wish_of(operation: Operation, *args: str, resource: Any = NAMED) -> Any:
    return build_wish(Firing("f-1", "s", "t", "", {"resource": resource, "args": list(args)}), operation)


def a_run(name: str, namespace: str = "default", **labels: str) -> RunRow:
    return RunRow("r-1", name, name, {}, labels, NOW, namespace=namespace)


def test_a_workflow_is_meant_by_its_name() -> None:
    wish = wish_of("stop")

    assert (wish.operation, wish.name, wish.namespace, wish.fits) == ("stop", "train-x", "", None)
    assert wish_of("stop", resource={"metadata": {"name": "a", "namespace": "ml"}}).namespace == "ml"


def test_retry_takes_the_flags_of_argo_retry() -> None:
    wish = wish_of("retry", "--restart-successful", "--node-field-selector", "displayName=a", "-p", "x=1", "-py=2")

    assert wish.retry == RetryOptions(True, "displayName=a", {"x": "1", "y": "2"})
    assert not wish_of("retry", "--restart-successful=false").retry.restart_successful


def test_resubmit_takes_parameters_and_a_priority() -> None:
    wish = wish_of("resubmit", "-p", "x=1", "--priority=4")

    assert (wish.parameters, wish.priority) == ({"x": "1"}, 4)


@pytest.mark.parametrize(
    ("selector", "meant"),
    [("a=1", "xy"), ("a==1,b=2", "y"), ("b!=2", "xz"), ("b", "y"), ("!b", "xz"), ("a=1,!b", "x")],
)
def test_a_label_selector_means_all_runs_that_fit(selector: str, meant: str) -> None:
    wish = wish_of("suspend", "-l", selector, resource=None)
    some = [a_run("x", a="1"), a_run("y", a="1", b="2"), a_run("z")]

    assert "".join(run.name for run in some if wish.means(run)) == meant


def test_a_selector_beside_a_name_and_a_namespace_means_both() -> None:
    wish = wish_of("stop", "-l", "a=1", resource={"metadata": {"name": "x", "namespace": "ml"}})

    assert wish.means(a_run("x", "ml", a="1"))
    assert not wish.means(a_run("x", "default", a="1"))
    assert not wish.means(a_run("y", "ml", a="1"))


@pytest.mark.parametrize(
    ("operation", "args", "resource", "said"),
    [
        ("stop", [], None, "stop needs the workflow's metadata.name in its resource or a label selector"),
        ("resubmit", [], {}, "resubmit needs the workflow's metadata.name in its resource"),
        ("resubmit", ["-l", "a=b"], None, "'-l' is not supported with resubmit"),
        ("resubmit", ["--memoized"], NAMED, "'--memoized' of resubmit is not built"),
        ("stop", ["--message", "x"], NAMED, "'--message' of stop goes with --node-field-selector"),
        ("resume", ["--node-field-selector", "x=y"], NAMED, "'--node-field-selector' of resume speaks to steps"),
        ("retry", ["--restart-successful=maybe"], NAMED, "is true or false, not 'maybe'"),
        ("retry", ["-l"], NAMED, "'-l' needs a value"),
        ("stop", ["-l", "a in (b)"], NAMED, "a term is a=b, a!=b, a or !a"),
        ("stop", [], {"kind": "Pod", "metadata": {"name": "x"}}, "acts on a Workflow that is there"),
        ("stop", [], [], "must be an object with metadata.name"),
        ("stop", [], {"metadata": "x"}, "metadata must be an object"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    operation: Operation, args: list[str], resource: Any, said: str
) -> None:
    with pytest.raises(Permanent, match=re.escape(said)):
        wish_of(operation, *args, resource=resource)


@given(st.text(max_size=40))
def test_any_text_is_a_label_selector_or_refused(text: str) -> None:
    with suppress(Permanent):
        label_selector(text)({"a": "b"})


# ---- policy.k8s ----

POLICY = LabelPolicy({"phase": "Succeeded"}, Backoff(steps=3, duration_s=10, factor=2), error_on_timeout=True)
OPEN = Seen("x", {"phase": "Running"}, NOW, over=False)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_an_object_with_the_labels_is_done() -> None:
    assert judge(POLICY, Seen("x", {"phase": "Succeeded", "more": "1"}, NOW, over=True), {"run": "r"}, NOW) == {
        "run": "r"
    }
    assert judge(None, OPEN, {"run": "r"}, NOW) == {"run": "r"}


@pytest.mark.parametrize(("now", "again"), [(0, 10), (9, 10), (10, 30), (29, 30)])
def test_an_object_without_them_is_looked_at_again_after_each_wait(now: float, again: float) -> None:
    later = judge(POLICY, OPEN, {}, after(now))

    assert isinstance(later, Later)
    assert (later.until, later.reason) == (after(again), "waits until x has label phase=Succeeded")


def test_after_the_last_look_it_is_an_error_only_if_the_policy_says_so() -> None:
    with pytest.raises(Permanent, match="x has no label phase=Succeeded, at the last look"):
        judge(POLICY, OPEN, {}, after(30))

    lenient = replace(POLICY, error_on_timeout=False)
    assert judge(lenient, OPEN, {}, after(30)) == {"policy": "no label phase=Succeeded, at the last look"}


def test_an_object_that_is_over_is_not_waited_for() -> None:
    with pytest.raises(Permanent, match="and is over"):
        judge(POLICY, replace(OPEN, over=True), {}, NOW)


def test_a_policy_is_read_as_upstream_writes_it() -> None:
    written = {"labels": {"a": "b"}, "backoff": {"duration": "10s", "factor": 2, "steps": 3}}

    policy = read_policy({"k8s": {**written, "errorOnBackoffTimeout": True}})

    assert policy == LabelPolicy({"a": "b"}, Backoff(3, 10.0, 2.0, 1.0), True)
    assert read_policy(None) is None


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"status": {"allow": [200]}}, "policy.status means nothing here"),
        ({"k8s": {}}, "policy.k8s.labels must name"),
        ({"k8s": {"labels": {"a": "b"}, "backoff": {"duration": "soon"}}}, "policy.k8s.backoff: 'soon' is no duration"),
        ("x", "must be an object"),
    ],
)
def test_a_policy_that_says_nothing_of_objects_is_refused(policy: Any, said: str) -> None:
    with pytest.raises(Permanent, match=re.escape(said)):
        read_policy(policy)
