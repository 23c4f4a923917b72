"""Argo Events' own answers to expressions: ours are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retrain.errors import ConfigError
from retrain.expressions.govaluate import compile_govaluate
from retrain.expressions.paths import compile_path

GOLDEN = Path(__file__).parents[3] / "shared" / "corpus" / "argo-events" / "golden.json"

if not GOLDEN.exists():
    pytest.skip("the corpus of vectors is not here", allow_module_level=True)

CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]
SINGLE = [
    case for case in CASES if len((case.get("filters") or {}).get("exprs", [])) == 1 and len(case["filters"]) == 1
]


def _passes(case: dict[str, Any]) -> bool:
    """One filter, as upstream applies it when its fields are there."""
    one = case["filters"]["exprs"][0]
    values: dict[str, Any] = {}
    for field in one["fields"]:
        found = compile_path(field["path"]).get(json.dumps(case["data"]))
        if found is None:
            raise ConfigError(f"path '{field['path']}' does not exist")
        values[field["name"]] = found.value()
    return bool(values) and compile_govaluate(one["expr"]).evaluate(values) is True


def test_the_vectors_are_found() -> None:
    assert len(SINGLE) == 20


@pytest.mark.parametrize("case", SINGLE, ids=lambda case: case["name"])
def test_an_expression_passes_what_it_passes_upstream(case: dict[str, Any]) -> None:
    want = case["expected"]
    if "error" not in want:
        assert _passes(case) is want["pass"]
        return
    with pytest.raises(ConfigError) as error:
        _passes(case)
    assert want["error"].removeprefix("expr filter error (").removesuffix(")") in str(error.value)
