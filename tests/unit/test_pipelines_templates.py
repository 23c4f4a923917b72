"""A run keeps the documents that it began with: those that its workflow names, and those that they name."""

from __future__ import annotations

from typing import Any

from pipelines.core.plan import Catalog


def _template(name: str, *steps: dict[str, Any], cluster: bool = False) -> dict[str, Any]:
    kind = "ClusterWorkflowTemplate" if cluster else "WorkflowTemplate"
    spec = {"templates": [{"name": "main", "steps": [[{"name": "a", **step} for step in steps]]}]}
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


def _names(documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(one["kind"], one["metadata"]["name"]) for one in documents}


def test_what_a_workflow_names_is_kept_with_all_that_is_named_there_and_nothing_else() -> None:
    inner = _template("inner")
    outer = _template("outer", {"templateRef": {"name": "inner", "template": "main"}})
    wide = _template("wide", cluster=True)
    settings = {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"rate": 3}}
    catalog = Catalog.of([inner, outer, wide, settings, _template("other")])
    parameter = {"name": "rate", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "rate"}}}
    manifest = {
        "spec": {
            "workflowTemplateRef": {"name": "outer"},
            "hooks": {"exit": {"templateRef": {"name": "wide", "template": "main", "clusterScope": True}}},
            "arguments": {"parameters": [parameter]},
        }
    }

    needed = catalog.needed_by(manifest)

    assert _names(needed) == {
        ("WorkflowTemplate", "outer"),
        ("WorkflowTemplate", "inner"),
        ("ClusterWorkflowTemplate", "wide"),
        ("ConfigMap", "settings"),
    }
    again = Catalog.of(needed)
    assert again.config_maps == {"settings": {"rate": "3"}}
    assert again.needed_by(manifest) == needed


def test_templates_that_name_each_other_are_kept_once() -> None:
    one = _template("one", {"templateRef": {"name": "two", "template": "main"}})
    two = _template("two", {"templateRef": {"name": "one", "template": "main"}})

    needed = Catalog.of([one, two]).needed_by({"spec": {"workflowTemplateRef": {"name": "one"}}})

    assert _names(needed) == {("WorkflowTemplate", "one"), ("WorkflowTemplate", "two")}


def test_what_is_named_and_not_there_is_left_out() -> None:
    assert Catalog().needed_by({"spec": {"workflowTemplateRef": {"name": "gone"}}}) == []
