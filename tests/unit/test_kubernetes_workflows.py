"""What is put into a cluster, and what is read there."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kubernetes.reading import has_ended, unpacked
from pipelines.kubernetes.submission import MANAGED_BY, check_ours, path_to, to_object
from retrain.errors import ConfigError, Permanent, Refused

EVENT = "retrain.dev/event"
NODES = st.dictionaries(
    st.text(min_size=1), st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans())
)


def packed(nodes: object) -> str:
    return base64.b64encode(gzip.compress(json.dumps(nodes).encode(), mtime=0)).decode()


@given(NODES)
def test_packed_nodes_are_read_like_others(nodes: dict[str, Any]) -> None:
    there = {"metadata": {"name": "w"}, "status": {"phase": "Running", "compressedNodes": packed(nodes)}}

    assert unpacked(there)["status"] == {"phase": "Running", "nodes": nodes}


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"no gzip").decode(), packed([]), packed({})[:-8]])
def test_what_is_packed_otherwise_is_refused(text: str) -> None:
    with pytest.raises(Permanent, match=r"status\.compressedNodes"):
        unpacked({"metadata": {}, "status": {"compressedNodes": text}})


def test_nodes_that_lie_elsewhere_are_named() -> None:
    there = {"metadata": {}, "status": {"phase": "Running", "offloadNodeStatusVersion": "fnv:1"}}

    assert "fnv:1" in unpacked(there)["status"]["message"]


def test_a_workflow_without_a_status_has_not_begun() -> None:
    there = {"metadata": {"name": "w", "managedFields": [{}]}, "spec": {}}

    assert unpacked(there) == {"metadata": {"name": "w"}, "spec": {}, "status": {"phase": "Pending"}}
    assert not has_ended(there)
    assert has_ended({"status": {"phase": "Error"}})


def test_what_was_read_from_a_server_is_submitted_anew() -> None:
    manifest = {
        "kind": "Workflow",
        "metadata": {
            "generateName": "w-",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"a": 1},
            "annotations": {"b": "c"},
        },
        "spec": {"entrypoint": "main"},
        "status": {"phase": "Failed"},
    }

    made = to_object(manifest, "w-1", "ml", {"retrain.dev/firing": "f-1"})

    labels = {"a": "1", "app.kubernetes.io/managed-by": "retrain", "retrain.dev/firing": "f-1"}
    assert made["metadata"] == {
        "name": "w-1",
        "generateName": "w-",
        "namespace": "ml",
        "labels": labels,
        "annotations": {"b": "c"},
    }
    assert made["spec"] == {"entrypoint": "main"}
    assert "status" not in made


@pytest.mark.parametrize(
    "labels",
    [{}, {"app.kubernetes.io/managed-by": "helm", "retrain.dev/firing": "f-1"}, {"retrain.dev/firing": "f-2"}],
)
def test_an_object_of_somebody_else_is_not_taken_for_ours(labels: dict[str, str]) -> None:
    wanted = to_object({}, "w", "ml", {"retrain.dev/firing": "f-1"})

    check_ours(wanted, wanted)
    with pytest.raises(Refused, match="ml/w already"):
        check_ours({"metadata": {"name": "w", "labels": labels}}, wanted)


def test_a_namespace_leads_nowhere_else() -> None:
    assert path_to("a/b", "c?d") == "/apis/argoproj.io/v1alpha1/namespaces/a%2Fb/workflows/c%3Fd"
    with pytest.raises(ConfigError):
        path_to("..", "x")


@pytest.mark.parametrize("event", ["default/order/order-1", "é", "x" * 64, "-a", "a\n"])
def test_what_cannot_be_a_label_is_an_annotation(event: str) -> None:
    made = to_object({"metadata": {"annotations": {"a": "b"}}}, "n", "ml", {EVENT: event, "retrain.dev/run": "r-1"})

    assert made["metadata"]["annotations"] == {"a": "b", EVENT: event}
    assert made["metadata"]["labels"] == {MANAGED_BY: "retrain", "retrain.dev/run": "r-1"}


@pytest.mark.parametrize("event", ["", "a", "order-0001", "A.b_c-9", "x" * 63])
def test_what_can_be_a_label_is_one(event: str) -> None:
    assert to_object({}, "n", "ml", {EVENT: event})["metadata"]["labels"][EVENT] == event
