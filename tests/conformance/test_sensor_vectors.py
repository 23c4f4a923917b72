"""Argo Events' own answers to filters, transforms, parameters and payloads: ours are the same, but for a named few."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from retrain.app.projects.catalog import build
from retrain.errors import ConfigError
from retrain.events import from_dict
from retrain.manifests import load_paths, load_text, validate
from sensors.explain import explain
from sensors.spec import SensorDocument, check

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "argo-events"
CONTEXT = {
    "specversion": "1.0",
    "id": "1",
    "type": "webhook",
    "source": "webhook-es",
    "subject": "example",
    "datacontenttype": "application/json",
    "time": "2024-01-02T16:36:34Z",
}
OBJECT: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "golden"}}

DEVIATIONS = {
    "script/os-library-available": "scripts have neither os nor io: upstream's run any program as the sensor",
    "param/dataTemplate-sprig-env-exposed": "templates do not see the environment: upstream's can read its secrets",
}
"""Vectors whose answer is another one here, on purpose; docs/compatibility.md says the same."""

if not CORPUS.exists():
    pytest.skip("the corpus of vectors is not here", allow_module_level=True)

CASES: list[dict[str, Any]] = json.loads((CORPUS / "golden.json").read_text())["cases"]


def _sensor(case: dict[str, Any]) -> tuple[SensorDocument, list[dict[str, Any]]]:
    names = sorted(case["events"]) if "events" in case else ["d1"]
    dependencies: list[dict[str, Any]] = [
        {"name": n, "eventSourceName": "webhook-es", "eventName": n if "events" in case else "example"} for n in names
    ]
    dependencies[0] |= {k: case[k] for k in ("filters", "filtersLogicalOperator", "transform") if k in case}
    match case["kind"]:
        case "params":
            k8s = {"operation": "create", "source": {"resource": {**OBJECT, **case["object"]}}}
            template: dict[str, Any] = {"name": "t", "k8s": {**k8s, "parameters": case["parameters"]}}
        case "payload":
            template = {"name": "t", "http": {"url": "http://127.0.0.1:1/x", "payload": case["parameters"]}}
        case _:
            template = {"name": "t", "log": {}}
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Sensor",
        "metadata": {"name": "golden"},
        "spec": {"dependencies": dependencies, "triggers": [{"template": template}]},
    }
    (loaded,), wrong = load_text(json.dumps(document), "golden.json")
    model, more = validate(loaded, SensorDocument, unknown="warning")
    assert model is not None, [*wrong, *more]
    if "events" in case:
        events = [{**CONTEXT, "id": str(i), "subject": n, "data": case["events"][n]} for i, n in enumerate(names, 1)]
    elif "rawData" in case:
        events = [{**CONTEXT, "data_base64": b64encode(case["rawData"].encode()).decode()}]
    else:
        events = [{**CONTEXT, "data": case["data"]}]
    return model, events


def test_the_deviations_are_vectors() -> None:
    assert DEVIATIONS.keys() <= {case["name"] for case in CASES}


@pytest.mark.parametrize("case", [c for c in CASES if c["name"] in DEVIATIONS], ids=lambda c: c["name"])
def test_a_deviation_is_an_answer_that_says_no(case: dict[str, Any]) -> None:
    document, events = _sensor(case)
    try:
        out = explain(document, [from_dict(one) for one in events])
    except ConfigError:
        return
    refused = out["events"][0]["outcome"] in {"filtered", "error"}
    assert refused or out["firings"][0]["error"], out


@pytest.mark.parametrize("case", [c for c in CASES if c["name"] not in DEVIATIONS], ids=lambda c: c["name"])
def test_answers_as_argo_events_does(case: dict[str, Any]) -> None:
    want = case["expected"]
    document, events = _sensor(case)
    try:
        out = explain(document, [from_dict(one) for one in events])
    except ConfigError:
        # What upstream finds out when the first event comes may be refused before.
        assert "error" in want
        assert not want.get("pass")
        assert any(p.severity == "error" and p.code != "unsupported-kind" for p in check(document))
        return
    json.dumps(out)
    entry = out["events"][0]
    if case["kind"] == "filter":
        assert entry["outcome"] in ({"passed"} if want["pass"] else {"filtered", "error"}), entry
        return
    if case["kind"] == "transform":
        if "error" in want:
            assert entry["outcome"] == "error"
        else:
            assert entry["data"] == want["data"]
        return
    firing = out["firings"][0]
    if "error" in want or "panic" in want:
        assert firing["error"]
        return
    assert firing["error"] is None
    got = firing["action"].get("resource" if case["kind"] == "params" else "payload")
    if "resultText" in want:
        assert (got or "") == want["resultText"]
    elif case["kind"] == "params":
        # The object under test stands inside one that Kubernetes would take.
        result = {**OBJECT, **want["result"]}
        assert got == {**result, "metadata": {**OBJECT["metadata"], **result["metadata"]}}
    else:
        # All vectors were made with one event name; here each dependency has its own.
        assert _with_subject(got, "example") == want["result"]


def _with_subject(payload: dict[str, Any], subject: str) -> dict[str, Any]:
    if "ev" not in payload:
        return payload
    whole = json.loads(payload["ev"])
    whole["context"]["subject"] = subject
    return {**payload, "ev": json.dumps(whole, separators=(",", ":"))}


def test_the_sensor_that_was_asked_for_hands_on_the_objects_key() -> None:
    """Upstream has no such variable; here the file works as it was written."""
    (document,), wrong = load_paths([CORPUS.parent / "given" / "sensor-retrain-trigger.yaml"])
    model, more = validate(document, SensorDocument, unknown="warning")
    assert model is not None, [*wrong, *more]
    s3 = {"bucket": {"name": "training"}, "object": {"key": "in%2F2026-11-20.csv", "size": 3, "eTag": "e"}}
    data = {"notification": [{"eventName": "s3:ObjectCreated:Put", "eventSource": "minio:s3", "s3": s3}]}
    event = {**CONTEXT, "source": "s3-events", "subject": "new-training-data", "type": "minio", "data": data}

    (firing,) = explain(model, [from_dict(event)])["firings"]

    parameters = firing["action"]["resource"]["spec"]["arguments"]["parameters"]
    assert parameters == [{"name": "data-url", "value": "in/2026-11-20.csv"}]


SENSORS = [d for d in load_paths([CORPUS / "examples"])[0] if d.kind == "Sensor"]


@pytest.mark.parametrize("document", SENSORS, ids=lambda d: f"{Path(d.file).relative_to(CORPUS / 'examples')}")
def test_every_example_of_argo_events_loads(document: Any) -> None:
    model, findings = validate(document, SensorDocument, unknown="warning")

    assert model is not None, findings
    assert [p for p in check(model) if p.severity == "error" and p.code != "unsupported-kind"] == []
    _, findings = build(document)
    assert [f for f in findings if f.severity == "error" and f.code != "unsupported-kind"] == []
