"""What an Argo CD Application says of a commit. `tests/data/rollout/argocd.json` was written by a v3.2 controller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.rollout import argocd
from deploy.rollout.check import Finding
from tests.unit.rollout_world import NOW, OLD, OURS, watch

RECORDED: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "data/rollout/argocd.json").read_text())
AUTOMATED = {"automated": True, "hydrated": False}


def spec(**more: Any) -> argocd.Spec:
    return argocd.Spec.model_validate({"name": "synced", "kind": "argocd", "application": "digits", **more})


def recorded(name: str, *, ours: bool = True) -> dict[str, Any]:
    """An answer. `ours`: whether the revision that it was last synced or compared at is ours."""
    status = RECORDED[name]
    seen = [*argocd.revisions(status["sync"]), *argocd.operated(status)]
    return {"follows": seen if ours else [], "spec": AUTOMATED, "status": status}


def app(sync: str, health: str, phase: str | None = "Succeeded", at: str = OURS, **more: Any) -> dict[str, Any]:
    operation = {"phase": phase, "syncResult": {"revision": at}} if phase else None
    status = {"sync": {"status": sync, "revision": at}, "health": {"status": health}, "operationState": operation}
    return {"follows": [OURS], "spec": AUTOMATED, "status": {**status, **more}}


def last(answers: list[tuple[float, Any]], **more: Any) -> Finding:
    return watch(argocd, spec(**more), answers)[-1]


def test_synced_at_the_commit_and_healthy_passes_at_once() -> None:
    found = last([(1, recorded("repaired"))])

    assert found.verdict == "pass"
    assert found.figures["health"] == "Healthy"


def test_healthy_is_nothing_where_the_commit_before_is_meant() -> None:
    found = last([(1, recorded("first sync done", ours=False))])

    assert found.verdict == "pending"
    assert "not at the commit: Argo CD looks at 8db366c" in found.reason


def test_an_operation_that_is_not_over_is_waited_for() -> None:
    assert last([(1, recorded("synced, next operation begins"))]).verdict == "pending"


def test_a_sync_that_is_tried_again_is_waited_for_with_its_words() -> None:
    found = last([(100, recorded("sync being retried"))])

    assert found.verdict == "pending"
    assert "`selector` does not match template `labels`. Retrying attempt #5" in found.reason
    assert found.figures["retries"] == 5


@pytest.mark.parametrize(
    ("name", "words"), [("refused by the API server", "Deployment.apps"), ("hook failed", "tasks completed")]
)
def test_a_sync_of_our_commit_that_failed_is_a_failure_at_once(name: str, words: str) -> None:
    found = last([(1, recorded(name))])

    assert (found.verdict, found.over) == ("fail", True)
    assert words in found.reason


@pytest.mark.parametrize("name", ["refused by the API server", "hook failed"])
def test_a_failed_sync_of_another_commit_is_none_of_ours(name: str) -> None:
    assert last([(1, recorded(name, ours=False))]).verdict == "pending"


@pytest.mark.parametrize("name", ["image cannot be pulled", "crashes"])
def test_degraded_counts_when_it_lasts(name: str) -> None:
    early, late = watch(argocd, spec(), [(1, recorded(name)), (31, recorded(name))])

    assert (early.verdict, late.verdict) == ("pending", "fail")
    assert "it must be so for 30s" in early.reason


def test_degraded_that_is_over_counts_from_the_start_when_it_comes_again() -> None:
    bad, progressing = app("Synced", "Degraded"), app("Synced", "Progressing")

    found = watch(argocd, spec(), [(0, bad), (20, progressing), (25, bad), (54, bad), (55, bad)])

    assert [one.verdict for one in found] == ["pending"] * 4 + ["fail"]


def test_degraded_before_the_sync_is_over_is_the_commit_before() -> None:
    found = watch(argocd, spec(), [(t, app("OutOfSync", "Degraded", "Running")) for t in (0, 40, 80)])

    assert {one.verdict for one in found} == {"pending"}


@pytest.mark.parametrize("name", ["not yaml, just noticed", "not yaml, compared"])
def test_manifests_that_cannot_be_read_fail_when_that_lasts(name: str) -> None:
    # A comparison that fails names no commit: it is ours if it failed after ours came.
    answers = [(at, recorded(name, ours=False)) for at in (5, 16)]

    early, late = watch(argocd, spec(degradedFor="10s"), answers)

    assert (early.verdict, late.verdict) == ("pending", "fail")
    assert "mapping values are not allowed" in late.reason


def test_a_comparison_that_failed_before_the_commit_is_not_blamed_on_it() -> None:
    answers = [(at, recorded("not yaml, compared", ours=False)) for at in (3600, 7200)]

    found = watch(argocd, spec(), answers, since=NOW + timedelta(hours=1))

    assert [one.verdict for one in found] == ["pending", "pending"]
    assert "ComparisonError" in found[-1].reason


def test_a_comparison_that_fails_because_a_server_is_away_is_no_failure() -> None:
    words = "Failed to load target state: failed to generate manifest: rpc error: code = Unavailable"
    away = [{"type": "ComparisonError", "message": words, "lastTransitionTime": NOW.isoformat()}]

    found = watch(argocd, spec(), [(t, app("Unknown", "Healthy", at="main", conditions=away)) for t in (1, 100)])

    assert [one.verdict for one in found] == ["pending", "pending"]
    assert "Unavailable" in found[-1].reason


def test_with_for_it_must_stay_healthy_without_a_break() -> None:
    good, bad = app("Synced", "Healthy"), app("Synced", "Progressing")

    found = watch(argocd, spec(**{"for": "10s"}), [(0, good), (5, good), (6, bad), (7, good), (16, good), (17, good)])

    assert [one.verdict for one in found] == ["pending"] * 5 + ["pass"]


def test_a_commit_that_changes_nothing_of_the_application_needs_no_operation() -> None:
    older = app("Synced", "Healthy")
    older["status"]["operationState"]["syncResult"]["revision"] = OLD

    assert last([(1, older)]).verdict == "pass"
    assert last([(1, app("Synced", "Healthy", None))]).verdict == "pass"


def test_one_of_several_sources_is_enough() -> None:
    many = app("Synced", "Healthy")
    many["status"]["sync"] = {"status": "Synced", "revisions": [OLD, OURS]}

    assert last([(1, many)]).verdict == "pass"


def test_an_application_that_nobody_syncs_says_so() -> None:
    found = last([(1, {**app("OutOfSync", "Healthy", None), "spec": {"automated": False}})])

    assert "somebody must" in found.reason


def test_the_source_hydrator_is_refused_by_name() -> None:
    found = last([(1, {**app("Synced", "Healthy"), "spec": {"hydrated": True}})])

    assert (found.verdict, found.over) == ("error", True)
    assert "sourceHydrator" in found.reason


def test_what_refresh_met_is_remembered_and_shown() -> None:
    refused = {**app("OutOfSync", "Healthy", at=OLD), "poked": "applications is forbidden"}

    found = watch(argocd, spec(), [(1, refused), (2, app("Synced", "Healthy"))])

    assert found[-1].verdict == "pass"
    assert found[-1].figures["refresh"] == "applications is forbidden"
    assert "refresh" not in watch(argocd, spec(), [(1, {**refused, "poked": None})])[-1].figures


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
WORDS = st.sampled_from(
    ["Synced", "OutOfSync", "Healthy", "Degraded", "Running", "Failed", "ComparisonError", OURS, OLD]
)
STATUS = st.fixed_dictionaries(
    {},
    optional={
        "sync": st.dictionaries(st.sampled_from(["status", "revision", "revisions"]), WORDS | JSON),
        "health": st.dictionaries(st.sampled_from(["status", "message"]), WORDS | JSON) | JSON,
        "operationState": st.dictionaries(
            st.sampled_from(["phase", "message", "retryCount", "syncResult", "operation"]), WORDS | JSON
        ),
        "conditions": st.lists(
            st.dictionaries(st.sampled_from(["type", "message", "lastTransitionTime"]), WORDS | JSON)
        ),
    },
)


@given(status=STATUS, follows=st.lists(st.sampled_from([OURS, OLD])))
def test_whatever_the_object_holds_there_is_a_finding_and_only_our_commit_passes(
    status: Any, follows: list[str]
) -> None:
    found = last([(1, {"follows": follows, "spec": AUTOMATED, "status": status})])

    sync = cast("dict[str, Any]", status.get("sync") or {})
    if found.verdict == "pass":
        assert sync["status"] == "Synced"
        assert set(argocd.revisions(sync)) & set(follows)
        assert status["health"]["status"] == "Healthy"
