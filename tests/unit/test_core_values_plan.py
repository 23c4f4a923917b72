"""A workflow compiled once: what is merged, what it knows from its beginning, its labels. Research §2.1 and §2.10."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.core.merge import merged_arguments, merged_spec, merged_template
from pipelines.core.plan import Catalog, Plan, compile_plan
from pipelines.core.workflow_values import check_label
from retrain.errors import ConfigError

NOW = datetime(2026, 11, 20, 1, 2, 3, 456_000, tzinfo=UTC)
ECHO = {"name": "echo", "container": {"image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}}


def plan(spec: dict[str, Any], *documents: dict[str, Any], **metadata: Any) -> Plan:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "w-", **metadata},
        "spec": spec,
    }
    return compile_plan(manifest, name="wf", uid="u", created=NOW, catalog=Catalog.of(documents))


def template_document(spec: dict[str, Any], name: str = "base", kind: str = "WorkflowTemplate") -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


# --- merging ---------------------------------------------------------------------------------------------------------


def test_a_workflow_is_laid_over_its_template() -> None:
    base = {
        "entrypoint": "main",
        "templates": [ECHO, {"name": "main", "container": {"image": "a"}}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "suspend": True,
        "hooks": {"exit": {"template": "echo"}, "running": {"template": "echo", "expression": "true"}},
        "arguments": {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
    }
    over = {
        "workflowTemplateRef": {"name": "base"},
        "arguments": {"parameters": [{"name": "b", "value": "3"}, {"name": "c", "value": "4"}]},
        "volumes": [{"name": "w", "emptyDir": {}}],
        "hooks": {"exit": {"template": "main"}},
        "templates": [{"name": "echo", "container": {"image": "b", "env": [{"name": "B", "value": "9"}]}}],
    }

    found = plan(over, template_document(base))

    assert found.spec["entrypoint"] == "main"
    assert [v["name"] for v in found.spec["volumes"]] == ["v", "w"]
    assert found.spec["hooks"] == {
        "exit": {"template": "main"},
        "running": {"template": "echo", "expression": "true"},
    }
    assert "suspend" not in found.spec
    assert found.variables["workflow.parameters"] == (
        '[{"name":"a","value":"1"},{"name":"b","value":"3"},{"name":"c","value":"4"}]'
    )
    echo, _ = found.resolve({"template": "echo"}, found.holder)
    assert echo["container"] == {
        "image": "b",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "9"}],
    }


def test_a_cluster_template_is_looked_up_apart() -> None:
    wide = template_document({"entrypoint": "echo", "templates": [ECHO]}, kind="ClusterWorkflowTemplate")
    spec = {"workflowTemplateRef": {"name": "base", "clusterScope": True}}

    assert plan(spec, wide).spec["entrypoint"] == "echo"
    with pytest.raises(ConfigError, match=r'clusterworkflowtemplates.argoproj.io "base" not found'):
        plan(spec, template_document({}))


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({"default": "d", "enum": ["d", "v"]}, {"value": "v"}, {"enum": ["d", "v"], "value": "v"}),
        ({"valueFrom": {"default": "x"}}, {"value": "v"}, {"value": "v"}),
        ({"value": "v"}, {"description": "d"}, {"value": "v", "description": "d"}),
    ],
)
def test_a_value_replaces_what_the_template_says_of_the_value(old: Any, new: Any, want: Any) -> None:
    found = merged_arguments({"parameters": [{"name": "p", **old}]}, {"parameters": [{"name": "p", **new}]})

    assert found == {"parameters": [{"name": "p", **want}]}


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({"s3": {"bucket": "b", "key": "k"}}, {"s3": {"key": "n"}}, {"s3": {"bucket": "b", "key": "n"}}),
        ({"s3": {"key": "k"}}, {"raw": {"data": "x"}}, {"raw": {"data": "x"}}),
    ],
)
def test_an_artifact_keeps_its_place_only_within_its_kind(old: Any, new: Any, want: Any) -> None:
    found = merged_arguments({"artifacts": [{"name": "m", **old}]}, {"artifacts": [{"name": "m", **new}]})

    assert found == {"artifacts": [{"name": "m", **want}]}


def test_labels_computed_by_template_and_workflow_are_both_kept() -> None:
    base = {"workflowMetadata": {"labels": {"a": "1"}, "labelsFrom": {"x": {"expression": "1"}}}}
    over = {"workflowMetadata": {"labelsFrom": {"y": {"expression": "2"}}}}

    found = merged_spec(base, over)["workflowMetadata"]

    assert found == {"labels": {"a": "1"}, "labelsFrom": {"x": {"expression": "1"}, "y": {"expression": "2"}}}


def test_template_defaults_go_under_templates_of_their_type() -> None:
    defaults = {
        "timeout": "30s",
        "container": {"imagePullPolicy": "Never", "env": [{"name": "A", "value": "0"}, {"name": "C", "value": "3"}]},
        "script": {"image": "x"},
    }

    found = merged_template(defaults, ECHO)

    assert found["timeout"] == "30s"
    assert "script" not in found
    assert found["container"]["imagePullPolicy"] == "Never"
    assert found["container"]["env"] == [
        {"name": "A", "value": "1"}, {"name": "C", "value": "3"}, {"name": "B", "value": "2"},
    ]  # fmt: skip


def test_a_template_is_looked_up_where_its_caller_stands() -> None:
    inner = template_document({"templates": [{"name": "echo", "container": {"image": "inner"}}]}, "inner")
    outer = plan({"entrypoint": "echo", "templates": [ECHO]}, inner)

    theirs, holder = outer.resolve({"templateRef": {"name": "inner", "template": "echo"}}, outer.holder)
    again, _ = outer.resolve({"template": "echo"}, holder)
    mine, _ = outer.resolve({"template": "echo"}, outer.holder)

    assert (theirs["container"]["image"], holder.scope) == ("inner", "namespaced/inner")
    assert again is theirs
    assert mine["container"]["image"] == "a"
    with pytest.raises(ConfigError, match="template x not found in template inner"):
        outer.resolve({"templateRef": {"name": "inner", "template": "x"}}, outer.holder)
    with pytest.raises(ConfigError, match="template name 'x' undefined"):
        outer.resolve({"template": "x"}, outer.holder)


# --- what it knows ---------------------------------------------------------------------------------------------------


def test_a_run_knows_its_parameters_and_the_time_of_its_creation() -> None:
    ref = {"configMapKeyRef": {"name": "settings", "key": "rate"}}
    arguments = {
        "parameters": [{"name": "a", "value": 1e-5}, {"value": "x", "name": "b"}, {"name": "c", "valueFrom": ref}]
    }
    settings = {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"rate": 3}}

    known = plan({"entrypoint": "echo", "templates": [ECHO], "arguments": arguments, "priority": 7}, settings).variables

    assert [known[f"workflow.parameters.{name}"] for name in "abc"] == ["0.00001", "x", "3"]
    assert known["workflow.parameters.json"].startswith('[{"name":"a","value":"0.00001"},{"name":"b","value":"x"},')
    assert known["workflow.priority"] == "7"
    stamp = "workflow.creationTimestamp"
    times = {key.removeprefix(stamp): value for key, value in known.items() if key.startswith(stamp)}
    assert times == {
        "": "2026-11-20T01:02:03Z", ".RFC3339": "2026-11-20T01:02:03Z", ".s": "1795136523", ".Y": "2026", ".y": "26",
        ".m": "11", ".d": "20", ".H": "01", ".I": "01", ".M": "02", ".S": "03", ".p": "AM", ".A": "Friday",
        ".a": "Fri", ".B": "November", ".b": "Nov", ".Z": "UTC", ".z": "+0000", ".L": ".456",
    }  # fmt: skip


def test_the_spec_knows_the_workflow_but_its_templates_wait() -> None:
    spec = {
        "entrypoint": "echo",
        "templates": [{**ECHO, "metadata": {"labels": {"l": "{{workflow.name}}"}}}],
        "arguments": {"parameters": [{"name": "a", "value": "{{workflow.name}}"}, {"name": "b", "value": "{{=2}}"}]},
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "{{workflow.labels.c}}-{{workflow.uid}}"}}],
        "hooks": {"exit": {"template": "echo", "expression": "workflow.status == 'Failed'",
                           "arguments": {"parameters": [{"name": "s", "value": "{{=workflow.status + '!'}}"}]}}},
    }  # fmt: skip

    found = plan(spec)

    assert [p["value"] for p in found.spec["arguments"]["parameters"]] == ["wf", "2"]
    assert found.spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == "{{workflow.labels.c}}-u"
    assert found.spec["templates"][0]["metadata"]["labels"]["l"] == "{{workflow.name}}"
    assert found.spec["hooks"]["exit"]["arguments"]["parameters"][0]["value"] == "{{=workflow.status + '!'}}"


def test_labels_are_the_documents_then_the_specs_then_computed_ones() -> None:
    spec = {
        "entrypoint": "echo",
        "templates": [ECHO],
        "arguments": {"parameters": [{"name": "model", "value": "Net"}]},
        "workflowMetadata": {
            "labels": {"b": "{{workflow.name}}", "shared": "spec"},
            "annotations": {"note": "x"},
            "labelsFrom": {"model": {"expression": "lower(workflow.parameters.model)"}},
        },
        "volumes": [{"name": "{{workflow.labels.model}}-{{workflow.labels.a}}", "emptyDir": {}}],
    }

    found = plan(spec, labels={"a": "1", "shared": "doc", "model": "old"}, annotations={"of": "doc"})

    assert found.labels == {"a": "1", "shared": "spec", "model": "net", "b": "wf"}
    assert found.annotations == {"of": "doc", "note": "x"}
    assert found.variables["workflow.labels.json"] == '{"a":"1","b":"wf","model":"net","shared":"spec"}'
    assert found.spec["volumes"][0]["name"] == "net-1"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 + 1", "evaluted to int but must be a string"),
        ("workflow.nothing.here", "failed to evaluate label"),
        ("'not a label!'", 'invalid label value "not a label!"'),
        ("1 +", "failed to evaluate label"),
    ],
)
def test_a_computed_label_must_be_one(expression: str, message: str) -> None:
    metadata = {"labelsFrom": {"x": {"expression": expression}}}

    with pytest.raises(ConfigError, match=message):
        plan({"entrypoint": "echo", "templates": [ECHO], "workflowMetadata": metadata})


@pytest.mark.parametrize(
    ("value", "fits"), [("", True), ("a" * 63, True), ("a" * 64, False), ("a.b_c-d", True), ("-a", False)]
)
def test_labels_are_what_kubernetes_takes(value: str, fits: bool) -> None:
    if fits:
        assert check_label("x", value) == value
    else:
        with pytest.raises(ConfigError, match="invalid label value"):
            check_label("x", value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"arguments": {"parameters": [{"name": "a"}]}},
            r"spec.arguments.a.value or spec.arguments.a.valueFrom is required",
        ),
        ({"volumes": [{"name": "{{=1 +}}"}]}, "invalid spec: failed to evaluate expression"),
        ({"workflowTemplateRef": {"name": "gone"}}, r'workflowtemplates.argoproj.io "gone" not found'),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_reason(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan({"entrypoint": "echo", "templates": [ECHO], **spec})


def test_the_names_of_secrets_are_known_but_not_what_is_in_them() -> None:
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}

    found = Catalog.of([secret])

    assert list(found.secrets) == ["s"]
    assert "hunter2" not in repr(found)
