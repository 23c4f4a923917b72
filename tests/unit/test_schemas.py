"""The schemas in docs/schemas are those of the models, and every example of ours holds to the one that it names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from retrain.app.projects.schemas import schemas
from retrain.manifests import load_text

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schemas"
MODELINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)
ALL = dict(schemas())
EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").rglob("*.yaml")
    if not path.name.endswith(".test.yaml") and path.name != "retrain.yaml" and "deployment" not in path.parts
)
"""Manifests: no tests, no settings, nothing that another system reads."""


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_files_are_those_of_the_models() -> None:
    """`make schemas` writes them anew."""
    assert {file.name for file in FOLDER.glob("*.json")} == set(ALL)
    for name, schema in ALL.items():
        assert json.loads((FOLDER / name).read_text()) == schema, f"run `make schemas`: {name} is old"


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(ALL[name])


@pytest.mark.parametrize("file", EXAMPLES, ids=_id)
def test_every_example_names_a_schema_and_holds_to_it(file: Path) -> None:
    text = file.read_text()
    modeline = MODELINE.search(text)
    assert modeline is not None, "the first line names the schema"
    schema: dict[str, Any] = json.loads((file.parent / modeline[1]).read_text())

    documents, findings = load_text(re.sub(r"\$\{[A-Z]+\}", "/x", text), file.name)

    assert not findings
    validator = Draft202012Validator(schema)
    for document in documents:
        errors = [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(document.body)]
        assert errors == []
