"""Where artifacts of runs on a cluster lie, as far as the objects there say it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from retrain.app.runs.artifacts import located
from retrain.app.runs.cluster_pods import LAST
from retrain.store.runs import RunRow

REPOSITORY = {"endpoint": "minio:9000", "bucket": "all", "keyFormat": "x", "accessKeySecret": {"name": "a", "key": "k"}}
APART = {"endpoint": "other:9000", "bucket": "apart", "key": "logs/{{pod.name}}"}
LOG: dict[str, Any] = {"name": "main-logs", "s3": {"key": "w/p/main.log"}}


def run(spec: dict[str, Any], status: dict[str, Any] | None = None, *, there: bool = True) -> RunRow:
    body: dict[str, Any] = {"artifactRepositoryRef": {"artifactRepository": {"s3": REPOSITORY}}, **(status or {})}
    manifest: dict[str, Any] = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": spec}
    object_ = {"metadata": {}, "status": body} if there else None
    created = datetime(2026, 11, 22, tzinfo=UTC)
    return RunRow("r", "w", "w", manifest, {}, created, "ml", engine="argo" if there else "local", object=object_)


def templates(**more: Any) -> dict[str, Any]:
    return {"templates": [{"name": "other"}, {"name": "say", **more}]}


def test_a_key_lies_in_the_repository_that_the_controller_has_named() -> None:
    found = located(run(templates()), {"templateName": "say"}, LOG)

    assert found == {"name": "main-logs", "s3": {"endpoint": "minio:9000", "bucket": "all", "key": "w/p/main.log",
                                                 "accessKeySecret": {"name": "a", "key": "k"}}}  # fmt: skip


ELSEWHERE = {"archiveLocation": {"archiveLogs": True, "s3": APART}}


@pytest.mark.parametrize(
    ("spec", "status", "node"),
    [
        (templates(**ELSEWHERE), {}, {"templateName": "say"}),
        ({**templates(), "templateDefaults": ELSEWHERE}, {}, {"templateName": "say"}),
        ({}, {"storedWorkflowTemplateSpec": templates(**ELSEWHERE)}, {"templateName": "say"}),
        (
            templates(),
            {"storedTemplates": {"namespaced/shop/say": {"name": "say", **ELSEWHERE}}},
            {"templateRef": {"name": "shop", "template": "say"}},
        ),
        (
            templates(),
            {"storedTemplates": {"cluster/shop/say": {"name": "say", **ELSEWHERE}}},
            {"templateRef": {"name": "shop", "template": "say", "clusterScope": True}},
        ),
        (
            templates(),
            {"storedTemplates": {"namespaced/shop/say": {"name": "say", **ELSEWHERE}}},
            {"templateName": "say", "templateScope": "namespaced/shop"},
        ),
    ],
)
def test_a_templates_own_location_goes_before(spec: dict[str, Any], status: dict[str, Any], node: Any) -> None:
    found = located(run(spec, status), node, LOG)

    assert found["s3"] == {"endpoint": "other:9000", "bucket": "apart", "key": "w/p/main.log"}


@pytest.mark.parametrize(
    "artifact",
    [
        {"name": "x", "s3": {"endpoint": "own:9000", "bucket": "own", "key": "k"}},
        {"name": "x", "raw": {"data": "text"}},
        {"name": "x"},
    ],
)
def test_what_says_by_itself_where_it_lies_stays_there(artifact: dict[str, Any]) -> None:
    assert located(run(templates(**ELSEWHERE)), {"templateName": "say"}, artifact) == artifact


def test_of_a_local_run_the_artifact_says_it() -> None:
    assert located(run(templates(**ELSEWHERE), there=False), {"templateName": "say"}, LOG) == LOG


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("w", "w"),
        ("w.count(0:a)", "count(0:a)"),
        ("w[0].good", "good"),
        ("w.count(0:0.5)", "count(0:0.5)"),
        ("w.retried(2)", "retried(2)"),
        ("w.onExit", "onExit"),
    ],
)
def test_a_pod_names_its_step(name: str, shown: str) -> None:
    found = LAST.search(name)
    assert found is not None
    assert found[0] == shown
