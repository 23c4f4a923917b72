"""EventSources load as upstream writes them; what is wrong or not built is refused by name."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eventsources.kinds import BUILT_IN, UPSTREAM
from eventsources.spec import BUILT, KNOWN, EventSourceDocument, check
from retrain.manifests import load_file, load_text, validate

CORPUS = Path(__file__).parents[3] / "shared/corpus/argo-events/examples"
EXAMPLES = Path(__file__).parents[2] / "examples/sources"
KEYS = {"accessKey": {"name": "s", "key": "a"}, "secretKey": {"name": "s", "key": "b"}}
MINIO = {"endpoint": "localhost:9000", "bucket": {"name": "b"}, **KEYS}
FILE = {"watchPathConfig": {"directory": "/d", "path": "x"}, "eventType": "CREATE"}


def problems(spec: dict[str, Any], version: str = "argoproj.io/v1alpha1") -> list[tuple[str, str]]:
    body = {"apiVersion": version, "kind": "EventSource", "metadata": {"name": "es"}, "spec": spec}
    return [(".".join(map(str, p.path)), p.code) for p in check(EventSourceDocument.model_validate(body))]


def test_every_upstream_example_loads_and_what_is_not_built_is_named() -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of upstream's examples is not on this machine")
    seen = 0
    for file in sorted(CORPUS.rglob("*.yaml")):
        for document in load_file(file)[0]:
            if document.kind != "EventSource":
                continue
            seen += 1
            model, findings = validate(document, EventSourceDocument, unknown="warning")
            assert model is not None, (file, findings)
            kinds = set(document.body["spec"]) & set(KNOWN)
            refused = {p.path[1] for p in check(model) if p.code == "unsupported-kind"}
            assert refused == kinds - set(BUILT), file
            errors = [p for p in check(model) if p.severity == "error" and p.code != "unsupported-kind"]
            assert not errors, (file, errors)
    assert seen > 20


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_every_example_of_ours_is_right(file: Path) -> None:
    documents, findings = load_file(file)
    for document in documents:
        if document.kind == "EventSource":
            model, found = validate(document, EventSourceDocument)
            assert model is not None, found
            assert list(check(model)) == []

    assert findings == []
    assert documents


def test_right_sources_have_no_problems() -> None:
    spec = {"webhook": {"w": {"endpoint": "/x", "method": "POST", "port": "1"}}, "file": {"f": FILE}}
    assert problems({**spec, "minio": {"m": MINIO}}) == []


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, ("spec", "missing-field")),
        ({"nsq": {"k": {"topic": "x"}}}, ("spec.nsq", "unsupported-kind")),
        ({"webhook": {"a": {"endpoint": "/"}}, "file": {"a": FILE}}, ("spec.webhook.a", "duplicate-name")),
        ({"webhook": {"a": {}}}, ("spec.webhook.a.endpoint", "missing-field")),
        ({"webhook": {"a": {"endpoint": "/", "method": "FETCH"}}}, ("spec.webhook.a.method", "wrong-value")),
        ({"webhook": {"a": {"endpoint": "/", "port": "http"}}}, ("spec.webhook.a.port", "wrong-value")),
        ({"webhook": {"a": {"endpoint": "/{x:y}"}}}, ("spec.webhook.a.endpoint", "unsupported-field")),
        (
            {"webhook": {"a": {"endpoint": "/", "filter": {"expression": "body >"}}}},
            ("spec.webhook.a.filter.expression", "wrong-value"),
        ),
        (
            {"webhook": {"a": {"endpoint": "/", "port": "1", "serverCertSecret": {"name": "s", "key": "k"}}}},
            ("spec.webhook.a.serverKeySecret", "missing-field"),
        ),
        (
            {"webhook": {"a": {"endpoint": "x"}, "b": {"endpoint": "/x", "method": "post"}}},
            ("spec.webhook.b.endpoint", "duplicate-route"),
        ),
        ({"file": {"f": {**FILE, "eventType": "CREATED"}}}, ("spec.file.f.eventType", "wrong-value")),
        (
            {"file": {"f": {**FILE, "watchPathConfig": {"directory": "d", "path": "x"}}}},
            ("spec.file.f.watchPathConfig.directory", "wrong-value"),
        ),
        (
            {"file": {"f": {**FILE, "watchPathConfig": {"directory": "/d", "pathRegexp": "("}}}},
            ("spec.file.f.watchPathConfig.pathRegexp", "wrong-value"),
        ),
        ({"file": {"f": {**FILE, "settle": "1s"}}}, ("spec.file.f.settle", "unknown-field")),
        ({"minio": {"m": {**MINIO, "bucket": {}}}}, ("spec.minio.m.bucket", "missing-field")),
        ({"minio": {"m": {**MINIO, "endpoint": "http://x"}}}, ("spec.minio.m.endpoint", "wrong-value")),
        ({"minio": {"m": {**MINIO, "events": ["ObjectCreated"]}}}, ("spec.minio.m.events.0", "wrong-value")),
    ],
)
def test_what_is_wrong_is_said_with_its_place(spec: dict[str, Any], found: tuple[str, str]) -> None:
    assert problems(spec) == [found]


def test_what_only_ours_has_is_checked_there() -> None:
    ours = {"watchPathConfig": {"directory": "inbox"}, "settle": "soon", "reconcile": {"every": "1ms"}}
    assert problems({"file": {"f": ours}}, "retrain.dev/v1") == [
        ("spec.file.f.settle", "wrong-value"),
        ("spec.file.f.reconcile.every", "wrong-value"),
    ]


def test_a_mistyped_field_of_a_built_kind_is_an_error_with_its_line() -> None:
    head = "apiVersion: retrain.dev/v1\nkind: EventSource\nmetadata: {name: a}\n"
    text = f"{head}spec:\n  webhook:\n    x:\n      endpont: /x\n"
    (document,), _ = load_text(text, "a.yaml")

    model, (finding,) = validate(document, EventSourceDocument)

    assert model is None
    assert (finding.line, finding.code) == (7, "unknown-field")
    assert "endpoint" in finding.message


@pytest.mark.parametrize("kind", UPSTREAM)
def test_every_kind_of_argo_events_is_built_or_refused_with_what_to_take_instead(kind: str) -> None:
    if kind in BUILT:
        return
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "EventSource", "metadata": {"name": "e"}}
    (problem,) = check(EventSourceDocument.model_validate({**body, "spec": {kind: {"k": {}}}}))

    assert (problem.path, problem.code) == (("spec", kind), "unsupported-kind")
    assert f"{kind!r} is not built; instead: " in problem.message


@pytest.mark.parametrize("kind", sorted(set(BUILT) - set(UPSTREAM)))
def test_a_kind_that_argo_events_has_not_is_of_ours_alone(kind: str) -> None:
    spec = {kind: {"k": {}}}

    assert (f"spec.{kind}", "unknown-field") in problems(spec)
    assert (f"spec.{kind}", "unknown-field") not in problems(spec, "retrain.dev/v1")


def test_knowing_the_kinds_imports_no_client_library() -> None:
    clients = {"boto3", "minio", "kafka", "redis", "aiomqtt", "aio_pika", "kubernetes", "asyncssh", "azure", "google"}
    code = f"import sys, eventsources.spec; print(sorted({clients} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    # `google` is a namespace that other packages share: what matters is what is below it.
    assert done.stdout.strip() in {"[]", "['google']"}


@pytest.mark.parametrize("kind", BUILT)
def test_the_class_of_every_kind_is_where_its_line_says(kind: str) -> None:
    module, _, name = BUILT_IN[kind].source.partition(":")

    assert importlib.util.find_spec(module) is not None
    assert f"class {name}" in Path(str(importlib.util.find_spec(module).origin)).read_text()
