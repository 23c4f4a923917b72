"""The CustomResourceDefinitions in deploy/kubernetes/crds are made from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain.app.crds.making import definitions
from retrain.app.crds.structural import INT_OR_STRING, OPEN, structural
from retrain.app.crds.writing import files
from retrain.app.projects.schemas import schemas

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "crds"
MADE = dict(definitions(dict(schemas())))
APPLIED = 256 * 1024
"""Bytes of all annotations of an object: `kubectl apply` keeps the whole object in one."""
FORBIDDEN = {"$ref", "$defs", "const", "title", "default", "additionalProperties", "oneOf", "allOf", "anyOf"}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a structural one, with where it stands."""
    yield path, schema
    for name, one in (schema.get("properties") or {}).items():
        yield from nodes(one, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from nodes(schema[word], f"{path}[]")


def test_the_files_are_those_of_the_models() -> None:
    """`make schemas` writes them anew."""
    made = dict(files())
    assert {file.name for file in FOLDER.iterdir()} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, f"run `make schemas`: {name} is old"


@pytest.mark.parametrize("name", sorted(MADE))
def test_every_node_has_a_type_or_is_open(name: str) -> None:
    schema = MADE[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for path, node in nodes(schema):
        assert "type" in node or node.get(OPEN) or node.get(INT_OR_STRING), path
        assert not (FORBIDDEN - {"additionalProperties"}) & node.keys(), path
        assert "items" in node if node.get("type") == "array" else True, path


@pytest.mark.parametrize("name", sorted(MADE))
def test_kubectl_can_apply_it(name: str) -> None:
    assert len(json.dumps(MADE[name])) < APPLIED


def test_names_are_those_of_argo_events() -> None:
    """As `kubectl get es,sn,eb` asks for them."""
    found = {name: one["spec"] for name, one in MADE.items() if one["spec"]["group"] == "argoproj.io"}
    names = {name: (one["names"]["shortNames"], one["versions"][0]["name"]) for name, one in found.items()}
    assert names == {
        "eventbus.argoproj.io.yaml": (["eb"], "v1alpha1"),
        "eventsources.argoproj.io.yaml": (["es"], "v1alpha1"),
        "sensors.argoproj.io.yaml": (["sn"], "v1alpha1"),
    }
    for one in found.values():
        assert one["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] == {"type": "object", OPEN: True}


NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "minLength": 1, "title": "x", "default": ""}, {"type": "string", "minLength": 1}),
        ({"anyOf": [{"type": "integer"}, NULL]}, {"type": "integer", "nullable": True}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, {INT_OR_STRING: True}),
        ({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "string"}]}, {"type": "string"}),
        ({"anyOf": [{"type": "array", "items": {}}, {"type": "string"}, NULL]}, {OPEN: True, "nullable": True}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        ({"type": "string", "pattern": "^(?!x)a$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^[a-z]+$"}, {"type": "string", "pattern": "^[a-z]+$"}),
        ({}, {OPEN: True}),
        ({"type": "object"}, {"type": "object", OPEN: True}),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
            {"type": "object", "properties": {"a": {"type": "string"}}, OPEN: True},
        ),
    ],
)
def test_each_shape_in_the_servers_words(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert structural(schema) == expected


def test_objects_of_a_union_are_one_with_all_fields() -> None:
    def kind(name: str, **more: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"kind": {"const": name}, **more}, "required": ["kind", *more]}

    found = structural({"anyOf": [kind("a", at={"type": "string"}), kind("b", at={"type": "integer"})]})

    assert found == {
        "type": "object",
        "required": ["at", "kind"],
        "properties": {"kind": {"type": "string", "enum": ["a", "b"]}, "at": {OPEN: True}},
    }


def test_what_holds_itself_is_left_open_further_down() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    found = structural({"$ref": "#/$defs/Node", "$defs": {"Node": node}})

    assert found["properties"]["next"]["properties"]["next"] == {"type": "object", OPEN: True}
