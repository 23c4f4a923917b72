"""What is wrong between documents: names that one of them uses and no other has."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.app.projects.project import load_project

SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: uploads}
spec:
  webhook:
    finished: {port: "12000", endpoint: /finished, method: POST}
---
"""
SENSOR = """\
apiVersion: %(version)s
kind: Sensor
metadata: {name: retrain-on-upload}
spec:
  dependencies:
  - name: upload
    eventSourceName: %(source)s
    eventName: %(event)s
  triggers:
  - template:
      name: start
      argoWorkflow:
        operation: submit
        source:
          resource:
            apiVersion: argoproj.io/v1alpha1
            kind: Workflow
            metadata: {generateName: train-}
            spec: {workflowTemplateRef: {name: %(template)s}}
---
"""
TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  templates:
  - {name: main, container: {image: busybox:1, command: ["true"]}}
---
"""


def findings(tmp_path: Path, sources: str = SOURCE + TEMPLATE, **names: str) -> list[str]:
    given = {"version": "argoproj.io/v1alpha1", "source": "uploads", "event": "finished", "template": "train", **names}
    (tmp_path / "p.yaml").write_text(sources + SENSOR % given)
    return [f"{f.path} {f.severity} {f.code} {f.message}" for f in load_project([tmp_path]).findings]


def test_a_project_that_fits_together_has_no_findings(tmp_path):
    assert findings(tmp_path) == []

    project = load_project([tmp_path])
    assert [item.document.name for item in project.event_sources] == ["uploads"]
    assert [item.document.name for item in project.sensors] == ["retrain-on-upload"]
    assert [item.document.name for item in project.workflow_templates] == ["train"]
    assert (len(project.files), project.documents, project.errors) == (1, 3, ())


@pytest.mark.parametrize(
    ("names", "finding"),
    [
        (
            {"source": "uplaods"},
            "spec.dependencies[0].eventSourceName warning unknown-source "
            "no EventSource is named 'uplaods'; did you mean 'uploads'?",
        ),
        (
            {"event": "finish"},
            "spec.dependencies[0].eventName warning unknown-source "
            "the EventSource 'uploads' has no event 'finish'; did you mean 'finished'?",
        ),
        (
            {"template": "trian"},
            "spec.triggers[0].template.argoWorkflow.source.resource.spec.workflowTemplateRef.name "
            "warning unknown-template no WorkflowTemplate is named 'trian'; did you mean 'train'?",
        ),
        (
            {"template": "trian", "version": "retrain.dev/v1"},
            "spec.triggers[0].template.argoWorkflow.source.resource.spec.workflowTemplateRef.name "
            "error unknown-template no WorkflowTemplate is named 'trian'; did you mean 'train'?",
        ),
    ],
)
def test_a_name_that_nothing_has_is_said_with_the_nearest(tmp_path, names, finding):
    assert findings(tmp_path, **names) == [finding]


def test_the_platforms_own_events_are_always_known(tmp_path):
    assert findings(tmp_path, source="retrain", event="run.succeeded") == []


def test_a_sensor_alone_is_not_compared_with_sources_elsewhere(tmp_path):
    assert findings(tmp_path, TEMPLATE, source="elsewhere") == []


def test_a_template_that_the_event_names_is_known_only_then(tmp_path):
    assert findings(tmp_path, template="'{{workflow.parameters.which}}'") == []


def test_a_promotion_that_nothing_describes_is_an_error(tmp_path):
    text = SENSOR % {"version": "retrain.dev/v1", "source": "retrain", "event": "run.succeeded", "template": "x"}
    head, _ = text.split("      argoWorkflow:")
    (tmp_path / "p.yaml").write_text(head + "      promotion: {name: digits}\n")

    found = [(f.path, f.code, f.message) for f in load_project([tmp_path]).findings]

    assert ("spec.triggers[0].template.promotion.name", "unknown-promotion", "no Promotion is named 'digits'") in found


@pytest.mark.parametrize(
    ("promotion", "said"),
    [
        ("environment: production", []),
        (
            "environment: prodution",
            ["the Promotion 'digits' has no environment 'prodution'; did you mean 'production'?"],
        ),
        ("environments: [{name: staging}, {name: production}]", []),
        (
            "environments: [{name: staging}]",
            ["the Promotion 'digits' has no environment 'production'"],
        ),
    ],
)
def test_an_environment_that_a_promotion_has_not_is_an_error(tmp_path, promotion, said):
    text = SENSOR % {"version": "retrain.dev/v1", "source": "retrain", "event": "run.succeeded", "template": "x"}
    head, _ = text.split("      argoWorkflow:")
    wanted = "prodution" if "prodution" in promotion else "production"
    (tmp_path / "s.yaml").write_text(head + f"      promotion: {{name: digits, environment: {wanted}}}\n")
    spec = promotion.replace("prodution", "production")
    (tmp_path / "p.yaml").write_text(
        f"apiVersion: retrain.dev/v1\nkind: Promotion\nmetadata: {{name: digits}}\nspec: {{{spec}}}\n"
    )

    found = [f.message for f in load_project([tmp_path]).findings if f.path.endswith("promotion.environment")]

    assert found == said


def test_a_broken_sensor_is_compared_too(tmp_path):
    found = findings(tmp_path, source="uplaods\n    zzz: 1", version="retrain.dev/v1")

    assert {line.split()[2] for line in found} == {"unknown-source", "unknown-field"}
