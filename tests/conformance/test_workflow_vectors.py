"""What upstream's own tests say about workflows: which are accepted, and how conditions come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.checks.workflow import check
from pipelines.core.aggregate import aggregated_values
from pipelines.core.depends import parse
from pipelines.core.plan import Catalog
from pipelines.core.substitute import replace
from retrain.errors import ConfigError
from retrain.expressions.govaluate import evaluate

CORPUS = Path(__file__).resolve().parents[3] / "shared/corpus/argo-workflows"
if not CORPUS.exists():
    pytest.skip("the corpus of upstream's vectors is not on this machine", allow_module_level=True)

LINT: list[dict[str, Any]] = json.loads((CORPUS / "lint_vectors.json").read_text())
EXPRESSIONS: dict[str, Any] = json.loads((CORPUS / "expr_vectors.json").read_text())


def complaints(case: dict[str, Any]) -> list[str]:
    setup = [yaml.safe_load(text) if isinstance(text, str) else text for text in case["setup"]]
    try:
        return [p.message for p in check(yaml.safe_load(case["yaml"]), Catalog.of(setup)) if p.severity == "error"]
    except ConfigError as error:
        return [str(error)]


@pytest.mark.parametrize("case", LINT, ids=[f"{case['test']}-{case['var']}" for case in LINT])
def test_lint_says_what_upstream_says(case: dict[str, Any]) -> None:
    found = complaints(case)

    if "error" in case["expect"]:
        assert found
        assert all(any(text in message for message in found) for text in case["expect"]["error"]), found
    else:
        assert found == []


@pytest.mark.parametrize(("text", "want"), EXPRESSIONS["when"])
def test_when_comes_out_as_upstream(text: str, want: bool) -> None:
    assert evaluate(text) is want


@pytest.mark.parametrize("case", EXPRESSIONS["aggregate_parameters"])
def test_outputs_of_a_loop_are_joined_as_upstream(case: dict[str, Any]) -> None:
    assert aggregated_values(case["input"]) == case["want"]


@pytest.mark.parametrize("case", EXPRESSIONS["depends"])
def test_depends_means_what_upstream_expands_it_to(case: dict[str, Any]) -> None:
    tolerant = [
        result for key, result in (("error", "Errored"), ("failed", "Failed")) if case.get("continueOn", {}).get(key)
    ]
    written = case.get("depends") or " && ".join(case["dependencies"])
    ours = parse(written, tuple(("task-1", result) for result in tolerant))
    theirs = parse(case["logic"])

    results = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "AnySucceeded")
    for one in results:
        for two in results:
            state = {"task-1": one, "task-2": two, "task-3": one}

            def answer(task: str, result: str, state: dict[str, str] = state) -> bool:
                return state[task] == result

            assert ours.holds(answer) == theirs.holds(answer), state


@pytest.mark.parametrize("case", EXPRESSIONS["try_json_list"])
def test_a_list_of_json_is_known_as_upstream(case: dict[str, Any]) -> None:
    joined = json.loads(aggregated_values(case["input"]))

    assert all(isinstance(one, dict | list) for one in joined) is case["ok"]


@pytest.mark.parametrize("case", EXPRESSIONS["template_lenient"])
def test_tags_and_expressions_are_filled_in_as_upstream(case: dict[str, Any]) -> None:
    assert replace(case["template"], case["vars"]) == case["want"]
