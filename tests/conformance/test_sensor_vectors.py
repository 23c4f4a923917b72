"""Argo Events' own answers to filters, transforms, parameters and payloads: ours are the same, or we refuse by name."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from retrain.app.catalog import build
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

REFUSED = {
    "filters.exprs": 24,
    "filters.script": 11,
    "filter template": 5,
    "transform": 12,
    "parameter template": 9,
}
"""How many vectors ask for what is not built yet. A feature that gets built leaves this list."""

if not CORPUS.exists():
    pytest.skip("the corpus of vectors is not here", allow_module_level=True)

CASES: list[dict[str, Any]] = json.loads((CORPUS / "golden.json").read_text())["cases"]


def _needs(case: dict[str, Any]) -> str | None:
    """The feature that a case needs and that is not built."""
    filters = case.get("filters") or {}
    if filters.get("exprs"):
        return "filters.exprs"
    if filters.get("script"):
        return "filters.script"
    if any(one.get("template") for one in filters.get("data", [])):
        return "filter template"
    if any(case.get("transform", {}).get(name) for name in ("jq", "script")):
        return "transform"
    sources = [one["src"] for one in case.get("parameters", [])]
    if any(src.get("dataTemplate") or src.get("contextTemplate") for src in sources):
        return "parameter template"
    return None


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


def test_the_refused_vectors_are_those_that_are_listed() -> None:
    assert Counter(feature for case in CASES if (feature := _needs(case))) == REFUSED


@pytest.mark.parametrize("case", [c for c in CASES if _needs(c)], ids=lambda c: c["name"])
def test_what_is_not_built_is_refused_by_name(case: dict[str, Any]) -> None:
    document, events = _sensor(case)

    problems = [p for p in check(document) if p.code == "unsupported-kind" and "k8s" not in p.message]
    assert problems, "check says nothing"
    with pytest.raises(ConfigError, match="not built yet"):
        explain(document, [from_dict(one) for one in events])


@pytest.mark.parametrize("case", [c for c in CASES if not _needs(c)], ids=lambda c: c["name"])
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


SENSORS = [d for d in load_paths([CORPUS / "examples"])[0] if d.kind == "Sensor"]


@pytest.mark.parametrize("document", SENSORS, ids=lambda d: f"{Path(d.file).relative_to(CORPUS / 'examples')}")
def test_every_example_of_argo_events_loads(document: Any) -> None:
    model, findings = validate(document, SensorDocument, unknown="warning")

    assert model is not None, findings
    assert [p for p in check(model) if p.severity == "error" and p.code != "unsupported-kind"] == []
    _, findings = build(document)
    assert [f for f in findings if f.severity == "error" and f.code != "unsupported-kind"] == []
