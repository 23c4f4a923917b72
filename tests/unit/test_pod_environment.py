"""The environment of a container: declared variables, references, and `$(NAME)` as Kubernetes fills it in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.local.environment import PodFacts, declared, expand
from retrain.errors import ConfigError

MAIN = {"name": "main", "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": "250m"}}}
FACTS = PodFacts(
    "wf-pod-1", "lab", "uid-1", "robot", {"team": "vision", "a": 'x"y'}, {"note": "n"}, (MAIN, {"name": "side"})
)
REFERENCES = {("Secret", "s"): {"KEY": "hidden", "bad name": "x"}, ("ConfigMap", "c"): {"LEVEL": "7"}}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$(A)-$(B)", "1-two words"),
        ("$(NOBODY) $A ${A}", "$(NOBODY) $A ${A}"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("100$", "100$"),
        ("$(A", "$(A"),
        ("", ""),
    ],
)
def test_references_are_filled_in_as_kubernetes_does(text: str, filled: str) -> None:
    assert expand(text, {"A": "1", "B": "two words"}) == filled


@given(st.text(), st.text())
def test_values_that_are_filled_in_are_not_looked_at_again(text: str, value: str) -> None:
    assert expand("$(V)", {"V": value, text: "x"} | {"V": value}) == value


def env(*entries: dict[str, Any], **container: Any) -> dict[str, str]:
    return declared({"name": "main", "env": list(entries), **container}, FACTS, REFERENCES)


def test_later_variables_see_earlier_ones_and_win_over_envfrom() -> None:
    from_config = [{"configMapRef": {"name": "c"}}, {"prefix": "P_", "secretRef": {"name": "s"}}]
    found = env(
        {"name": "A", "value": "$(LEVEL)/$(B)"}, {"name": "B", "value": "$(A)"}, {"name": "LEVEL"}, envFrom=from_config
    )
    assert found == {"LEVEL": "", "P_KEY": "hidden", "A": "7/$(B)", "B": "7/$(B)"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "wf-pod-1"),
        ("metadata.namespace", "lab"),
        ("metadata.uid", "uid-1"),
        ("metadata.labels['team']", "vision"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "n"),
        ("spec.serviceAccountName", "robot"),
        ("status.podIP", "127.0.0.1"),
        ("status.hostIP", "127.0.0.1"),
    ],
)
def test_a_field_of_the_pod_is_known(path: str, value: str) -> None:
    assert env({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": path}}}) == {"V": value}


def test_all_labels_are_a_file_of_lines() -> None:
    assert FACTS.listing("metadata.labels") == 'a="x\\"y"\nteam="vision"\n'


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "requests.cpu", "divisor": "1m"}, "250"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "1024"),
        ({"resource": "requests.cpu", "containerName": "side"}, "0"),
    ],
)
def test_a_resource_is_told_in_units_of_its_divisor(source: dict[str, Any], value: str) -> None:
    assert env({"name": "V", "valueFrom": {"resourceFieldRef": source}}) == {"V": value}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "V", "valueFrom": {"secretKeyRef": {"name": "s", "key": "no"}}}, "no Secret 's' with key 'no'"),
        ({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}, "'spec.x' is not known"),
        ({"name": "V", "valueFrom": {"resourceFieldRef": {"resource": "cpu"}}}, "no 'cpu' of a container 'main'"),
        ({"name": "V", "valueFrom": {"fileKeyRef": {}}}, "env V: valueFrom.fileKeyRef is not built"),
        ({"name": "a=b", "value": "x"}, "env 'a=b'"),
        ({"name": "1a", "value": "x"}, "env '1a'"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        env(entry)


def test_an_optional_reference_to_nothing_is_no_variable() -> None:
    ref = {"name": "V", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "k", "optional": True}}}
    assert env(ref, envFrom=[{"secretRef": {"name": "no", "optional": True}}]) == {}
