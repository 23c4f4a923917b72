"""With all namespaces watched, what a document names is meant in its own namespace."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.spec import PromotionDocument
from eventsources.spec import EventSourceDocument
from retrain.app.operator.naming import Names
from retrain.app.operator.references import Reference, references
from retrain.manifests import load_text
from sensors.spec import SensorDocument

EXAMPLES = Path(__file__).parents[2] / "examples"
LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
DOTTED = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,12}[a-z0-9])?", fullmatch=True)
SENSOR: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Sensor",
    "metadata": {"name": "train", "namespace": "ml"},
    "spec": {
        "dependencies": [
            {
                "name": "d",
                "eventSourceName": "hooks",
                "eventName": "orders",
                "filters": {"context": {"source": "hooks"}},
            },
            {"name": "own", "eventSourceName": "retrain", "eventName": "run.succeeded"},
            {"name": "all", "eventSourceName": "*", "eventName": "orders"},
        ],
        "triggers": [
            {
                "template": {"name": "http", "http": {"url": "https://x.test", "secureHeaders": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "k"}}},
                ]}},
                "dlqTrigger": {"template": {"name": "dead", "k8s": {"operation": "create", "source": {"resource": {
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                    "spec": {"env": [{"valueFrom": {"secretKeyRef": {"name": "pods", "key": "k"}}}]},
                }}}}},
            },
            {"template": {"name": "map", "argoWorkflow": {"operation": "submit", "source": {
                "configmap": {"name": "c2", "key": "k"}}}}},
            {"template": {"name": "live", "promotion": {"name": "fraud"}}},
        ],
    },
}  # fmt: skip


def test_what_is_named_is_found_by_the_model() -> None:
    found = {(one.kind, one.name) for one in references(SENSOR, SensorDocument)}

    assert found == {("Secret", "s1"), ("ConfigMap", "c1"), ("ConfigMap", "c2")}, "nothing that a pod of a user names"


def test_of_sources_and_promotions_too() -> None:
    tls = {"caCertSecret": {"name": "ca", "key": "crt"}}
    kafka = {"url": "b:9092", "topic": "t", "partition": "0", "tls": tls}
    source: dict[str, Any] = {"apiVersion": "argoproj.io/v1alpha1", "kind": "EventSource", "metadata": {"name": "a"}}
    source["spec"] = {"kafka": {"x": kafka}, "webhook": {"y": {"authSecret": {"name": "gate", "key": "token"}}}}
    password = {"secretKeyRef": {"name": "git", "key": "token"}}
    repo = {"url": "https://git.test/x.git", "credentials": {"token": password}}
    promotion = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "spec": {"repo": repo}}

    assert {one.name for one in references(source, EventSourceDocument)} == {"ca", "gate"}
    (found,) = references(promotion, PromotionDocument)
    assert found == Reference("Secret", "git", ("spec", "repo", "credentials", "token", "secretKeyRef"))


def test_in_one_namespace_only_the_place_of_objects_is_filled_in() -> None:
    settled = Names(several=False).settled(SENSOR, references(SENSOR, SensorDocument))
    expected = deepcopy(SENSOR)
    dead = expected["spec"]["triggers"][0]["dlqTrigger"]["template"]
    dead["k8s"]["source"]["resource"]["metadata"]["namespace"] = "ml"

    assert settled == expected
    assert (
        "namespace"
        not in SENSOR["spec"]["triggers"][0]["dlqTrigger"]["template"]["k8s"]["source"]["resource"]["metadata"]
    )


def test_in_all_namespaces_every_name_has_its_own() -> None:
    settled = Names(several=True).settled(SENSOR, references(SENSOR, SensorDocument))
    dependencies, triggers = settled["spec"]["dependencies"], settled["spec"]["triggers"]

    assert settled["metadata"] == {"name": "train.ml", "namespace": "ml"}
    assert [one["eventSourceName"] for one in dependencies] == ["hooks.ml", "retrain", "*.ml"]
    assert dependencies[0]["filters"]["context"]["source"] == "hooks.ml"
    assert [one.name for one in references(settled, SensorDocument)] == ["s1.ml", "c1.ml", "c2.ml"]
    assert triggers[2]["template"]["promotion"]["name"] == "fraud.ml"
    pod = triggers[0]["dlqTrigger"]["template"]["k8s"]["source"]["resource"]
    assert pod["spec"] == {"env": [{"valueFrom": {"secretKeyRef": {"name": "pods", "key": "k"}}}]}
    SensorDocument.model_validate(settled)


@given(st.tuples(DOTTED, LABEL), st.tuples(DOTTED, LABEL))
def test_two_objects_never_have_one_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = Names(several=True)

    assert (names.internal(*one) == names.internal(*other)) == (one == other)
    assert names.plain(names.internal(*one)) == one[0]


@pytest.mark.parametrize("several", [False, True])
def test_every_example_stays_a_document(several: bool) -> None:
    models: dict[str, Any] = {
        "Sensor": SensorDocument,
        "EventSource": EventSourceDocument,
        "Promotion": PromotionDocument,
    }
    texts = (file.read_text().replace("${PORT}", "1") for file in sorted(EXAMPLES.rglob("*.yaml")))
    filled = (re.sub(r"\$\{[A-Z]+\}", "/x", text) for text in texts)
    found = [one for text in filled for one in load_text(text, "x")[0] if one.kind in models]
    assert found
    for one in found:
        written: Any = one.body
        body = {**written, "metadata": {**written["metadata"], "namespace": "ml"}}
        models[one.kind].model_validate(Names(several).settled(body, references(body, models[one.kind])))
