"""What an API server's refusals mean, and where objects are: as the real one words them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import ConfigError, NotFound, RetrainError, Transient
from retrain.kube import (
    AdmissionRefused,
    AlreadyExists,
    Busy,
    Conflict,
    Denied,
    Expired,
    Invalid,
    KindMissing,
    NamespaceMissing,
    QuotaExceeded,
    path_of,
)
from retrain.kube.refusals import refusal
from retrain.kube.resources import group_path, resources_in

NO_VERB = 'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "a"'
QUOTA = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3'
UNCOUNTED = 'pods "x" is forbidden: status unknown for quota: small, resources: pods'
COUNTING = (
    'Operation cannot be fulfilled on resourcequotas "small": the object has been modified; please apply your changes'
)
SECURITY = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged (container "c")'
HOOK = 'admission webhook "models.example.org" denied the request: no such model'
POLICY = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"

NAMES = st.sampled_from(["message", "reason", "details", "causes", "name", "field", "retryAfterSeconds"])
LEAVES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
CODES = st.sampled_from([400, 403, 404, 409, 422, 429, 500])


def status(message: str, reason: str = "", **details: Any) -> bytes:
    return orjson.dumps({"kind": "Status", "message": message, "reason": reason, "details": details})


@pytest.mark.parametrize(
    ("code", "raw", "expected"),
    [
        (401, status("Unauthorized", "Unauthorized"), Denied),
        (403, status(NO_VERB, "Forbidden", kind="pods"), Denied),
        (403, status(QUOTA, "Forbidden", name="x", kind="pods"), QuotaExceeded),
        (403, status(UNCOUNTED, "Forbidden", name="x", kind="pods"), QuotaExceeded),
        (409, status(COUNTING, "Conflict", name="small", kind="resourcequotas"), Busy),
        (403, status(SECURITY, "Forbidden", name="x", kind="pods"), AdmissionRefused),
        (403, status(HOOK), AdmissionRefused),
        (400, status(HOOK), AdmissionRefused),
        (422, status(POLICY, "Invalid", name="x"), AdmissionRefused),
        (403, status("being terminated", "Forbidden", causes=[{"reason": "NamespaceTerminating"}]), NamespaceMissing),
        (403, b"<html>a proxy says no</html>", Denied),
        (404, b"404 page not found", KindMissing),
        (404, status("the server could not find the requested resource", "NotFound"), KindMissing),
        (404, status('namespaces "a" not found', "NotFound", name="a", kind="namespaces"), NamespaceMissing),
        (404, status('pods "x" not found', "NotFound", name="x", kind="pods"), NotFound),
        (409, status('pods "x" already exists', "AlreadyExists", name="x"), AlreadyExists),
        (409, status("the object has been modified", "Conflict", name="x"), Conflict),
        (410, status("too old resource version", "Expired"), Expired),
        (422, status("spec.replicas: Invalid value", "Invalid", causes=[{"field": "spec.replicas"}]), Invalid),
        (415, status("the body of the request was in an unknown format"), Invalid),
        (302, b"", Invalid),
        (429, status("too many requests", "TooManyRequests", retryAfterSeconds=1), Busy),
        (500, status("failed calling webhook", "InternalError"), Busy),
        (503, b"no healthy upstream", Busy),
    ],
)
def test_refusals_are_told_apart_by_what_the_caller_should_do(code: int, raw: bytes, expected: type) -> None:
    assert type(refusal("GET https://kube/api", code, raw)) is expected


def test_a_refusal_says_what_is_denied_which_field_is_wrong_and_how_long_to_wait() -> None:
    denied = refusal("LIST", 403, status(NO_VERB))
    assert isinstance(denied, Denied)
    assert (denied.verb, denied.resource) == ("list", "pods")
    assert NO_VERB in str(denied)

    invalid = refusal("POST", 422, status("no", causes=[{"field": "spec.replicas"}, {"reason": "x"}]))
    assert isinstance(invalid, Invalid)
    assert invalid.fields == ("spec.replicas",)

    for busy, after_s in (
        (refusal("GET", 429, b"", "7"), 7.0),
        (refusal("GET", 429, status("wait", retryAfterSeconds=2)), 2.0),
        (refusal("GET", 503, b"", "Wed, 21 Oct 2026 07:28:00 GMT"), None),
    ):
        assert isinstance(busy, Busy)
        assert busy.after_s == after_s


@given(code=st.integers(300, 599), raw=st.binary(max_size=200), header=st.text(max_size=20))
def test_any_answer_is_an_error_that_callers_know(code: int, raw: bytes, header: str) -> None:
    error = refusal("GET https://kube/x", code, raw, header)

    assert isinstance(error, RetrainError)
    assert isinstance(error, Transient) == (code in (410, 429) or code >= 500)


@given(
    body=st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=8), code=CODES
)
def test_a_status_of_any_shape_is_read(body: Any, code: int) -> None:
    assert isinstance(refusal("GET https://kube/x", code, orjson.dumps(body)), RetrainError)


def test_what_a_manifest_says_stays_a_part_of_the_path() -> None:
    assert path_of("", "v1", "pods", "a/../b") == "/api/v1/namespaces/a%2F..%2Fb/pods"
    assert path_of("batch", "v1", "jobs") == "/apis/batch/v1/jobs"
    assert path_of("batch", "v1", "jobs", "a", "b", "status") == "/apis/batch/v1/namespaces/a/jobs/b/status"
    for parts in (("", "v1", "pods", ".."), ("", "v1", "pods", "a", "."), ("..", "v1", "pods")):
        with pytest.raises(ConfigError, match="is no name"):
            path_of(*parts)


@pytest.mark.parametrize("text", ["", "/", "apps/", "/v1", "a/b/c", "../v1", ".."])
def test_what_is_no_api_version_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no apiVersion"):
        group_path(text)


def test_discovery_tells_plural_scope_and_verbs() -> None:
    listed = {
        "resources": [
            {"name": "deployments/scale", "kind": "Scale", "namespaced": True},
            {"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get", "list"]},
            {"name": "deployments/status", "kind": "Deployment", "namespaced": True},
        ]
    }

    found = resources_in("apps/v1", listed)

    assert set(found) == {"Deployment"}
    assert found["Deployment"].at("a", "b", "status") == "/apis/apps/v1/namespaces/a/deployments/b/status"
    assert found["Deployment"].api_version == "apps/v1"
    assert found["Deployment"].verbs == {"get", "list"}
