"""What is wrong with a Sensor is said with its place; what is not built is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from retrain.manifests import dotted, load_text, validate
from sensors import Sensor, SensorDocument, check

GOOD = """
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: s}
spec:
  dependencies:
    - name: features
      eventSourceName: lake
      eventName: features
      filters:
        data:
          - {path: body.n, type: number, comparator: ">", value: ["1"]}
  triggers:
    - template:
        name: train
        conditions: features
        http:
          url: http://h/
          payload:
            - {src: {dependencyName: features, dataKey: body.n}, dest: count}
"""


def problems(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(dotted(p.path), p.code, p.severity) for p in check(SensorDocument.model_validate(body))]


def good(**spec: Any) -> dict[str, Any]:
    body = yaml.safe_load(GOOD)
    body["spec"] |= spec
    return body


def changed(path: str, value: Any, api: str = "retrain.dev/v1") -> dict[str, Any]:
    body = {**good(), "apiVersion": api}
    holder: Any = body["spec"]
    *steps, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    for step in steps:
        holder = holder[step]
    holder[last] = value
    return body


def test_a_good_one_has_no_problems_and_compiles() -> None:
    assert problems(good()) == []
    assert Sensor(SensorDocument.model_validate(good())).addresses == {("lake", "features")}


FILTER = "dependencies.0.filters.data.0"
TEMPLATE = "triggers.0.template"
PAYLOAD = "triggers.0.template.http.payload.0"
SHOWN = "spec.triggers[0].template.http.payload[0]"
RESET = "spec.triggers[0].template.conditionsReset"
SRC = {"dependencyName": "features"}


@pytest.mark.parametrize(
    ("path", "value", "where", "code"),
    [
        ("dependencies", [], "spec.dependencies", "missing-field"),
        ("triggers", [], "spec.triggers", "missing-field"),
        ("dependencies.0.eventName", "", "spec.dependencies[0].eventName", "missing-field"),
        (f"{FILTER}.path", "a|@keys", "spec.dependencies[0].filters.data[0].path", "bad-path"),
        (f"{FILTER}.value", ["x"], "spec.dependencies[0].filters.data[0].value[0]", "wrong-value"),
        (f"{FILTER}.type", "int", "spec.dependencies[0].filters.data[0].type", "wrong-value"),
        (f"{FILTER}.template", "{{ .Input ", "spec.dependencies[0].filters.data[0].template", "bad-template"),
        ("dependencies.0.filters.script", "return =", "spec.dependencies[0].filters.script", "bad-script"),
        ("dependencies.0.transform", {"jq": "{"}, "spec.dependencies[0].transform.jq", "bad-jq"),
        ("dependencies.0.key", "body.@keys", "spec.dependencies[0].key[0]", "bad-path"),
        ("dependencies.0.filtersLogicalOperator", "AND", "spec.dependencies[0].filtersLogicalOperator", "wrong-value"),
        (f"{TEMPLATE}.conditions", "feature", "spec.triggers[0].template.conditions", "unknown-dependency"),
        (f"{TEMPLATE}.conditions", "features &", "spec.triggers[0].template.conditions", "bad-condition"),
        (f"{TEMPLATE}.conditions", "!features", "spec.triggers[0].template.conditions", "bad-condition"),
        (f"{TEMPLATE}.log", {}, "spec.triggers[0].template", "conflicting-fields"),
        (f"{TEMPLATE}.http", None, "spec.triggers[0].template", "unsupported-kind"),
        (f"{TEMPLATE}.name", "", "spec.triggers[0].template.name", "missing-field"),
        (f"{TEMPLATE}.http.url", "", "spec.triggers[0].template.http.url", "missing-field"),
        (f"{TEMPLATE}.conditionsReset", [{}], f"{RESET}[0].byTime.cron", "missing-field"),
        (f"{PAYLOAD}.operation", "merge", f"{SHOWN}.operation", "wrong-value"),
        (f"{PAYLOAD}.src.dependencyName", "x", f"{SHOWN}.src.dependencyName", "unknown-dependency"),
        (f"{PAYLOAD}.src.dataTemplate", "{{", f"{SHOWN}.src.dataTemplate", "bad-template"),
        ("triggers.0.rateLimit", {"unit": "Second"}, "spec.triggers[0].rateLimit.requestsPerUnit", "wrong-value"),
        ("triggers.0.parameters", [{"src": SRC}], "spec.triggers[0].parameters[0].dest", "missing-field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(path: str, value: Any, where: str, code: str) -> None:
    assert (where, code, "error") in problems(changed(path, value))


def test_duplicate_names_are_said() -> None:
    body = good()
    body["spec"]["dependencies"] *= 2
    body["spec"]["triggers"] *= 2

    assert [code for _, code, _ in problems(body)] == ["duplicate-name"] * 4


def test_an_unknown_dependency_comes_with_what_was_meant() -> None:
    document = SensorDocument.model_validate(changed(f"{TEMPLATE}.conditions", "featrues"))

    assert [p.message for p in check(document)] == ["unknown dependency 'featrues'; did you mean 'features'?"]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (f"{FILTER}.comparator", "~", "never-passes"),
        (f"{TEMPLATE}.http.url", "", "missing-field"),
        (f"{PAYLOAD}.src.dependencyName", "x", "unknown-dependency"),
        ("errorOnFailedRound", True, "ignored-field"),
        ("mode", "shadow", "unknown-field"),
        ("triggers.0.cooldown", "5m", "unknown-field"),
    ],
)
def test_what_argo_events_takes_is_a_warning_under_its_name(path: str, value: Any, code: str) -> None:
    found = problems(changed(path, value, "argoproj.io/v1alpha1"))

    assert [(c, s) for _, c, s in found] == [(code, "warning")]


def test_what_is_ours_is_not_argos() -> None:
    body = changed(f"{TEMPLATE}.conditions", "!features", "argoproj.io/v1alpha1")
    assert ("spec.triggers[0].template.conditions", "bad-condition", "error") in problems(body)
    body = changed(f"{TEMPLATE}.promotion", {"name": "p"}, "argoproj.io/v1alpha1")
    assert ("spec.triggers[0].template.promotion", "unsupported-kind", "error") in problems(body)


def test_an_unknown_field_is_found_at_its_line() -> None:
    (document,), _ = load_text(GOOD.replace("dataKey:", "datakey:"), "s.yaml")

    model, findings = validate(document, SensorDocument)

    assert model is None
    assert [(f.line, f.code) for f in findings] == [(20, "unknown-field")]
    assert "did you mean 'dataKey'?" in findings[0].message


@pytest.mark.parametrize(("written", "mode"), [(None, "active"), ("suspended", "suspended"), ("shadow", "shadow")])
def test_a_sensor_of_argo_events_has_its_mode_in_an_annotation_that_argo_events_does_not_read(
    written: str | None, mode: str
) -> None:
    body = good()
    body["apiVersion"] = "argoproj.io/v1alpha1"
    body["metadata"]["annotations"] = {"retrain.dev/mode": written} if written else {}

    sensor = Sensor(SensorDocument.model_validate(body))

    assert sensor.mode == mode
    assert (sensor.digest == Sensor(SensorDocument.model_validate({**body, "metadata": {"name": "s"}})).digest) is (
        mode == "active"
    )


def test_a_mode_that_there_is_not_is_refused_in_the_annotation_too() -> None:
    body = good()
    body["apiVersion"] = "argoproj.io/v1alpha1"
    body["metadata"]["annotations"] = {"retrain.dev/mode": "suspend"}

    assert ("metadata.annotations['retrain.dev/mode']", "wrong-value", "error") in problems(body)
