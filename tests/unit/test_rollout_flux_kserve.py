"""What a Flux Kustomization and a KServe InferenceService say of a commit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.rollout import flux, kserve
from deploy.rollout.check import Finding
from tests.unit.rollout_world import OLD, OURS, watch

FLUX = flux.Spec.model_validate({"name": "synced", "kind": "flux", "kustomization": "apps"})
KSERVE = kserve.Spec.model_validate({"name": "loaded", "kind": "kserve", "service": "digits"})
URI = "s3://models/digits/7"


def ready(status: str, reason: str = "ReconciliationSucceeded", message: str = "") -> list[dict[str, str]]:
    return [{"type": "Ready", "status": status, "reason": reason, "message": message}]


def kustomization(**more: Any) -> dict[str, Any]:
    usual = {
        "follows": [OURS],
        "source": "GitRepository",
        "checked": True,
        "generation": 2,
        "observed": 2,
        "applied": f"main@sha1:{OURS}",
        "attempted": f"main@sha1:{OURS}",
        "fetched": f"main@sha1:{OURS}",
        "conditions": ready("True"),
    }
    return {**usual, **more}


def service(**more: Any) -> dict[str, Any]:
    conditions = [*ready("True"), {"type": "PredictorReady", "status": "True"}, {"type": "Stopped", "status": "False"}]
    model = {"transitionStatus": "UpToDate", "states": {"activeModelState": "Loaded"}}
    usual = {"uris": [URI], "generation": 3, "observed": 3, "model": model, "conditions": conditions}
    return {**usual, **more}


def of_flux(*answers: tuple[float, Any]) -> list[Finding]:
    return watch(flux, FLUX, answers)


def of_kserve(*answers: tuple[float, Any], **more: Any) -> list[Finding]:
    return watch(kserve, KSERVE, answers, **more)


@pytest.mark.parametrize(
    ("revision", "commit"),
    [
        (f"main@sha1:{OURS}", OURS),
        (f"refs/heads/a@b@sha1:{OURS}", OURS),
        (f"sha1:{OURS}", OURS),
        (f"main/{OURS}", OURS),
        (OURS, OURS),
        ("b" * 64, "b" * 64),
        ("main@sha1:abc", ""),
        ("latest@sha256:xyz", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_revision_of_flux_names_a_commit(revision: Any, commit: str) -> None:
    assert flux.commit_of(revision) == commit


def test_applied_and_ready_passes() -> None:
    assert of_flux((1, kustomization()))[-1].verdict == "pass"


def test_a_kustomization_without_health_checks_passes_and_says_what_that_is_worth() -> None:
    found = of_flux((1, kustomization(checked=False)))[-1]

    assert found.verdict == "pass"
    assert "nobody looked" in found.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"applied": f"main@sha1:{OLD}", "fetched": f"main@sha1:{OLD}"}, "its source has main@sha1:000"),
        ({"applied": f"main@sha1:{OLD}"}, "its source has the commit"),
        ({"applied": None, "fetched": None, "suspended": True}, "suspended"),
        ({"applied": None, "fetched": None, "missing": "no such GitRepository"}, "no such GitRepository"),
        (
            {"applied": None, "fetched": None, "fetching": ready("False", "GitOperationFailed", "cannot connect")},
            "GitOperationFailed: cannot connect",
        ),
        ({"observed": 1}, "last change"),
        ({"conditions": ready("Unknown", "Progressing", "running health checks")}, "running health checks"),
        ({"conditions": ready("False", "DependencyNotReady")}, "DependencyNotReady"),
        ({"conditions": ready("False", "ArtifactFailed", "timeout")}, "ArtifactFailed: timeout"),
        # Seen for a tenth of a second: the status is patched in parts.
        ({"applied": f"main@sha1:{OLD}", "conditions": ready("True")}, "it has applied main@sha1:000"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, Any], words: str) -> None:
    found = of_flux((0, kustomization(**changes)), (400, kustomization(**changes)))

    assert [one.verdict for one in found] == ["pending", "pending"]
    assert words in found[-1].reason


@pytest.mark.parametrize("reason", ["BuildFailed", "HealthCheckFailed", "ReconciliationFailed"])
def test_a_kustomization_that_fails_with_our_commit_fails_when_that_lasts(reason: str) -> None:
    bad = kustomization(applied=f"main@sha1:{OLD}", conditions=ready("False", reason, "broken"))
    trying = kustomization(applied=f"main@sha1:{OLD}", conditions=ready("Unknown", "Progressing"))

    found = of_flux((0, bad), (10, trying), (20, bad), (30, bad))

    assert [one.verdict for one in found] == ["pending"] * 3 + ["fail"]
    assert f"{reason}: broken" in found[-1].reason


def test_the_failure_of_the_commit_before_is_none_of_ours() -> None:
    bad = kustomization(applied=None, attempted=f"main@sha1:{OLD}", conditions=ready("False", "BuildFailed"))

    assert {one.verdict for one in of_flux((0, bad), (60, bad))} == {"pending"}


def test_another_kind_of_source_is_refused_by_name() -> None:
    found = of_flux((0, kustomization(source="OCIRepository")))[-1]

    assert (found.verdict, found.over) == ("error", True)
    assert "'OCIRepository'" in found.reason


def test_an_inference_service_with_the_model_that_is_ready_passes() -> None:
    assert of_kserve((1, service()))[-1].verdict == "pass"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uris": ["s3://models/digits/6"]}, "it names s3://models/digits/6, not the promoted one"),
        ({"uris": []}, "no model"),
        ({"observed": 2}, "last change"),
        ({"conditions": ready("False", "PredictorNotReady", "waiting")}, "PredictorNotReady: waiting"),
        ({"conditions": [*ready("True"), {"type": "IngressReady", "status": "Unknown"}]}, "IngressReady is Unknown"),
        ({"model": {"transitionStatus": "InProgress"}}, "its model is InProgress"),
        ({"conditions": None}, "not ready"),
    ],
)
def test_what_an_inference_service_lacks_is_said(changes: dict[str, Any], words: str) -> None:
    found = of_kserve((0, service(**changes)), (400, service(**changes)))

    assert [one.verdict for one in found] == ["pending", "pending"]
    assert words in found[-1].reason


def test_a_model_that_cannot_be_loaded_fails_when_that_lasts() -> None:
    failure = {"reason": "ModelLoadFailed", "message": "no such file"}
    lost = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": failure}

    found = of_kserve((0, service(model=lost)), (29, service(model=lost)), (30, service(model=lost)))

    assert [one.verdict for one in found] == ["pending", "pending", "fail"]
    assert "BlockedByFailedLoad: ModelLoadFailed: no such file" in found[-1].reason


def test_the_failed_load_of_another_model_is_none_of_ours() -> None:
    other = service(uris=["s3://models/digits/6"], model={"transitionStatus": "BlockedByFailedLoad"})

    assert {one.verdict for one in of_kserve((0, other), (60, other))} == {"pending"}


def test_a_revision_that_was_given_up_fails() -> None:
    given_up = [*ready("False"), {"type": "PredictorReady", "status": "False", "reason": "RevisionFailed"}]

    found = of_kserve((0, service(conditions=given_up)), (30, service(conditions=given_up)))

    assert found[-1].verdict == "fail"
    assert "PredictorReady: RevisionFailed" in found[-1].reason


def test_any_address_that_the_commit_wrote_is_the_promoted_one() -> None:
    found = of_kserve((0, service(uris=["s3://models/digits/7/onnx"])), values=(URI, "s3://models/digits/7/onnx"))

    assert found[-1].verdict == "pass"


def test_addresses_are_found_wherever_a_spec_has_them() -> None:
    spec = {
        "predictor": {"model": {"storageUri": "a"}, "sklearn": {"storageUri": "b"}},
        "canary": [{"trafficPercent": 10, "predictor": {"storageUris": [{"uri": "c", "mountPath": "/m"}]}}],
    }

    assert list(kserve.uris(spec)) == ["a", "b", "c"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["True", "False", OURS, "Ready", "BuildFailed", URI]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "status", "reason", "transitionStatus", "uri"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(answer=st.fixed_dictionaries(dict.fromkeys(kustomization(), JSON) | {"follows": st.just([OURS])}))
def test_whatever_a_kustomization_holds_there_is_a_finding(answer: Any) -> None:
    found = of_flux((1, {**answer, "source": "GitRepository"}))[-1]

    assert found.verdict != "pass" or flux.commit_of(answer["applied"]) == OURS


@given(answer=st.fixed_dictionaries(dict.fromkeys(service(), JSON)))
def test_whatever_an_inference_service_holds_there_is_a_finding(answer: Any) -> None:
    assert of_kserve((1, answer))[-1].verdict != "pass" or URI in answer["uris"]
